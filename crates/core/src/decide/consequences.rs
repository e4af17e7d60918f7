//! What the end of a run or a rollout means for its app, and who is notified. The facts and the messages are written in
//! the transaction of the event that caused them.

use super::app_state::{AppState, Occasion};
use super::commit_link;
use super::follow;
use super::freshness;
use super::halt::Lifted;
use super::notify::{self, Opened, RolloutMessage};
use super::run::RunState;
use super::unfixable;
use crate::fleet::app_state::AppEvent;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lowtide_model::failure::{Failure, Fault, SkipReason};
use lowtide_model::freshness::{Because, Behind};
use lowtide_model::message::{Addressees, Built, Keys, Message, MessageBody};
use lowtide_model::name::{AppName, RolloutId, RunId};
use lowtide_model::run::{Conclusion, Stage};
use lowtide_model::stages::resolve::{Base, Resolved};

mod promotion;
mod record;
mod rollout;

pub use promotion::{promoted, promotion_failed};
pub use record::effect_started;
pub use rollout::{RolloutEnd, rollout_ended, rollout_waits};

/// Facts for the app's stream, messages for the channels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Consequences {
    pub facts: Vec<AppEvent>,
    pub messages: Vec<Message>,
}

/// Inputs for reporting the end of a run.
#[derive(Debug, Clone, Copy)]
pub struct RunEnd<'a> {
    /// Before the run ended.
    pub app_state: &'a AppState,
    /// Images that the last release was built from; `None`: not known, or not [needed](compared_with).
    pub last_bases: Option<&'a [Base]>,
    /// IANA zone of the fleet: a cause that many apps share is reported once per local day.
    pub timezone: &'a str,
}

/// The end of a run.
#[must_use]
pub fn run_ended(state: &RunState, conclusion: &Conclusion, end: &RunEnd<'_>, now: Timestamp) -> Consequences {
    let app_state = end.app_state;
    let mut out = Consequences::default();
    if let Some(repository) = state.resolved.as_ref().and_then(Resolved::repository) {
        let bases: Vec<_> = repository
            .bases
            .iter()
            .map(|base| base.reference.repository.clone())
            .collect();
        if bases != app_state.bases {
            out.facts.push(AppEvent::BasesKnown { bases });
        }
    }
    out.facts.extend(seen(state, app_state));
    out.facts.extend(judged(state, conclusion));
    unfixable(&mut out, state, app_state, conclusion, now);
    match conclusion {
        Conclusion::Failed { stage, failure } => run_failed(&mut out, state, end, (*stage, failure), now),
        Conclusion::Released { release } => {
            out.facts.push(AppEvent::Released {
                release: Box::new(release.clone()),
            });
            recovered(&mut out, state, app_state, now);
            passed(&mut out, state, app_state, Some(&release.tag), false, now);
        }
        Conclusion::Observed { release } => {
            // Remembered, so that the next night compares with it; app_state::next never acts on it in observe mode.
            out.facts.push(AppEvent::Released {
                release: Box::new(release.clone()),
            });
            recovered(&mut out, state, app_state, now);
            passed(&mut out, state, app_state, Some(&release.tag), true, now);
        }
        Conclusion::Unchanged {
            why: SkipReason::SameContent | SkipReason::SameAgain { .. },
        } => {
            recovered(&mut out, state, app_state, now);
            passed(&mut out, state, app_state, None, false, now);
        }
        // Nothing was built, or its content is quarantined: nothing new is known about the commit.
        Conclusion::Unchanged {
            why:
                SkipReason::NothingToGain { .. }
                | SkipReason::Quarantined { .. }
                | SkipReason::NothingNewer { .. }
                | SkipReason::WentBack { .. }
                | SkipReason::Soaking { .. },
        } => recovered(&mut out, state, app_state, now),
        Conclusion::Retested { sidecars } => {
            out.facts.extend(state.last.as_ref().map(|release| AppEvent::Retested {
                release: release.run,
                sidecars: sidecars.clone(),
            }));
            recovered(&mut out, state, app_state, now);
        }
        Conclusion::Cancelled { .. } => {}
    }
    out.facts.extend(again(state, app_state, conclusion, now));
    record::ended(&mut out, state, conclusion, now);
    out
}

/// The end of a run, manual or automatic, also retries refused rollouts, even if the run failed: the pending release
/// exists. A new release replaces the pending one anyway, and whoever cancels a run wants nothing to move.
fn again(state: &RunState, app_state: &AppState, conclusion: &Conclusion, now: Timestamp) -> Option<AppEvent> {
    match conclusion {
        Conclusion::Unchanged { .. } | Conclusion::Retested { .. } | Conclusion::Failed { .. } => {
            app_state.again(Occasion::of(&state.trigger), now)
        }
        Conclusion::Released { .. } | Conclusion::Observed { .. } | Conclusion::Cancelled { .. } => None,
    }
}

/// The clock of `min_age` starts when lowtide first sees an image, however the run ends.
fn seen(state: &RunState, app_state: &AppState) -> Option<AppEvent> {
    let listed = state.resolved.as_ref()?.listed();
    let new = follow::unseen(listed, &app_state.seen);
    let images: Vec<_> = new.map(|image| (image.tag.clone(), image.manifest.clone())).collect();
    (!images.is_empty()).then_some(AppEvent::ImagesSeen { images })
}

/// Records the inputs of a build whose outcome is known. A failed build is not recorded and so is tried again: its
/// tests or its environment may have been at fault. Upgrades that the build showed to be out of reach are recorded as
/// tried.
fn judged(state: &RunState, conclusion: &Conclusion) -> Option<AppEvent> {
    let resolved = state.resolved.as_ref()?;
    let built = state.build.as_ref().map(|(build, _)| build.because.clone());
    let because = built.or_else(|| pulled_because(state))?;
    match conclusion {
        // Too young: it is taken later.
        Conclusion::Unchanged {
            why: SkipReason::Soaking { .. },
        } => None,
        Conclusion::Released { .. } | Conclusion::Observed { .. } | Conclusion::Unchanged { .. } => {
            let mut inputs = resolved.assessment.inputs.clone();
            if let Some(inspected) = &state.inspected {
                let left = inspected.left.out_of_reach();
                inputs
                    .gains
                    .extend(left.map(|pending| (freshness::key(pending), pending.candidate.clone())));
            }
            if let Some((pull, _)) = &state.pulled {
                let tag = follow::named(&pull.from.repository, &pull.image.tag);
                inputs.bases.insert(tag, pull.image.manifest.to_string());
            }
            let inputs = Box::new(inputs);
            Some(AppEvent::Judged { inputs, because })
        }
        Conclusion::Retested { .. } | Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => None,
    }
}

/// Why an image of others was pulled, with the fixes that it turned out to bring.
fn pulled_because(state: &RunState) -> Option<Vec<Because>> {
    let (pull, _) = state.pulled.as_ref()?;
    let mut because = pull.because.clone();
    if let (Some(resolved), Some(inspected)) = (&state.resolved, &state.inspected) {
        let Behind { packages, security } = follow::fixed(&resolved.assessment.survey, &inspected.left);
        if packages > 0 {
            because.push(Because::Pending { packages, security });
        }
    }
    Some(because)
}

/// Each version is reported once, with what would fix it, and not again every night.
fn unfixable(out: &mut Consequences, state: &RunState, app_state: &AppState, conclusion: &Conclusion, now: Timestamp) {
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
    let body = MessageBody::UnfixableUpdates {
        app: state.app.name.clone(),
        packages,
        unavailable_pins,
    };
    out.push_message(keys, Addressees::Maintainers, body, now);
}

fn run_failed(
    out: &mut Consequences,
    state: &RunState,
    end: &RunEnd<'_>,
    (stage, failure): (Stage, &Failure),
    now: Timestamp,
) {
    let app = &state.app.name;
    let is_retest = state.is_retest(stage);
    let failing = end.app_state.failing.as_ref();
    let cause = notify::cause(app, stage, failure);
    if failing.is_none_or(|failing| failing.cause != cause) {
        out.facts.push(AppEvent::RunFailed {
            run: state.id,
            cause: cause.clone(),
        });
    }
    let (first, since) = failing.map_or((state.id, now), |failing| (failing.first, failing.since));
    let opened = opened(end.app_state, state.id, cause);
    let keys = notify::run_failure_keys(app, stage, failure, &opened, local_day(end.timezone, now));
    let body = MessageBody::RunFailed {
        app: app.clone(),
        run: state.id,
        stage,
        // The commit of a release that is tested again has passed.
        commit: built(state).filter(|_| !is_retest),
        failure: failure.clone(),
        first,
        since,
        commit_to_blame: !is_retest && is_commit_to_blame(state, end.last_bases),
    };
    out.push_message(keys, Addressees::of(failure.fault()), body, now);
}

/// Is the commit the one input that changed since the last release? Unknown bases do not count as equal.
fn is_commit_to_blame(state: &RunState, last_bases: Option<&[Base]>) -> bool {
    let repository = state.resolved.as_ref().and_then(Resolved::repository);
    let (Some(last), Some(repository)) = (&state.last, repository) else {
        return false;
    };
    last.commit.as_ref() != Some(&repository.commit.id)
        && last_bases.is_some_and(|bases| bases.iter().eq(repository.images()))
}

/// The run whose bases a failing run is compared with; `None` where nothing depends on it.
#[must_use]
pub fn compared_with(state: &RunState, conclusion: &Conclusion) -> Option<RunId> {
    let failed = matches!(conclusion, Conclusion::Failed { failure, .. } if failure.fault() == Fault::Repo);
    let last = state.last.as_ref()?;
    let commit = &state.resolved.as_ref()?.commit()?.id;
    (failed && last.commit.as_ref() != Some(commit)).then_some(last.run)
}

/// The commit of a run, once it is resolved.
fn built(state: &RunState) -> Option<Box<Built>> {
    let commit = state.resolved.as_ref()?.commit()?;
    let source = state.app.source()?;
    Some(Box::new(Built {
        commit: commit.clone(),
        link: commit_link::link(&source.repo, &commit.id),
    }))
}

fn recovered(out: &mut Consequences, state: &RunState, app_state: &AppState, now: Timestamp) {
    let Some(failing) = &app_state.failing else { return };
    out.facts.push(AppEvent::RunRecovered { run: state.id });
    let opened = Opened {
        run: failing.first,
        cause: failing.cause.clone(),
    };
    let (keys, addressees) = notify::recovered_keys(&state.app.name, &opened);
    let body = MessageBody::RunRecovered {
        app: state.app.name.clone(),
        run: state.id,
    };
    out.push_message(keys, addressees, body, now);
}

/// The run proved its commit. `tag`: of the release; `None`: a rebuild changes nothing.
fn passed(
    out: &mut Consequences,
    state: &RunState,
    app_state: &AppState,
    tag: Option<&str>,
    observed: bool,
    now: Timestamp,
) {
    let Some(commit) = state.resolved.as_ref().and_then(Resolved::commit) else {
        return;
    };
    let (app, commit) = (&state.app.name, &commit.id);
    // A run that changes nothing is no news, unless the commit is new or failed before.
    let epoch = match (&app_state.failing, tag) {
        (Some(failing), None) => failing.first,
        (None, None) => state.last.as_ref().map_or(state.id, |last| last.run),
        (_, Some(_)) => state.id,
    };
    let body = MessageBody::RunPassed {
        app: app.clone(),
        run: state.id,
        commit: commit.clone(),
        tag: tag.map(ToOwned::to_owned),
        observed,
    };
    out.push_message(notify::passed_keys(app, commit, epoch), Addressees::Nobody, body, now);
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

/// An operator resumed the app. `halted`: since when it was halted, and by which rollout, whose thread the message joins;
/// where an operator had halted it, only a record is stored. `None`: it was not halted.
#[must_use]
pub fn resumed(
    app: &AppName,
    by: &str,
    lifted: &Lifted,
    halted: Option<(Timestamp, Option<RolloutId>)>,
    now: Timestamp,
) -> Consequences {
    let mut out = Consequences::default();
    out.facts.push(AppEvent::Resumed {
        by: by.to_owned(),
        why: lifted.why.clone(),
        form: lifted.form.clone().map(Box::new),
        probation: lifted.probation,
    });
    let body = MessageBody::Resumed {
        app: app.clone(),
        by: by.to_owned(),
        why: lifted.why.clone(),
        form: lifted.form.clone().map(Box::new),
        probation: lifted.probation,
    };
    match halted {
        Some((_, Some(rollout))) => {
            let keys = notify::rollout_keys(rollout, RolloutMessage::Resumed);
            out.push_message(keys, Addressees::Maintainers, body, now);
        }
        Some((since, None)) => out.push_message(notify::resumed_keys(app, since), Addressees::Nobody, body, now),
        None => {}
    }
    out
}

impl Consequences {
    fn push_message(&mut self, keys: Keys, addressees: Addressees, body: MessageBody, at: Timestamp) {
        self.messages.push(Message {
            keys,
            addressees,
            at,
            body,
        });
    }
}

fn local_day(timezone: &str, now: Timestamp) -> Date {
    now.to_zoned(TimeZone::get(timezone).unwrap_or(TimeZone::UTC)).date()
}

#[cfg(test)]
mod tests;
