//! What the end of a run or a rollout means for its app, and who hears of it. The facts and the notices are written in
//! the transaction of the event that caused them.

use super::halt::Lifted;
use super::notify::{self, Keys, Opened, RolloutMessage};
use super::rollout::{Moving, RolloutState};
use super::run::RunState;
use super::standing::Standing;
use super::withheld;
use crate::model::failure::{Failure, FailureKind, Fault, HaltReason, WaitReason};
use crate::model::fleet::{App, EmailPolicy};
use crate::model::name::{AppName, RolloutId, RunId};
use crate::model::notice::{Audience, LongWait, Notice, NoticeBody, Untimely};
use crate::model::rollout::RolloutConclusion;
use crate::model::run::{Conclusion, Stage};
use crate::model::standing::AppEvent;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Facts for the app's stream, notices for the outbox.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    pub facts: Vec<AppEvent>,
    pub notices: Vec<Notice>,
}

/// The end of a run.
#[must_use]
pub fn run_ended(
    state: &RunState,
    standing: &Standing,
    conclusion: &Conclusion,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) -> Told {
    let mut told = Told::default();
    if let Some(resolved) = &state.resolved {
        let bases: Vec<_> = resolved
            .bases
            .iter()
            .map(|base| base.reference.repository.clone())
            .collect();
        if bases != standing.bases {
            told.facts.push(AppEvent::BasesKnown { bases });
        }
    }
    told.facts.extend(judged(state, conclusion));
    withheld(&mut told, state, standing, conclusion, email, now);
    match conclusion {
        Conclusion::Failed { stage, failure } => run_failed(&mut told, state, standing, *stage, failure, email, now),
        Conclusion::Released { release } => {
            told.facts.push(AppEvent::Released {
                release: Box::new(release.clone()),
            });
            recovered(&mut told, state, standing, email, now);
        }
        Conclusion::Observed { release } => {
            // Remembered, so that the next night compares with it; standing::next never acts on it in observe mode.
            told.facts.push(AppEvent::Released {
                release: Box::new(release.clone()),
            });
            recovered(&mut told, state, standing, email, now);
        }
        Conclusion::Unchanged { .. } => recovered(&mut told, state, standing, email, now),
        Conclusion::Cancelled { .. } => {}
    }
    told
}

/// The inputs of a build whose outcome is known. A failed one is tried again: its tests or its surroundings may have been
/// to blame.
fn judged(state: &RunState, conclusion: &Conclusion) -> Option<AppEvent> {
    let resolved = state.resolved.as_ref()?;
    let (build, _) = state.build.as_ref()?;
    match conclusion {
        Conclusion::Released { .. } | Conclusion::Observed { .. } | Conclusion::Unchanged { .. } => {
            Some(AppEvent::Judged {
                inputs: Box::new(resolved.outlook.inputs.clone()),
                because: build.because.clone(),
            })
        }
        Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => None,
    }
}

/// Said once of each version, with what helps; not every night again.
fn withheld(
    told: &mut Told,
    state: &RunState,
    standing: &Standing,
    conclusion: &Conclusion,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) {
    let Some((survey, outlook)) = withheld::of_last_release(state, conclusion) else {
        return;
    };
    let known = standing
        .withheld
        .as_ref()
        .map(|(_, known)| known.clone())
        .unwrap_or_default();
    let current = withheld::summary(survey, &outlook.vanished, &outlook.running);
    if current == known {
        return;
    }
    let (packages, vanished) = withheld::news(survey, &outlook.vanished, &known);
    told.facts.push(AppEvent::Withheld {
        withheld: Box::new(current),
    });
    if packages.is_empty() && vanished.is_empty() {
        return;
    }
    let keys = notify::withheld_keys(&state.app.name, state.id);
    let body = NoticeBody::Withheld {
        app: state.app.name.clone(),
        packages,
        vanished,
    };
    told.notices
        .extend(mail(&keys, Fault::Repo, &state.app.maintainers, email, &body, now));
}

fn run_failed(
    told: &mut Told,
    state: &RunState,
    standing: &Standing,
    stage: Stage,
    failure: &Failure,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) {
    let app = &state.app.name;
    let cause = notify::cause(app, stage, failure);
    if standing.failing.as_ref().is_none_or(|failing| failing.cause != cause) {
        told.facts.push(AppEvent::RunFailed {
            run: state.id,
            cause: cause.clone(),
        });
    }
    let opened = opened(standing, state.id, cause);
    let keys = notify::run_failure_keys(app, stage, failure, &opened, local_day(email, now));
    let body = NoticeBody::RunFailed {
        app: app.clone(),
        run: state.id,
        stage,
        commit: state.resolved.as_ref().map(|r| r.commit.id.clone()),
        failure: failure.clone(),
        fault: failure.fault(),
    };
    told.notices
        .extend(mail(&keys, failure.fault(), &state.app.maintainers, email, &body, now));
}

fn recovered(told: &mut Told, state: &RunState, standing: &Standing, email: Option<&EmailPolicy>, now: Timestamp) {
    let Some(failing) = &standing.failing else { return };
    told.facts.push(AppEvent::RunRecovered { run: state.id });
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
    told.notices
        .extend(mail(&keys, Fault::Repo, &state.app.maintainers, email, &body, now));
}

fn opened(standing: &Standing, run: RunId, cause: String) -> Opened {
    standing
        .failing
        .as_ref()
        .map_or(Opened { run, cause }, |failing| Opened {
            run: failing.first,
            cause: failing.cause.clone(),
        })
}

/// The end of a rollout. `configured`: the app as it is now; `None`: it is configured no more.
#[must_use]
pub fn rollout_ended(
    state: &RolloutState,
    conclusion: &RolloutConclusion,
    configured: Option<&App>,
    email: Option<&EmailPolicy>,
    now: Timestamp,
) -> Told {
    let maintainers = configured.map(|app| app.maintainers.as_slice()).unwrap_or_default();
    let release = &state.release;
    let mut told = Told::default();
    told.facts.push(AppEvent::RolloutEnded {
        target: state.target.name.clone(),
        release: release.run,
        rollout: state.id,
        conclusion: conclusion.clone(),
        worked: state.worked(conclusion, now),
    });
    let keys = || notify::rollout_keys(state.id, RolloutMessage::First);
    let (app, target, rollout) = (state.app.clone(), state.target.name.clone(), state.id);
    match conclusion {
        RolloutConclusion::Done => {
            let body = NoticeBody::RolledOut {
                app,
                target,
                rollout,
                tag: release.tag.clone(),
                digest: release
                    .digest
                    .as_ref()
                    .map_or(release.image.to_string(), ToString::to_string),
                change: release.change.clone(),
                units: containers(state),
            };
            told.notices
                .extend(mail(&keys(), Fault::Repo, maintainers, email, &body, now));
        }
        RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. } => {}
        // Whoever took it back knows.
        RolloutConclusion::Refused { failure } | RolloutConclusion::Reverted { failure }
            if failure.kind == FailureKind::TakenBack => {}
        RolloutConclusion::Refused { failure } => {
            let body = NoticeBody::RolloutRefused {
                app,
                target,
                rollout,
                failure: failure.clone(),
            };
            told.notices
                .extend(mail(&keys(), failure.fault(), maintainers, email, &body, now));
        }
        RolloutConclusion::Reverted { failure } if failure.kind == FailureKind::WindowClosed => {
            let tag = release.tag.clone();
            let body = NoticeBody::RolloutUntimely(Box::new(Untimely {
                app,
                target,
                rollout,
                tag,
                failure: failure.clone(),
            }));
            told.notices
                .extend(mail(&keys(), failure.fault(), maintainers, email, &body, now));
        }
        RolloutConclusion::Reverted { .. } | RolloutConclusion::Stuck { .. } => {
            if let Some((reason, body)) = halt(state, conclusion, configured, now) {
                told.facts.extend(quarantined(state, conclusion));
                told.facts.push(AppEvent::Halted {
                    reason,
                    settings: configured.cloned().map(Box::new),
                });
                let everyone = everyone(maintainers, email);
                told.notices
                    .extend(mail(&keys(), Fault::Repo, &everyone, email, &body, now));
            }
        }
    }
    told
}

/// A release has waited too long for its target. `waits`: since when, and for what. One message per wait, however many
/// releases take each other's place meanwhile.
#[must_use]
pub fn rollout_waits(
    state: &RolloutState,
    waits: (Timestamp, WaitReason),
    maintainers: &[String],
    email: Option<&EmailPolicy>,
    now: Timestamp,
) -> Vec<Notice> {
    let (since, reason) = waits;
    let keys = notify::waits_keys(&state.app, &state.target.name, since);
    let body = NoticeBody::RolloutWaits(Box::new(LongWait {
        app: state.app.clone(),
        target: state.target.name.clone(),
        rollout: state.id,
        tag: state.release.tag.clone(),
        timezone: state.timezone.clone(),
        since,
        reason,
    }));
    // The maintainers' release waits, for the operators' window.
    let everyone = everyone(maintainers, email);
    mail(&keys, Fault::Repo, &everyone, email, &body, now)
}

/// Why the rollout's end halts its app, and what is told of it; `None` when it does not.
pub(super) fn halt(
    state: &RolloutState,
    conclusion: &RolloutConclusion,
    app: Option<&App>,
    now: Timestamp,
) -> Option<(HaltReason, NoticeBody)> {
    let (reason, back) = match conclusion {
        // Nothing is wrong with the release: it is neither quarantined nor the app halted. Or both was done before.
        RolloutConclusion::Reverted { failure }
            if matches!(failure.kind, FailureKind::WindowClosed | FailureKind::TakenBack) =>
        {
            return None;
        }
        RolloutConclusion::Reverted { failure } => {
            let failure = failure.clone();
            (HaltReason::Reverted { failure }, true)
        }
        RolloutConclusion::Stuck { failure } => {
            let failure = failure.clone();
            let reason = if state.target.irreversible && state.reverting.is_none() {
                HaltReason::Irreversible { failure }
            } else {
                HaltReason::Stuck { failure }
            };
            (reason, false)
        }
        RolloutConclusion::Done
        | RolloutConclusion::AlreadyThere
        | RolloutConclusion::Superseded { .. }
        | RolloutConclusion::Refused { .. } => return None,
    };
    let body = NoticeBody::Halted {
        app: state.app.clone(),
        target: Some(state.target.name.clone()),
        rollout: Some(state.id),
        reason: reason.clone(),
        tag: Some(state.release.tag.clone()),
        back,
        log: state.kept_logs(),
        incident: Some(Box::new(state.incident(Some((conclusion, now))))),
        require: app.map(|app| app.halt.require).unwrap_or_default(),
    };
    Some((reason, body))
}

/// How many containers or services were moved; 0: whatever a command moved.
fn containers(state: &RolloutState) -> usize {
    match &state.moving {
        Moving::Containers(_) | Moving::Services(_) => state.breadth(),
        Moving::Command(_) => 0,
    }
}

/// The digest and the same content under another digest are never tried again by themselves, where the release is to blame.
fn quarantined(state: &RolloutState, conclusion: &RolloutConclusion) -> Option<AppEvent> {
    let release = &state.release;
    state.condemns(conclusion).then(|| AppEvent::Quarantined {
        content: release.content.clone(),
        image: release.image.clone(),
        digest: release.digest.clone(),
    })
}

/// A halt concerns both: the maintainers' image failed, the operators' service moved.
fn everyone(maintainers: &[String], email: Option<&EmailPolicy>) -> Vec<String> {
    let operators = email.iter().flat_map(|policy| policy.operators.iter());
    maintainers.iter().chain(operators).cloned().collect()
}

/// An operator let the app go on. `rollout`: the one that halted it, whose thread hears of it.
#[must_use]
pub fn resumed(
    app: &AppName,
    by: &str,
    lifted: &Lifted,
    rollout: Option<RolloutId>,
    maintainers: &[String],
    email: Option<&EmailPolicy>,
    now: Timestamp,
) -> Told {
    let body = resume_body(app, by, lifted);
    let notices = rollout.map(|rollout| {
        let keys = notify::rollout_keys(rollout, RolloutMessage::Resumed);
        mail(&keys, Fault::Repo, maintainers, email, &body, now)
    });
    Told {
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

/// A notice per recipient: each is delivered, tried again and threaded on its own, so that one bad address keeps nothing
/// from the others and brings nobody a second copy.
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
