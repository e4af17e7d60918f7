//! Content of the daily report: per app, the events of the day and everything that is still open.

use super::app_state::AppState;
use super::halt;
use crate::fleet::app::App;
use jiff::Timestamp;
use lowtide_model::failure::Failure;
use lowtide_model::halt::Require;
use lowtide_model::message::{DailyReport, DailyReportApp, DailyReportLine};
use lowtide_model::name::{AppName, RolloutId, TargetName};
use lowtide_model::policy::Mode;
use lowtide_model::rollout::{Purpose, RolloutConclusion};
use lowtide_model::run::{Conclusion, Stage};
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
    app_states: &BTreeMap<AppName, (Arc<AppState>, Arc<App>)>,
    blind: Vec<String>,
    frame: Frame<'_>,
) -> DailyReport {
    let mut apps: BTreeMap<AppName, Vec<DailyReportLine>> = BTreeMap::new();
    for (app, (app_state, configured)) in app_states {
        let lines = apps.entry(app.clone()).or_default();
        if let Some((since, reason)) = &app_state.halted {
            lines.push(DailyReportLine::Halted {
                since: *since,
                reason: reason.clone(),
                exposure: halt::exposure(app_state),
                require: if app_state.incidents.is_empty() {
                    Require::Reason
                } else {
                    configured.halt.require
                },
            });
        }
        lines.extend(failing(app, app_state, facts));
        if configured.mode == Mode::Active {
            lines.extend(outstanding(app_state, configured));
        }
        let security = halt::exposure(app_state).security;
        if security > 0 {
            lines.push(DailyReportLine::Lacks { security });
        }
    }
    for fact in facts {
        let (Fact::Run { app, .. } | Fact::Rollout { app, .. }) = fact;
        let lines = apps.entry(app.clone()).or_default();
        let app_state = app_states.get(app).map(|(app_state, _)| app_state.as_ref());
        match (line(fact, app_state), lines.last_mut()) {
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

/// Problems that are open now: refused rollouts, failed promotions, drifted targets and registries.
fn outstanding(app_state: &AppState, app: &App) -> Vec<DailyReportLine> {
    let refused = app_state
        .refusals()
        .filter(|refusal| app.rollout.iter().any(|t| t.settings.name == *refusal.target));
    let refused = refused.map(|refusal| DailyReportLine::Refused {
        target: refusal.target.clone(),
        tag: refusal.release.tag.clone(),
        since: refusal.since,
        failure: refusal.failure.clone(),
    });
    let unpromoted = app_state
        .unpromoted(app)
        .map(|(channel, failing)| DailyReportLine::Unpromoted {
            channel: channel.clone(),
            tag: app_state
                .release(failing.release)
                .map_or_else(String::new, |release| release.tag.clone()),
            since: failing.since,
            failure: failing.failure.clone(),
            again: failing.due(),
        });
    let drifted = app_state
        .drifted()
        .filter(|drifted| app.rollout.iter().any(|t| t.settings.name == *drifted.target));
    let drifted = drifted.map(|drifted| DailyReportLine::Drifted {
        target: drifted.target.clone(),
        tag: drifted.release.tag.clone(),
        since: drifted.since,
        drift: drifted.drift.clone(),
    });
    let registry = app_state.registry_differences(app).into_iter();
    let registry = registry.map(|difference| DailyReportLine::RegistryDrifted {
        reference: difference.reference.clone(),
        since: difference.since,
        drift: difference.drift.clone(),
    });
    refused.chain(unpromoted).chain(drifted).chain(registry).collect()
}

fn line(fact: &Fact, app_state: Option<&AppState>) -> Option<DailyReportLine> {
    match fact {
        Fact::Run { conclusion, .. } => match conclusion.as_ref() {
            Conclusion::Unchanged { .. } | Conclusion::Retested { .. } => Some(DailyReportLine::Unchanged { runs: 1 }),
            Conclusion::Released { release } => Some(DailyReportLine::Released {
                tag: release.tag.clone(),
                change: release.change.clone(),
            }),
            Conclusion::Observed { release } => Some(DailyReportLine::Observed {
                tag: release.tag.clone(),
                change: release.change.clone(),
            }),
            // A failure is reported from the app's state instead, once and with its start.
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
                        let operator_rollback =
                            app_state.and_then(|app_state| app_state.operator_rollback_of(*rollout));
                        DailyReportLine::WentBack {
                            target,
                            tag,
                            from: operator_rollback.map(|operator_rollback| operator_rollback.tag.clone()),
                            by: operator_rollback.map(|operator_rollback| operator_rollback.by.clone()),
                        }
                    }
                }),
                // A problem is reported from the app's state instead, for as long as it lasts.
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
fn failing(app: &AppName, app_state: &AppState, facts: &[Fact]) -> Option<DailyReportLine> {
    let since = app_state.failing.as_ref()?.since;
    let newest: Option<(Stage, Failure)> = facts.iter().find_map(|fact| match fact {
        Fact::Run { app: of, conclusion } if of == app => match conclusion.as_ref() {
            Conclusion::Failed { stage, failure } => Some((*stage, failure.clone())),
            Conclusion::Unchanged { .. }
            | Conclusion::Retested { .. }
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
