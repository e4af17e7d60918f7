//! Names during and after the switch; the id part distinguishes two rollouts.

use super::model::Unit;
use lowtide_model::name::RolloutId;

pub(super) fn prev(unit: &Unit, id: RolloutId) -> String {
    format!("{}.prev.{}", unit.name, id.short())
}

pub(super) fn failed(unit: &Unit, id: RolloutId) -> String {
    format!("{}.failed.{}", unit.name, id.short())
}
