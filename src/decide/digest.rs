//! What a digest says: the day's facts and what still waits, per app.

use super::standing::Standing;
use crate::model::failure::Failure;
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
        at: Timestamp,
        conclusion: Conclusion,
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
    standings: &BTreeMap<AppName, Standing>,
    blind: Vec<String>,
    (from, to): (Timestamp, Timestamp),
    timezone: &str,
) -> DigestBody {
    let mut apps: BTreeMap<AppName, Vec<DigestLine>> = BTreeMap::new();
    for (app, standing) in standings {
        let lines = apps.entry(app.clone()).or_default();
        if let Some((since, reason)) = &standing.halted {
            lines.push(DigestLine::Halted {
                since: *since,
                reason: reason.clone(),
            });
        }
        if let Some(line) = failing(app, standing, facts) {
            lines.push(line);
        }
    }
    let mut unchanged: BTreeMap<&AppName, usize> = BTreeMap::new();
    for fact in facts {
        match fact {
            Fact::Run { app, conclusion, .. } => match conclusion {
                Conclusion::Unchanged { .. } => *unchanged.entry(app).or_default() += 1,
                Conclusion::Released { release } => apps.entry(app.clone()).or_default().push(DigestLine::Released {
                    tag: release.tag.clone(),
                    change: release.change.clone(),
                }),
                Conclusion::Observed { release } => apps.entry(app.clone()).or_default().push(DigestLine::Observed {
                    tag: release.tag.clone(),
                    change: release.change.clone(),
                }),
                // Told by the app's standing, once, with its beginning.
                Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => {}
            },
            Fact::Rollout {
                app,
                target,
                tag,
                conclusion,
            } => {
                let (target, tag) = (target.clone(), tag.clone());
                let line = match conclusion {
                    None => DigestLine::Waiting {
                        target,
                        tag,
                        why: "its rollout is open".to_owned(),
                    },
                    Some(RolloutConclusion::Done) => DigestLine::RolledOut { target, tag },
                    Some(RolloutConclusion::Refused { failure }) => DigestLine::Waiting {
                        target,
                        tag,
                        why: failure.to_string(),
                    },
                    Some(
                        RolloutConclusion::AlreadyThere
                        | RolloutConclusion::Superseded { .. }
                        | RolloutConclusion::Reverted { .. }
                        | RolloutConclusion::Stuck { .. },
                    ) => continue,
                };
                apps.entry(app.clone()).or_default().push(line);
            }
        }
    }
    for (app, runs) in unchanged {
        apps.entry(app.clone())
            .or_default()
            .push(DigestLine::Unchanged { runs });
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

/// The newest failure of an app whose runs fail.
fn failing(app: &AppName, standing: &Standing, facts: &[Fact]) -> Option<DigestLine> {
    let since = standing.failing.as_ref()?.since;
    let newest: Option<(Stage, Failure)> = facts.iter().find_map(|fact| match fact {
        Fact::Run {
            app: of,
            conclusion: Conclusion::Failed { stage, failure },
            ..
        } if of == app => Some((*stage, failure.clone())),
        Fact::Run { .. } | Fact::Rollout { .. } => None,
    });
    newest.map(|(stage, failure)| DigestLine::Failing { stage, failure, since })
}
