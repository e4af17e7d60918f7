//! What no rebuild can mend: fixes that wait for a base or for another pin, and versions that are gone.

use super::freshness;
use super::run::RunState;
use crate::model::freshness::{PendingPackage, Survey, Vanished};
use crate::model::run::Conclusion;
use crate::model::standing::Withheld;

/// What is pending in the release that is the last one after this run. `None`: nobody knows.
#[must_use]
pub fn of_last_release<'a>(state: &'a RunState, conclusion: &Conclusion) -> Option<(&'a Survey, &'a [Vanished])> {
    let outlook = &state.resolved.as_ref()?.outlook;
    let survey = match conclusion {
        Conclusion::Released { .. } | Conclusion::Observed { .. } | Conclusion::Unchanged { .. } => state
            .inspected
            .as_ref()
            .map_or(&outlook.survey, |inspected| &*inspected.left),
        Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => &outlook.survey,
    };
    let asked = state.last.is_some() || state.inspected.is_some();
    (asked && survey.unseen.is_none()).then_some((survey, &outlook.vanished))
}

/// What the app's standing remembers of it.
#[must_use]
pub fn summary(survey: &Survey, vanished: &[Vanished]) -> Withheld {
    Withheld {
        packages: survey
            .out_of_reach()
            .map(|pending| (freshness::key(pending), pending.candidate.clone()))
            .collect(),
        security: survey.out_of_reach().filter(|pending| pending.security).count(),
        vanished: vanished
            .iter()
            .map(|gone| (gone.package.clone(), gone.version.clone()))
            .collect(),
    }
}

/// What people have not heard of yet.
#[must_use]
pub fn news(survey: &Survey, vanished: &[Vanished], known: &Withheld) -> (Vec<PendingPackage>, Vec<Vanished>) {
    let untold = |pending: &&PendingPackage| known.packages.get(&freshness::key(pending)) != Some(&pending.candidate);
    let gone = |gone: &&Vanished| known.vanished.get(&gone.package) != Some(&gone.version);
    (
        survey.out_of_reach().filter(untold).cloned().collect(),
        vanished.iter().filter(gone).cloned().collect(),
    )
}
