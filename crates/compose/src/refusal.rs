//! What of a project is not run, by key and line.

use crate::rights::{HostRight, Wanted};
use crate::value::{Node, Place};

/// Something that a test does not run, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `None`: it is nowhere, which is the trouble.
    pub place: Option<Place>,
    /// From the top of the file on, as `services.db.devices`.
    pub path: String,
    pub problem: String,
}

impl Refusal {
    pub(crate) fn new(node: &Node, path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: Some(node.place.clone()),
            path: path.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn right(wanted: Wanted) -> Self {
        let Wanted {
            service,
            key,
            place,
            right,
        } = wanted;
        let problem = match &right {
            HostRight::Gpu => format!("asks for {right}; a test gets none"),
            HostRight::Path(_)
            | HostRight::EngineSocket(_)
            | HostRight::Privileged
            | HostRight::Namespace(_)
            | HostRight::Device(_)
            | HostRight::Capability(_)
            | HostRight::Unconfined(_)
            | HostRight::Volume(_)
            | HostRight::Network(_)
            | HostRight::Container(_)
            | HostRight::Runtime(_) => format!(
                "asks for {right}; the fleet's configuration can allow it: `test.compose.allow: [\"{}\"]`",
                right.key()
            ),
        };
        Self {
            place: Some(place),
            path: format!("services.{service}.{key}"),
            problem,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Every refusal of a project, in the order of its files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; "))]
pub struct Refused(pub Vec<Refusal>);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}
