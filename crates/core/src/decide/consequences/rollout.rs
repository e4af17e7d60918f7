//! What the end of a rollout means for its app.

use super::Consequences;
use crate::decide::app_state::AppState;
use crate::decide::notify::{self, RolloutMessage};
use crate::decide::quarantine;
use crate::decide::rollout::RolloutState;
use crate::fleet::app::App;
use crate::fleet::app_state::AppEvent;
use jiff::Timestamp;
use lowtide_model::failure::{FailureKind, HaltReason, WaitReason};
use lowtide_model::message::{Addressees, LongWait, Message, MessageBody, RequestedBy, Untimely, WentBack};
use lowtide_model::release::Release;
use lowtide_model::rollout::{Purpose, RolloutConclusion};

/// Inputs for reporting the end of a rollout.
#[derive(Debug, Clone, Copy)]
pub struct RolloutEnd<'a> {
    /// Before the rollout ended.
    pub app_state: &'a AppState,
    /// The app's current configuration; `None`: it is no longer configured.
    pub app: Option<&'a App>,
    /// What the target ran before, where that was no release of ours.
    pub adopted: Option<&'a Release>,
}

/// The end of a rollout.
#[must_use]
pub fn rollout_ended(
    state: &RolloutState,
    conclusion: &RolloutConclusion,
    end: &RolloutEnd<'_>,
    now: Timestamp,
) -> Consequences {
    let release = &state.release;
    let mut out = Consequences::default();
    out.facts.extend(adopted(state, conclusion, end));
    out.facts.push(AppEvent::RolloutEnded {
        target: state.target.name.clone(),
        release: release.run,
        rollout: state.id,
        conclusion: conclusion.clone(),
        worked: state.worked(conclusion, now),
        placed: state.placed(conclusion),
    });
    let keys = || notify::rollout_keys(state.id, RolloutMessage::First);
    let (app, target, rollout) = (state.app.clone(), state.target.name.clone(), state.id);
    match conclusion {
        RolloutConclusion::Done => {
            out.push_message(keys(), Addressees::Maintainers, arrived(state, end.app_state), now);
        }
        RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. } => {}
        // No notice: the operator who withdrew the release knows.
        RolloutConclusion::Refused { failure } | RolloutConclusion::Reverted { failure }
            if failure.kind == FailureKind::Withdrawn => {}
        RolloutConclusion::Refused { failure } => {
            let known = end
                .app_state
                .targets
                .get(&target)
                .and_then(|known| known.refused.as_deref());
            let first = known.map_or((state.id, notify::trouble(failure)), |known| {
                (known.first, known.cause.clone())
            });
            let keys = notify::refusal_keys(&first, failure);
            let body = MessageBody::RolloutRefused {
                app,
                target,
                rollout,
                failure: failure.clone(),
            };
            out.push_message(keys, Addressees::of(failure.fault()), body, now);
        }
        RolloutConclusion::Reverted { failure } if failure.kind == FailureKind::WindowClosed => {
            let tag = release.tag.clone();
            let body = MessageBody::RolloutUntimely(Box::new(Untimely {
                app,
                target,
                rollout,
                tag,
                failure: failure.clone(),
            }));
            out.push_message(keys(), Addressees::of(failure.fault()), body, now);
        }
        RolloutConclusion::Reverted { .. } | RolloutConclusion::Stuck { .. } => {
            if let Some((reason, body)) = halt(state, conclusion, end.app, now) {
                out.facts.extend(quarantine::of_rollout(state, conclusion));
                out.facts.push(AppEvent::Halted {
                    reason,
                    settings: end.app.cloned().map(Box::new),
                });
                // The maintainers' image failed, the operators' service moved.
                out.push_message(keys(), Addressees::Both, body, now);
            }
        }
    }
    out
}

/// Records the image that ran on the target before lowtide's first release, once that release has arrived.
fn adopted(state: &RolloutState, conclusion: &RolloutConclusion, end: &RolloutEnd<'_>) -> Option<AppEvent> {
    let known = end
        .app_state
        .targets
        .get(&state.target.name)
        .and_then(|known| known.current);
    let first = known.is_none() && *conclusion == RolloutConclusion::Done;
    end.adopted.filter(|_| first).map(|image| AppEvent::Adopted {
        target: state.target.name.clone(),
        image: Box::new(image.clone()),
    })
}

/// The notice about a completed rollout: a new release runs, or the target was rolled back.
fn arrived(state: &RolloutState, app_state: &AppState) -> MessageBody {
    let (app, target, release) = (state.app.clone(), state.target.name.clone(), &state.release);
    match state.purpose {
        Purpose::Release | Purpose::Probation => MessageBody::RolledOut {
            app,
            target,
            rollout: state.id,
            tag: release.tag.clone(),
            digest: release
                .digest
                .as_ref()
                .map_or(release.images.first().image.to_string(), ToString::to_string),
            commit: release.commit.clone(),
            change: release.change.clone(),
            units: state.kind.counted_units(),
        },
        Purpose::Revert => {
            let ran = app_state
                .targets
                .get(&target)
                .and_then(|known| app_state.release(known.current?));
            let operator_rollback = app_state.operator_rollback_of(state.id);
            let from = operator_rollback.map(|operator_rollback| operator_rollback.tag.clone());
            MessageBody::WentBack(Box::new(WentBack {
                app,
                target,
                rollout: state.id,
                tag: release.tag.clone(),
                commit: release.commit.clone(),
                from: from.or_else(|| ran.map(|release| release.tag.clone())),
                asked: operator_rollback.map(|operator_rollback| RequestedBy {
                    by: operator_rollback.by.clone(),
                    why: operator_rollback.why.clone(),
                }),
                units: state.kind.counted_units(),
            }))
        }
    }
}

/// A release has waited too long for its target: since when, and for what. One message per wait, however many
/// releases take each other's place meanwhile.
#[must_use]
pub fn rollout_waits(state: &RolloutState, (since, reason): (Timestamp, WaitReason), now: Timestamp) -> Message {
    let keys = notify::waits_keys(&state.app, &state.target.name, since);
    let body = MessageBody::RolloutWaits(Box::new(LongWait {
        app: state.app.clone(),
        target: state.target.name.clone(),
        rollout: state.id,
        tag: state.release.tag.clone(),
        timezone: state.timezone.clone(),
        since,
        reason,
    }));
    Message {
        keys,
        // The maintainers' release waits for the operators' window.
        addressees: Addressees::Both,
        at: now,
        body,
    }
}

/// Why the end of the rollout halts its app, and the notice about it; `None` if it does not.
pub(super) fn halt(
    state: &RolloutState,
    conclusion: &RolloutConclusion,
    app: Option<&App>,
    now: Timestamp,
) -> Option<(HaltReason, MessageBody)> {
    let (reason, back) = match conclusion {
        // Closed window: nothing is wrong with the release, so neither quarantine nor halt. Withdrawn release: both
        // were done already.
        RolloutConclusion::Reverted { failure }
            if matches!(failure.kind, FailureKind::WindowClosed | FailureKind::Withdrawn) =>
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
    let body = MessageBody::Halted {
        app: state.app.clone(),
        target: Some(state.target.name.clone()),
        rollout: Some(state.id),
        reason: reason.clone(),
        tag: Some(state.release.tag.clone()),
        back,
        log: state.kind.saved_logs(),
        incident: Some(Box::new(state.incident(Some((conclusion, now))))),
        require: app.map(|app| app.halt.require).unwrap_or_default(),
    };
    Some((reason, body))
}
