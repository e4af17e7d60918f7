//! Content of the daily report: per app, the events of the day and everything that is still open.

use super::halt;
use super::standing::Standing;
use crate::model::failure::Failure;
use crate::model::fleet::{App, Mode};
use crate::model::halt::Require;
use crate::model::name::{AppName, RolloutId, TargetName};
use crate::model::notice::{DailyReport, DailyReportApp, DailyReportLine};
use crate::model::rollout::{Purpose, RolloutConclusion};
use crate::model::run::{Conclusion, Stage};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One thing that happened since the last report, or is still open.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    Run {
        app: AppName,
        conclusion: Box<Conclusion>,
    },
    /// `conclusion`: `None` while it is open.
    Rollout {
        app: AppName,
        rollout: RolloutId,
        purpose: Purpose,
        target: TargetName,
        tag: String,
        conclusion: Option<RolloutConclusion>,
    },
}

/// The period of a report, and when the next run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame<'a> {
    pub from: Timestamp,
    pub to: Timestamp,
    /// IANA zone.
    pub timezone: &'a str,
    /// The next run of any app; `None`: no schedule has one.
    pub next_run: Option<Timestamp>,
}

/// Facts come newest first, as the store lists them.
#[must_use]
pub fn body(
    facts: &[Fact],
    standings: &BTreeMap<AppName, (Arc<Standing>, Arc<App>)>,
    blind: Vec<String>,
    frame: Frame<'_>,
) -> DailyReport {
    let mut apps: BTreeMap<AppName, Vec<DailyReportLine>> = BTreeMap::new();
    for (app, (standing, configured)) in standings {
        let lines = apps.entry(app.clone()).or_default();
        if let Some((since, reason)) = &standing.halted {
            lines.push(DailyReportLine::Halted {
                since: *since,
                reason: reason.clone(),
                exposure: halt::exposure(standing),
                require: if standing.incidents.is_empty() {
                    Require::Reason
                } else {
                    configured.halt.require
                },
            });
        }
        lines.extend(failing(app, standing, facts));
        if configured.mode == Mode::Active {
            lines.extend(outstanding(standing, configured));
        }
        let security = halt::exposure(standing).security;
        if security > 0 {
            lines.push(DailyReportLine::Lacks { security });
        }
    }
    for fact in facts {
        let (Fact::Run { app, .. } | Fact::Rollout { app, .. }) = fact;
        let lines = apps.entry(app.clone()).or_default();
        let standing = standings.get(app).map(|(standing, _)| standing.as_ref());
        match (line(fact, standing), lines.last_mut()) {
            (Some(DailyReportLine::Unchanged { .. }), Some(DailyReportLine::Unchanged { runs })) => *runs += 1,
            (Some(line), _) => lines.push(line),
            (None, _) => {}
        }
    }
    let apps = apps.into_iter().filter(|(_, lines)| !lines.is_empty());
    DailyReport {
        from: frame.from,
        to: frame.to,
        timezone: frame.timezone.to_owned(),
        apps: apps.map(|(app, lines)| DailyReportApp { app, lines }).collect(),
        blind,
        next_run: frame.next_run,
    }
}

/// Problems that are open now: refused rollouts, failed promotions, drifted targets.
fn outstanding(standing: &Standing, app: &App) -> Vec<DailyReportLine> {
    let refused = standing
        .refusals()
        .filter(|refusal| app.rollout.iter().any(|t| t.name == *refusal.target));
    let refused = refused.map(|refusal| DailyReportLine::Refused {
        target: refusal.target.clone(),
        tag: refusal.release.tag.clone(),
        since: refusal.since,
        failure: refusal.failure.clone(),
    });
    let unpromoted = standing
        .unpromoted(app)
        .map(|(channel, failing)| DailyReportLine::Unpromoted {
            channel: channel.clone(),
            tag: standing
                .release(failing.release)
                .map_or_else(String::new, |release| release.tag.clone()),
            since: failing.since,
            failure: failing.failure.clone(),
            again: failing.due(),
        });
    let drifted = standing
        .drifted()
        .filter(|drifted| app.rollout.iter().any(|t| t.name == *drifted.target));
    let drifted = drifted.map(|drifted| DailyReportLine::Drifted {
        target: drifted.target.clone(),
        tag: drifted.release.tag.clone(),
        since: drifted.since,
        drift: drifted.drift.clone(),
    });
    refused.chain(unpromoted).chain(drifted).collect()
}

fn line(fact: &Fact, standing: Option<&Standing>) -> Option<DailyReportLine> {
    match fact {
        Fact::Run { conclusion, .. } => match conclusion.as_ref() {
            Conclusion::Unchanged { .. } => Some(DailyReportLine::Unchanged { runs: 1 }),
            Conclusion::Released { release } => Some(DailyReportLine::Released {
                tag: release.tag.clone(),
                change: release.change.clone(),
            }),
            Conclusion::Observed { release } => Some(DailyReportLine::Observed {
                tag: release.tag.clone(),
                change: release.change.clone(),
            }),
            // A failure is reported from the app's standing instead, once and with its start.
            Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => None,
        },
        Fact::Rollout {
            app: _,
            rollout,
            purpose,
            target,
            tag,
            conclusion,
        } => {
            let (target, tag) = (target.clone(), tag.clone());
            match conclusion {
                None => Some(DailyReportLine::Waiting {
                    target,
                    tag,
                    why: "its rollout is open".to_owned(),
                }),
                Some(RolloutConclusion::Done) => Some(match purpose {
                    Purpose::Release | Purpose::Probation => DailyReportLine::RolledOut { target, tag },
                    Purpose::Revert => {
                        let recalled = standing.and_then(|standing| standing.recalled_by(*rollout));
                        DailyReportLine::WentBack {
                            target,
                            tag,
                            from: recalled.map(|recalled| recalled.tag.clone()),
                            by: recalled.map(|recalled| recalled.by.clone()),
                        }
                    }
                }),
                // A problem is reported from the app's standing instead, for as long as it lasts.
                Some(
                    RolloutConclusion::Refused { .. }
                    | RolloutConclusion::AlreadyThere
                    | RolloutConclusion::Superseded { .. }
                    | RolloutConclusion::Reverted { .. }
                    | RolloutConclusion::Stuck { .. },
                ) => None,
            }
        }
    }
}

/// The newest failure of an app whose runs fail.
fn failing(app: &AppName, standing: &Standing, facts: &[Fact]) -> Option<DailyReportLine> {
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
    newest.map(|(stage, failure)| DailyReportLine::Failing { stage, failure, since })
}

#[cfg(test)]
#[path = "daily_report_tests.rs"]
mod tests;
