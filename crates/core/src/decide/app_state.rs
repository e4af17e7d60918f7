//! The state of an app that outlives its runs, as a fold of the app's events, and the decision what to do next.

use super::follow;
use crate::fleet::app::App;
use crate::fleet::app_state::{AppEvent, UnfixableUpdates};
use jiff::Timestamp;
use lowtide_model::failure::{FailureKind, HaltReason};
use lowtide_model::freshness::{Because, Inputs, Judged};
use lowtide_model::halt::{OpenIncident, OperatorRollback};
use lowtide_model::image::ManifestDigest;
use lowtide_model::journal::Recorded;
use lowtide_model::name::{ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::release::Release;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::stages::pull::SeenImage;
use std::collections::BTreeMap;

mod again;
mod channel;
mod next;
mod probation;
mod registry;
mod target;

pub use crate::fleet::app_state::{
    AppState, ChannelState, Failing, Probation, Record, Refused, RegistryDifference, TargetState, Unpromoted, Waits,
};
pub use again::{Apart, Drifted, Occasion, Refusal};
pub use next::{Next, Promotion, channel_reference, expected, next, undertaken, wakes};

/// Releases remembered per app; older ones live on in the journal only.
const RELEASES: usize = 20;

/// How many of them retain their list of changes. Only reports about new releases show it, and it would be most of a checkpoint.
const CHANGES: usize = 2;

/// Operators' reverts remembered per app: a daily report looks back one day.
const OPERATOR_ROLLBACKS: usize = 10;

/// Folds an app's stream. Every sequence is legal: these are facts, not a protocol. A checkpoint is most of a stream,
/// so it is moved and not copied.
#[must_use]
pub fn fold(events: Vec<Recorded<AppEvent>>) -> AppState {
    let mut app_state = AppState::default();
    for recorded in events {
        if let AppEvent::Checkpoint { app_state: whole } = recorded.event {
            app_state = whole.begun(recorded.at);
        } else {
            app_state.apply(&recorded);
        }
    }
    app_state
}

/// One event that replaces all of these: folding it and any later events gives the same state as folding all of them.
#[must_use]
pub fn checkpoint(events: Vec<Recorded<AppEvent>>) -> AppEvent {
    AppEvent::Checkpoint {
        app_state: Box::new(fold(events)),
    }
}

impl AppState {
    /// The clock ran fast and has been corrected: timestamps in the future are set to `now`.
    pub fn forget_the_future(&mut self, now: Timestamp) {
        let times = [self.tracked.as_mut(), self.schedule_fired.as_mut()]
            .into_iter()
            .flatten();
        let times = times
            .chain(self.halted.as_mut().map(|(at, _)| at))
            .chain(self.failing.as_mut().map(|failing| &mut failing.since))
            .chain(self.unfixable.as_mut().map(|(since, _)| since))
            .chain(self.judged.as_mut().map(|judged| &mut judged.at))
            .chain(self.seen.iter_mut().map(|seen| &mut seen.at))
            .chain(self.incidents.iter_mut().map(|incident| &mut incident.at))
            .chain(
                self.operator_rollbacks
                    .iter_mut()
                    .map(|operator_rollback| &mut operator_rollback.at),
            );
        let channels = self.channels.values_mut().filter_map(|state| state.failing.as_mut());
        let times = times.chain(channels.flat_map(|failing| [&mut failing.since, &mut failing.at]));
        let targets = self.targets.values_mut().flat_map(|target| {
            let waits = target.waits.as_mut().map(|waits| &mut waits.since);
            let refused = target.refused.as_mut().map(|refused| &mut refused.since);
            let drift = target.drift.as_mut().map(|(since, _)| since);
            target
                .tried
                .as_mut()
                .into_iter()
                .chain(waits)
                .chain(refused)
                .chain(drift)
        });
        let registry = self.registry.iter_mut().map(|difference| &mut difference.since);
        let times = times.chain(targets).chain(registry);
        for time in times {
            *time = (*time).min(now);
        }
    }

    /// One transition function for replay and for the live state.
    pub fn apply(&mut self, recorded: &Recorded<AppEvent>) {
        let at = recorded.at;
        match &recorded.event {
            AppEvent::Tracked => self.tracked = Some(at),
            // A slot fires only after its time has come: a later one was written by a clock that ran fast.
            AppEvent::ScheduleFired { slot, .. } => self.schedule_fired = Some((*slot).min(at)),
            AppEvent::Released { release } => self.add_release(release),
            AppEvent::Retested { release, sidecars } => self.retested(*release, sidecars),
            AppEvent::BasesKnown { bases } => self.bases.clone_from(bases),
            AppEvent::ImagesSeen { images } => self.see(images, at),
            AppEvent::Judged { inputs, because } => self.judge(inputs, because, at),
            AppEvent::UnfixableUpdates { unfixable } => self.set_unfixable(unfixable, at),
            AppEvent::RunFailed { run, cause } => self.fail(*run, cause, at),
            AppEvent::RunRecovered { .. } => self.failing = None,
            AppEvent::Promoted { channel, release } => self.channels.entry(channel.clone()).or_default().fill(*release),
            AppEvent::PromoteFailed {
                channel,
                release,
                since,
                failure,
            } => {
                let state = self.channels.entry(channel.clone()).or_default();
                state.fail(*release, *since, failure, at);
            }
            AppEvent::Again { targets, channels } => self.try_again(targets, channels),
            AppEvent::Adopted { target, image } => {
                self.targets.entry(target.clone()).or_default().adopted = Some(image.clone());
            }
            AppEvent::RolloutOpened {
                target,
                release,
                rollout,
            } => self.open(target, *release, *rollout, at),
            AppEvent::RolloutEnded {
                target,
                release,
                rollout,
                conclusion,
                worked,
                placed,
            } => {
                self.end(target, (*rollout, *release), conclusion, at);
                let state = self.targets.entry(target.clone()).or_default();
                state.learn((*rollout, *release), worked.as_ref(), placed.as_ref());
            }
            AppEvent::Drifted { target, rollout, drift } => {
                let state = self.targets.entry(target.clone()).or_default();
                state.drifts(*rollout, drift.as_ref(), at);
            }
            AppEvent::RegistryDrifted {
                reference,
                release,
                drift,
            } => self.registry_drifts(reference, *release, drift.as_ref(), at),
            AppEvent::Halted { reason, settings } => self.halt(reason, settings.as_deref(), at),
            AppEvent::Quarantined { content, .. } => self.put_in_quarantine(content),
            AppEvent::Unquarantined { content, .. } => self.take_out_of_quarantine(content),
            AppEvent::Resumed { probation, .. } => self.resume(*probation),
            AppEvent::Expedited { unhealthy, .. } => self.expedited = Some(*unhealthy),
            AppEvent::RequestCompleted => self.expedited = None,
            // What follows from these is in a run's own stream, in the registry and in the table of pushed tags.
            AppEvent::Cancelled { .. }
            | AppEvent::PromoteStarted { .. }
            | AppEvent::TagsExpired { .. }
            | AppEvent::TagsRemoved { .. } => {}
            AppEvent::Checkpoint { app_state } => *self = (**app_state).clone().begun(at),
        }
    }

    /// The state that a checkpoint written at `at` contains. After a clock ran fast, `store::future` corrects the times
    /// of events, but not those inside a checkpoint: they are limited to the checkpoint's own time here.
    fn begun(mut self, at: Timestamp) -> Self {
        self.forget_the_future(at);
        self
    }

    fn judge(&mut self, inputs: &Inputs, because: &[Because], at: Timestamp) {
        self.last_release = None;
        self.judged = Some(Judged {
            inputs: inputs.clone(),
            at,
            because: because.to_vec(),
        });
    }

    fn see(&mut self, images: &[(String, ManifestDigest)], at: Timestamp) {
        let seen = images.iter().map(|(tag, manifest)| SeenImage {
            tag: tag.clone(),
            manifest: manifest.clone(),
            at,
        });
        self.seen.extend(seen);
        let mut surplus = self.seen.len().saturating_sub(follow::SEEN);
        // Without the entry of what runs, a tag that is moved back would look like a new image.
        let releases = &self.releases;
        let runs = |seen: &SeenImage| {
            let upstream = releases.iter().filter_map(|release| release.upstream.as_deref());
            upstream
                .into_iter()
                .any(|it| it.tag == seen.tag && it.manifest == seen.manifest)
        };
        self.seen.retain(|seen| {
            let goes = surplus > 0 && !runs(seen);
            surplus -= usize::from(goes);
            !goes
        });
    }

    fn fail(&mut self, run: RunId, cause: &str, at: Timestamp) {
        let (first, since) = self.failing.as_ref().map_or((run, at), |f| (f.first, f.since));
        self.failing = Some(Failing {
            first,
            since,
            cause: cause.to_owned(),
        });
    }

    fn halt(&mut self, reason: &HaltReason, settings: Option<&App>, at: Timestamp) {
        self.halted = Some((at, reason.clone()));
        match reason {
            HaltReason::Reverted { .. } | HaltReason::Irreversible { .. } | HaltReason::Stuck { .. } => {}
            HaltReason::Operator { .. } => return,
            HaltReason::Withdrawn { by, why, tag, release } => {
                return self.roll_back_by_operator(by, why, (tag, *release), at);
            }
        }
        self.settings = settings.cloned().map(Box::new);
        // A halt ends any probation; lifting it may begin a new one.
        self.probation = Probation::default();
        let by = |(target, state): (&TargetName, &TargetState)| {
            let (rollout, release) = state.ended.filter(|(rollout, _)| Some(*rollout) == self.halted_by)?;
            Some(OpenIncident {
                rollout,
                target: target.clone(),
                at,
                commit: self.release(release).and_then(|release| release.commit.clone()),
            })
        };
        let incident = self.targets.iter().find_map(by);
        self.incidents.extend(incident);
    }

    fn resume(&mut self, probation: u32) {
        self.halted = None;
        self.incidents.clear();
        self.settings = None;
        // Lifting an operator's own halt does not end a probation.
        if probation > 0 {
            self.probation = Probation::begin(probation);
        }
        // Refused rollouts may be tried again, because a person has looked at them.
        for target in self.targets.values_mut() {
            target.last = None;
        }
    }

    fn roll_back_by_operator(&mut self, by: &str, why: &str, (tag, release): (&str, RunId), at: Timestamp) {
        let open = self.targets.values().filter_map(|target| target.open);
        let turning = open.filter(|(_, run)| *run == release).map(|(rollout, _)| rollout);
        self.operator_rollbacks.push(OperatorRollback {
            at,
            by: by.to_owned(),
            why: why.to_owned(),
            tag: tag.to_owned(),
            release,
            rollouts: turning.collect(),
        });
        let surplus = self.operator_rollbacks.len().saturating_sub(OPERATOR_ROLLBACKS);
        self.operator_rollbacks.drain(..surplus);
    }

    fn try_again(&mut self, targets: &[TargetName], channels: &[ChannelName]) {
        for target in targets {
            if let Some(state) = self.targets.get_mut(target) {
                state.last = None;
                state.restore = state.drift.is_some();
            }
        }
        for channel in channels {
            if let Some(state) = self.channels.get_mut(channel) {
                state.again();
            }
        }
    }

    fn add_release(&mut self, release: &Release) {
        self.last_release = Some(release.run);
        self.releases.push(release.clone());
        self.forget_releases();
    }

    /// Forgets the oldest releases over the limit, except those that a target or a channel has or would roll back to.
    fn forget_releases(&mut self) {
        let targets = self
            .targets
            .values()
            .flat_map(|target| [target.current, target.previous]);
        let channels = self
            .channels
            .values()
            .flat_map(|channel| [channel.current, channel.previous]);
        let referenced: Vec<RunId> = targets.chain(channels).flatten().collect();
        let mut surplus = self.releases.len().saturating_sub(RELEASES);
        self.releases.retain(|release| {
            let goes = surplus > 0 && !referenced.contains(&release.run);
            surplus -= usize::from(goes);
            !goes
        });
        let older = self.releases.len().saturating_sub(CHANGES);
        for release in self
            .releases
            .iter_mut()
            .take(older)
            .filter(|release| !referenced.contains(&release.run))
        {
            release.change = None;
        }
    }

    fn retested(&mut self, release: RunId, sidecars: &BTreeMap<String, String>) {
        if let Some(tested) = self.releases.iter_mut().find(|known| known.run == release) {
            tested.sidecars.clone_from(sidecars);
        }
    }

    fn set_unfixable(&mut self, unfixable: &UnfixableUpdates, at: Timestamp) {
        let since = self.unfixable.as_ref().map_or(at, |(since, _)| *since);
        self.unfixable = (!unfixable.is_empty()).then(|| (since, unfixable.clone()));
    }

    fn open(&mut self, target: &TargetName, release: RunId, rollout: RolloutId, at: Timestamp) {
        let security = self.brings_security();
        let probation = self.is_on_probation(target, release);
        let state = self.targets.entry(target.clone()).or_default();
        state.open = Some((rollout, release));
        state.tried = Some(at);
        state.probation = probation;
        state.restore = false;
        let waits = state.waits.get_or_insert(Waits { since: at, security });
        waits.security |= security;
        // While an operator's revert lasts, nothing else is opened.
        let operator_rollbacks = matches!(self.halted, Some((_, HaltReason::Withdrawn { .. })));
        if let Some(operator_rollback) = self.operator_rollbacks.last_mut().filter(|_| operator_rollbacks) {
            operator_rollback.rollouts.push(rollout);
        }
    }

    fn end(
        &mut self,
        target: &TargetName,
        (rollout, release): (RolloutId, RunId),
        conclusion: &RolloutConclusion,
        at: Timestamp,
    ) {
        let ended_badly = match conclusion {
            RolloutConclusion::Reverted { failure } => failure.kind != FailureKind::Withdrawn,
            RolloutConclusion::Stuck { .. } => true,
            RolloutConclusion::Done
            | RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. } => false,
        };
        if ended_badly {
            self.halted_by = Some(rollout);
        }
        let withdrawn = self
            .release(release)
            .is_some_and(|release| self.is_quarantined(release));
        let state = self.targets.entry(target.clone()).or_default();
        state.end((rollout, release), conclusion, withdrawn, at);
        let tried = std::mem::take(&mut state.probation);
        if tried && *conclusion == RolloutConclusion::Done {
            self.probation.arrive(target, release);
        }
        // The target no longer runs the image whose missing fixes were recorded.
        let arrived = target::has_arrived(conclusion);
        if let Some((_, unfixable)) = self.unfixable.as_mut().filter(|_| arrived) {
            unfixable.running.remove(target);
        }
        self.unfixable.take_if(|(_, unfixable)| unfixable.is_empty());
    }

    /// Was the last build made for security fixes?
    fn brings_security(&self) -> bool {
        self.fixes_brought() > 0
    }

    /// Security fixes that the last build brought.
    fn fixes_brought(&self) -> usize {
        let because = self.judged.as_ref().map(|judged| judged.because.as_slice());
        let security = |one: &Because| match one {
            Because::Pending { security, .. } => *security,
            Because::First
            | Because::Asked { .. }
            | Because::Commit { .. }
            | Because::Base { .. }
            | Because::Newer { .. }
            | Because::Moved { .. }
            | Because::Settings
            | Because::Unseen { .. }
            | Because::Age { .. } => 0,
        };
        because.unwrap_or_default().iter().map(security).sum()
    }

    /// The security fixes that the last build brought, if some target does not run them: the release is quarantined, or
    /// has not arrived there. Otherwise 0.
    #[must_use]
    pub fn unused_fixes(&self) -> usize {
        let arrived = |target: &TargetState| target.current.is_some() && target.current == self.last_release;
        if self.targets.values().all(arrived) {
            0
        } else {
            self.fixes_brought()
        }
    }

    /// The newest release that is not quarantined: what a rebuild is compared with and what rolls out.
    #[must_use]
    pub fn current(&self) -> Option<&Release> {
        self.releases.iter().rev().find(|release| !self.is_quarantined(release))
    }

    /// Is a rollout of this release to this target one of the first after an incident? A rollback never is. While the
    /// app is halted, only rollbacks are opened.
    #[must_use]
    pub fn is_on_probation(&self, target: &TargetName, release: RunId) -> bool {
        let news = self.targets.get(target).is_none_or(|state| state.is_news(release));
        news && self.halted.is_none() && self.probation.left(target) > 0
    }

    /// The release that an operator's revert brings to this target; `None`: there is none, or it is quarantined itself.
    #[must_use]
    pub fn way_back<'a>(&'a self, target: &'a TargetState) -> Option<&'a Release> {
        let before = target.previous?;
        let adopted = target.adopted.as_deref().filter(|adopted| adopted.run == before);
        let before = adopted.or_else(|| self.release(before))?;
        (!self.is_quarantined(before)).then_some(before)
    }

    /// A release of ours, or an image that was there before the first one.
    #[must_use]
    pub fn release(&self, run: RunId) -> Option<&Release> {
        let adopted = self.targets.values().filter_map(|target| target.adopted.as_deref());
        self.releases.iter().chain(adopted).find(|release| release.run == run)
    }

    /// Since when the app is halted, and the rollout whose incident is open; `None`: it is not halted.
    #[must_use]
    pub fn halt_to_lift(&self) -> Option<(Timestamp, Option<RolloutId>)> {
        let (since, _) = self.halted.as_ref()?;
        // Not `halted_by`: it outlives its halt.
        Some((*since, self.incidents.last().map(|incident| incident.rollout)))
    }

    /// The operator's revert that this rollout is part of.
    #[must_use]
    pub fn operator_rollback_of(&self, rollout: RolloutId) -> Option<&OperatorRollback> {
        let mut newest_first = self.operator_rollbacks.iter().rev();
        newest_first.find(|operator_rollback| operator_rollback.rollouts.contains(&rollout))
    }
}

#[cfg(test)]
pub(super) mod tests;
