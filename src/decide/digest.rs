//! What a digest says: the day's facts and what still waits, per app.

use super::halt;
use super::standing::Standing;
use crate::model::failure::Failure;
use crate::model::halt::{HaltPolicy, Require};
use crate::model::name::{AppName, TargetName};
use crate::model::notice::{DigestApp, DigestBody, DigestLine};
use crate::model::rollout::RolloutConclusion;
use crate::model::run::{Conclusion, Stage};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// One thing that happened since the last digest, or is still open.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    Run {
        app: AppName,
        conclusion: Box<Conclusion>,
    },
    /// `conclusion`: `None` while it is open.
    Rollout {
        app: AppName,
        target: TargetName,
        tag: String,
        conclusion: Option<RolloutConclusion>,
    },
}

/// Facts come newest first, as the store lists them.
#[must_use]
pub fn body(
    facts: &[Fact],
    standings: &BTreeMap<AppName, (Standing, HaltPolicy)>,
    blind: Vec<String>,
    (from, to): (Timestamp, Timestamp),
    timezone: &str,
) -> DigestBody {
    let mut apps: BTreeMap<AppName, Vec<DigestLine>> = BTreeMap::new();
    for (app, (standing, policy)) in standings {
        let lines = apps.entry(app.clone()).or_default();
        if let Some((since, reason)) = &standing.halted {
            lines.push(DigestLine::Halted {
                since: *since,
                reason: reason.clone(),
                exposure: halt::exposure(standing),
                require: if standing.incidents.is_empty() {
                    Require::Reason
                } else {
                    policy.require
                },
            });
        }
        if let Some(line) = failing(app, standing, facts) {
            lines.push(line);
        }
    }
    for fact in facts {
        let (Fact::Run { app, .. } | Fact::Rollout { app, .. }) = fact;
        let lines = apps.entry(app.clone()).or_default();
        match (line(fact), lines.last_mut()) {
            (Some(DigestLine::Unchanged { .. }), Some(DigestLine::Unchanged { runs })) => *runs += 1,
            (Some(line), _) => lines.push(line),
            (None, _) => {}
        }
    }
    let apps = apps.into_iter().filter(|(_, lines)| !lines.is_empty());
    DigestBody {
        from,
        to,
        timezone: timezone.to_owned(),
        apps: apps.map(|(app, lines)| DigestApp { app, lines }).collect(),
        blind,
        next_run: None,
    }
}

fn line(fact: &Fact) -> Option<DigestLine> {
    match fact {
        Fact::Run { conclusion, .. } => match conclusion.as_ref() {
            Conclusion::Unchanged { .. } => Some(DigestLine::Unchanged { runs: 1 }),
            Conclusion::Released { release } => Some(DigestLine::Released {
                tag: release.tag.clone(),
                change: release.change.clone(),
            }),
            Conclusion::Observed { release } => Some(DigestLine::Observed {
                tag: release.tag.clone(),
                change: release.change.clone(),
            }),
            // Told by the app's standing, once, with its beginning.
            Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => None,
        },
        Fact::Rollout {
            target,
            tag,
            conclusion,
            ..
        } => {
            let (target, tag) = (target.clone(), tag.clone());
            match conclusion {
                None => Some(DigestLine::Waiting {
                    target,
                    tag,
                    why: "its rollout is open".to_owned(),
                }),
                Some(RolloutConclusion::Done) => Some(DigestLine::RolledOut { target, tag }),
                Some(RolloutConclusion::Refused { failure }) => Some(DigestLine::Waiting {
                    target,
                    tag,
                    why: failure.to_string(),
                }),
                Some(
                    RolloutConclusion::AlreadyThere
                    | RolloutConclusion::Superseded { .. }
                    | RolloutConclusion::Reverted { .. }
                    | RolloutConclusion::Stuck { .. },
                ) => None,
            }
        }
    }
}

/// The newest failure of an app whose runs fail.
fn failing(app: &AppName, standing: &Standing, facts: &[Fact]) -> Option<DigestLine> {
    let since = standing.failing.as_ref()?.since;
    let newest: Option<(Stage, Failure)> = facts.iter().find_map(|fact| match fact {
        Fact::Run { app: of, conclusion } if of == app => match conclusion.as_ref() {
            Conclusion::Failed { stage, failure } => Some((*stage, failure.clone())),
            Conclusion::Unchanged { .. }
            | Conclusion::Released { .. }
            | Conclusion::Observed { .. }
            | Conclusion::Cancelled { .. } => None,
        },
        Fact::Run { .. } | Fact::Rollout { .. } => None,
    });
    newest.map(|(stage, failure)| DigestLine::Failing { stage, failure, since })
}
