//! What no rebuild can fix: upgrades that need a new base image or another version pin, and pinned versions that are
//! gone.

use super::freshness;
use super::run::RunState;
use crate::fleet::app_state::UnfixableUpdates;
use lowtide_model::freshness::{Behind, PendingPackage, RebuildAssessment, Survey, UnavailablePin};
use lowtide_model::name::TargetName;
use lowtide_model::run::Conclusion;
use std::collections::BTreeMap;

/// What is pending in the release that is the last one after this run. `None`: unknown.
#[must_use]
pub fn of_last_release<'a>(
    state: &'a RunState,
    conclusion: &Conclusion,
) -> Option<(&'a Survey, &'a RebuildAssessment)> {
    let assessment = &state.resolved.as_ref()?.assessment;
    let survey = match conclusion {
        Conclusion::Released { .. }
        | Conclusion::Observed { .. }
        | Conclusion::Unchanged { .. }
        | Conclusion::Retested { .. } => state
            .inspected
            .as_ref()
            .map_or(&assessment.survey, |inspected| &*inspected.left),
        Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => &assessment.survey,
    };
    let surveyed = state.last.is_some() || state.inspected.is_some();
    (surveyed && survey.unseen.is_none()).then_some((survey, &**assessment))
}

/// What the app's state remembers of it.
#[must_use]
pub fn summary(
    survey: &Survey,
    unavailable_pins: &[UnavailablePin],
    running: &BTreeMap<TargetName, Behind>,
) -> UnfixableUpdates {
    UnfixableUpdates {
        running: running.clone(),
        packages: survey
            .out_of_reach()
            .map(|pending| (freshness::key(pending), pending.candidate.clone()))
            .collect(),
        security: survey.out_of_reach().filter(|pending| pending.security).count(),
        unavailable_pins: unavailable_pins
            .iter()
            .map(|gone| (gone.package.clone(), gone.version.clone()))
            .collect(),
    }
}

/// What people have not been notified of yet.
#[must_use]
pub fn news(
    survey: &Survey,
    unavailable_pins: &[UnavailablePin],
    known: &UnfixableUpdates,
) -> (Vec<PendingPackage>, Vec<UnavailablePin>) {
    let untold = |pending: &&PendingPackage| known.packages.get(&freshness::key(pending)) != Some(&pending.candidate);
    let gone = |gone: &&UnavailablePin| known.unavailable_pins.get(&gone.package) != Some(&gone.version);
    (
        survey.out_of_reach().filter(untold).cloned().collect(),
        unavailable_pins.iter().filter(gone).cloned().collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::freshness::Fix;

    fn pending(package: &str, candidate: &str, fix: Fix) -> PendingPackage {
        PendingPackage {
            package: package.to_owned(),
            architecture: "amd64".to_owned(),
            installed: Some("1".to_owned()),
            candidate: candidate.to_owned(),
            origin: "Debian:12/stable".to_owned(),
            security: true,
            layer: None,
            fix,
        }
    }

    fn base() -> Fix {
        Fix::Base {
            reference: "debian:12".to_owned(),
        }
    }

    #[test]
    fn each_version_is_news_once() {
        let survey = Survey {
            pending: vec![
                pending("a", "2", base()),
                pending("b", "2", base()),
                pending("c", "2", Fix::Rebuild),
            ],
            ..Survey::default()
        };
        let gone = [UnavailablePin {
            package: "nginx".to_owned(),
            version: "1".to_owned(),
            line: 3,
            available: Some("2".to_owned()),
        }];
        let names = |known: &UnfixableUpdates| {
            let (packages, unavailable_pins) = news(&survey, &gone, known);
            let packages: Vec<String> = packages.into_iter().map(|it| it.package).collect();
            (packages.join(" "), unavailable_pins.len())
        };
        assert_eq!(names(&UnfixableUpdates::default()), ("a b".to_owned(), 1));
        let mut known = summary(&survey, &gone, &BTreeMap::new());
        assert_eq!((known.packages.len(), known.security), (2, 2));
        assert_eq!(names(&known), (String::new(), 0));
        known.packages.insert("a:amd64".to_owned(), "1.5".to_owned());
        assert_eq!(names(&known), ("a".to_owned(), 0));
    }
}
