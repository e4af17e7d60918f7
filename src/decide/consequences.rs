//! What the end of a run or a rollout means for its app, and who is notified. The facts and the notices are written in
//! the transaction of the event that caused them.

use super::app_state::{AppState, Occasion};
use super::commit_link;
use super::freshness;
use super::halt::Lifted;
use super::notify::{self, Keys, Opened, RolloutMessage};
use super::run::RunState;
use super::unfixable;
use crate::fleet::app_state::AppEvent;
use crate::model::failure::{Failure, Fault};
use crate::model::name::{AppName, RolloutId, RunId};
use crate::model::notice::{Audience, Built, Notice, NoticeBody};
use crate::model::policy::EmailPolicy;
use crate::model::run::{Conclusion, Stage};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

mod promotion;
mod rollout;

pub use promotion::{promoted, promotion_failed};
pub(super) use rollout::halt;
pub use rollout::{RolloutEnd, rollout_ended, rollout_waits};

/// Facts for the app's stream, notices for the outbox.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Consequences {
    pub facts: Vec<AppEvent>,
    pub notices: Vec<Notice>,
}

/// The end of a run.
#[must_use]
pub fn run_ended(
    state: &RunState,
    app_state: &AppState,
    conclusion: &Conclusion,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) -> Consequences {
    let mut out = Consequences::default();
    if let Some(resolved) = &state.resolved {
        let bases: Vec<_> = resolved
            .bases
            .iter()
            .map(|base| base.reference.repository.clone())
            .collect();
        if bases != app_state.bases {
            out.facts.push(AppEvent::BasesKnown { bases });
        }
    }
    out.facts.extend(judged(state, conclusion));
    unfixable(&mut out, state, app_state, conclusion, email, now);
    match conclusion {
        Conclusion::Failed { stage, failure } => run_failed(&mut out, state, app_state, *stage, failure, email, now),
        Conclusion::Released { release } => {
            out.facts.push(AppEvent::Released {
                release: Box::new(release.clone()),
            });
            recovered(&mut out, state, app_state, email, now);
        }
        Conclusion::Observed { release } => {
            // Remembered, so that the next night compares with it; app_state::next never acts on it in observe mode.
            out.facts.push(AppEvent::Released {
                release: Box::new(release.clone()),
            });
            recovered(&mut out, state, app_state, email, now);
        }
        Conclusion::Unchanged { .. } => recovered(&mut out, state, app_state, email, now),
        Conclusion::Cancelled { .. } => {}
    }
    out.facts.extend(again(state, app_state, conclusion, now));
    out
}

/// The end of a run, manual or automatic, also retries refused rollouts, even if the run failed: the pending release
/// exists. A new release replaces the pending one anyway, and whoever cancels a run wants nothing to move.
fn again(state: &RunState, app_state: &AppState, conclusion: &Conclusion, now: Timestamp) -> Option<AppEvent> {
    match conclusion {
        Conclusion::Unchanged { .. } | Conclusion::Failed { .. } => app_state.again(Occasion::of(&state.trigger), now),
        Conclusion::Released { .. } | Conclusion::Observed { .. } | Conclusion::Cancelled { .. } => None,
    }
}

/// Records the inputs of a build whose outcome is known. A failed build is not recorded and so is tried again: its
/// tests or its environment may have been at fault. Upgrades that the build showed to be out of reach are recorded as
/// tried.
fn judged(state: &RunState, conclusion: &Conclusion) -> Option<AppEvent> {
    let resolved = state.resolved.as_ref()?;
    let (build, _) = state.build.as_ref()?;
    match conclusion {
        Conclusion::Released { .. } | Conclusion::Observed { .. } | Conclusion::Unchanged { .. } => {
            let mut inputs = resolved.assessment.inputs.clone();
            if let Some(inspected) = &state.inspected {
                let left = inspected.left.out_of_reach();
                inputs
                    .gains
                    .extend(left.map(|pending| (freshness::key(pending), pending.candidate.clone())));
            }
            Some(AppEvent::Judged {
                inputs: Box::new(inputs),
                because: build.because.clone(),
            })
        }
        Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => None,
    }
}

/// Each version is reported once, with what would fix it, and not again every night.
fn unfixable(
    out: &mut Consequences,
    state: &RunState,
    app_state: &AppState,
    conclusion: &Conclusion,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) {
    let Some((survey, assessment)) = unfixable::of_last_release(state, conclusion) else {
        return;
    };
    let known = app_state
        .unfixable
        .as_ref()
        .map(|(_, known)| known.clone())
        .unwrap_or_default();
    let current = unfixable::summary(survey, &assessment.unavailable_pins, &assessment.running);
    if current == known {
        return;
    }
    let (packages, unavailable_pins) = unfixable::news(survey, &assessment.unavailable_pins, &known);
    out.facts.push(AppEvent::UnfixableUpdates {
        unfixable: Box::new(current),
    });
    if packages.is_empty() && unavailable_pins.is_empty() {
        return;
    }
    let keys = notify::unfixable_keys(&state.app.name, state.id);
    let body = NoticeBody::UnfixableUpdates {
        app: state.app.name.clone(),
        packages,
        unavailable_pins,
    };
    out.notices
        .extend(mail(&keys, Fault::Repo, &state.app.maintainers, email, &body, now));
}

fn run_failed(
    out: &mut Consequences,
    state: &RunState,
    app_state: &AppState,
    stage: Stage,
    failure: &Failure,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) {
    let app = &state.app.name;
    let cause = notify::cause(app, stage, failure);
    if app_state.failing.as_ref().is_none_or(|failing| failing.cause != cause) {
        out.facts.push(AppEvent::RunFailed {
            run: state.id,
            cause: cause.clone(),
        });
    }
    let opened = opened(app_state, state.id, cause);
    let keys = notify::run_failure_keys(app, stage, failure, &opened, local_day(email, now));
    let body = NoticeBody::RunFailed {
        app: app.clone(),
        run: state.id,
        stage,
        commit: built(state),
        failure: failure.clone(),
        fault: failure.fault(),
    };
    out.notices
        .extend(mail(&keys, failure.fault(), &state.app.maintainers, email, &body, now));
}

/// The commit of a run, once it is resolved.
pub(super) fn built(state: &RunState) -> Option<Box<Built>> {
    let commit = &state.resolved.as_ref()?.commit;
    Some(Box::new(Built {
        commit: commit.clone(),
        link: commit_link::link(&state.app.source.repo, &commit.id),
    }))
}

fn recovered(
    out: &mut Consequences,
    state: &RunState,
    app_state: &AppState,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) {
    let Some(failing) = &app_state.failing else { return };
    out.facts.push(AppEvent::RunRecovered { run: state.id });
    let opened = Opened {
        run: failing.first,
        cause: failing.cause.clone(),
    };
    let Some(keys) = notify::recovered_keys(&state.app.name, &opened) else {
        return;
    };
    let body = NoticeBody::RunRecovered {
        app: state.app.name.clone(),
        run: state.id,
    };
    out.notices
        .extend(mail(&keys, Fault::Repo, &state.app.maintainers, email, &body, now));
}

fn opened(app_state: &AppState, run: RunId, cause: String) -> Opened {
    app_state
        .failing
        .as_ref()
        .map_or(Opened { run, cause }, |failing| Opened {
            run: failing.first,
            cause: failing.cause.clone(),
        })
}

/// An operator resumed the app. `rollout`: the one that halted it; the notice goes to its thread.
#[must_use]
pub fn resumed(
    app: &AppName,
    by: &str,
    lifted: &Lifted,
    rollout: Option<RolloutId>,
    maintainers: &[String],
    email: Option<&EmailPolicy>,
    now: Timestamp,
) -> Consequences {
    let body = resume_body(app, by, lifted);
    let notices = rollout.map(|rollout| {
        let keys = notify::rollout_keys(rollout, RolloutMessage::Resumed);
        mail(&keys, Fault::Repo, maintainers, email, &body, now)
    });
    Consequences {
        facts: vec![AppEvent::Resumed {
            by: by.to_owned(),
            why: lifted.why.clone(),
            form: lifted.form.clone().map(Box::new),
            probation: lifted.probation,
        }],
        notices: notices.unwrap_or_default(),
    }
}

pub(super) fn resume_body(app: &AppName, by: &str, lifted: &Lifted) -> NoticeBody {
    NoticeBody::Resumed {
        app: app.clone(),
        by: by.to_owned(),
        why: lifted.why.clone(),
        form: lifted.form.clone().map(Box::new),
        probation: lifted.probation,
    }
}

/// One notice per recipient, each delivered, retried and threaded on its own: a bad address neither blocks the other
/// recipients nor causes duplicates.
fn mail(
    keys: &Keys,
    fault: Fault,
    maintainers: &[String],
    email: Option<&EmailPolicy>,
    body: &NoticeBody,
    now: Timestamp,
) -> Vec<Notice> {
    let Some(policy) = email else { return Vec::new() };
    let to = notify::audience(fault, maintainers, &policy.operators);
    to.into_iter()
        .map(|address| Notice {
            dedup: format!("{}#{address}", keys.dedup),
            thread: format!("{}#{address}", keys.thread),
            audience: Audience::Mail { to: vec![address] },
            at: now,
            body: body.clone(),
        })
        .collect()
}

fn local_day(email: Option<&EmailPolicy>, now: Timestamp) -> Date {
    let zone = email
        .and_then(|policy| TimeZone::get(&policy.timezone).ok())
        .unwrap_or(TimeZone::UTC);
    now.to_zoned(zone).date()
}

#[cfg(test)]
mod tests;
