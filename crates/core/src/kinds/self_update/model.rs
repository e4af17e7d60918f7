//! lowtide's own container as a target: what is there, and who looks.

use crate::kinds::containers::model::{ObservedContainer, ObservedUnit};
use lowtide_model::handover::StateOwner;

/// What is really there, of lowtide's own container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSelfUpdate {
    /// Who looks; `None`: someone else's container, or none.
    pub owner: Option<StateOwner>,
    pub units: Vec<ObservedUnit>,
    pub helper: Option<ObservedContainer>,
}
