//! What stays true of an app between runs: a fold of its events, and what to do about it next.

use crate::model::failure::{FailureKind, HaltReason};
use crate::model::fleet::{App, Channel, Mode, TargetPolicy};
use crate::model::freshness::{Because, Judged};
use crate::model::halt::OpenIncident;
use crate::model::image::{ContentDigest, ManifestDigest, Reference, Repository};
use crate::model::journal::Recorded;
use crate::model::name::{ChannelName, RolloutId, RunId, TargetName};
use crate::model::rollout::{Purpose, RolloutConclusion};
use crate::model::standing::{AppEvent, Release, Withheld, Worked};
use crate::model::window::Occurrence;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Rollouts whose length is remembered per target.
const LENGTHS: usize = 20;

/// Releases remembered per app; older ones live on in the journal only.
const RELEASES: usize = 20;

/// An app as its events tell it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// First sight: nothing before it was missed.
    pub tracked: Option<Timestamp>,
    /// Last schedule moment taken up.
    pub fired: Option<Timestamp>,
    /// Newest last.
    pub releases: Vec<Release>,
    pub channels: BTreeMap<ChannelName, ChannelState>,
    pub targets: BTreeMap<TargetName, TargetState>,
    pub halted: Option<(Timestamp, HaltReason)>,
    /// The rollout that ended badly last: its mail thread takes the news of the resume.
    pub halted_by: Option<RolloutId>,
    /// Rollouts that halted the app and that nobody has answered for, oldest first. An operator's halt is none.
    pub incidents: Vec<OpenIncident>,
    /// How the app was configured when the last of them halted it.
    pub settings: Option<Box<App>>,
    /// Rollouts that still have to arrive before nobody watches more closely than configured.
    pub probation: u32,
    pub quarantine: Vec<ContentDigest>,
    pub failing: Option<Failing>,
    /// An operator said `--now`, and what follows from it is not over.
    pub expedited: bool,
    /// Repositories its Dockerfile stands on, as of the last run that read it.
    pub bases: Vec<Repository>,
    /// What the last build was made from whose outcome is known.
    pub judged: Option<Judged>,
    /// The release that this build became; `None`: it changed nothing, or its content is quarantined.
    pub became: Option<RunId>,
    /// What no rebuild can mend, and since when there is something.
    pub withheld: Option<(Timestamp, Withheld)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelState {
    pub holds: Option<RunId>,
    pub before: Option<RunId>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TargetState {
    /// The rollout under way.
    pub open: Option<(RolloutId, RunId)>,
    /// It was opened on probation.
    pub probation: bool,
    /// What the target runs as far as we put it there: the last known good.
    pub good: Option<RunId>,
    /// The one before it: where `revert` goes.
    pub before: Option<RunId>,
    /// What it runs was taken back before it had arrived, and too late to turn back on the way.
    pub overtaken: bool,
    pub last: Option<(RunId, RolloutConclusion)>,
    /// What it really runs, where nobody can be asked but this record.
    pub record: Record,
    /// The rollout that ended last, and what it brought.
    pub ended: Option<(RolloutId, RunId)>,
    /// Since when a release waits to arrive, one that took another's place included.
    pub waits: Option<Waits>,
    /// How long earlier rollouts worked, newest last.
    pub took: Vec<SignedDuration>,
    /// Containers, as of the last rollout.
    pub units: usize,
    /// The opening in which this release was begun last: it is not used twice for it.
    pub opening: Option<(RunId, Occurrence)>,
}

/// Whether what is remembered of a target can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    #[default]
    Certain,
    /// The last rollout got stuck, and none has ended well since.
    Doubtful,
}

/// A release that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    pub since: Timestamp,
    /// It brings security fixes, or one that it took the place of did.
    pub security: bool,
}

/// An open incident of failing runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// The run that began it; names the incident.
    pub first: RunId,
    pub since: Timestamp,
    pub cause: String,
}

/// Folds an app's stream. Every sequence is legal: these are facts, not a protocol.
#[must_use]
pub fn fold(events: &[Recorded<AppEvent>]) -> Standing {
    let mut standing = Standing::default();
    for recorded in events {
        standing.apply(recorded);
    }
    standing
}

impl Standing {
    /// The same transition for replay and for the living state.
    pub fn apply(&mut self, recorded: &Recorded<AppEvent>) {
        let at = recorded.at;
        match &recorded.event {
            AppEvent::Tracked => self.tracked = Some(at),
            AppEvent::Fired { slot, .. } => self.fired = Some(*slot),
            AppEvent::Released { release } => {
                self.became = Some(release.run);
                self.releases.push((**release).clone());
                self.forget_releases();
            }
            AppEvent::BasesKnown { bases } => self.bases.clone_from(bases),
            AppEvent::Judged { inputs, because } => {
                self.became = None;
                self.judged = Some(Judged {
                    inputs: (**inputs).clone(),
                    at,
                    because: because.clone(),
                });
            }
            AppEvent::Withheld { withheld } => self.withhold(withheld, at),
            AppEvent::RunFailed { run, cause } => {
                let (first, since) = self.failing.as_ref().map_or((*run, at), |f| (f.first, f.since));
                self.failing = Some(Failing {
                    first,
                    since,
                    cause: cause.clone(),
                });
            }
            AppEvent::RunRecovered { .. } => self.failing = None,
            AppEvent::PromoteStarted { .. } => {}
            AppEvent::Promoted { channel, release } => {
                let state = self.channels.entry(channel.clone()).or_default();
                if state.holds != Some(*release) {
                    state.before = state.holds.replace(*release);
                }
            }
            AppEvent::RolloutOpened {
                target,
                release,
                rollout,
            } => {
                self.open(target, *release, *rollout, at);
            }
            AppEvent::RolloutEnded {
                target,
                release,
                rollout,
                conclusion,
                worked,
            } => {
                self.end(target, *release, *rollout, conclusion);
                if let Some(worked) = worked {
                    self.targets.entry(target.clone()).or_default().learn(*release, worked);
                }
            }
            AppEvent::Halted { reason, settings } => self.halt(reason, settings.as_deref(), at),
            AppEvent::Quarantined { content, .. } => {
                if !self.quarantine.contains(content) {
                    self.quarantine.push(content.clone());
                }
            }
            AppEvent::Unquarantined { content, .. } => self.let_go(content),
            AppEvent::Resumed { probation, .. } => self.resume(*probation),
            AppEvent::Expedited { .. } => self.expedited = true,
            AppEvent::Settled => self.expedited = false,
        }
    }

    fn halt(&mut self, reason: &HaltReason, settings: Option<&App>, at: Timestamp) {
        self.halted = Some((at, reason.clone()));
        match reason {
            HaltReason::Reverted { .. } | HaltReason::Irreversible { .. } | HaltReason::Stuck { .. } => {}
            HaltReason::Operator { .. } => return,
        }
        self.settings = settings.cloned().map(Box::new);
        // What comes after it begins anew.
        self.probation = 0;
        let by = |(target, state): (&TargetName, &TargetState)| {
            let (rollout, release) = state.ended.filter(|(rollout, _)| Some(*rollout) == self.halted_by)?;
            Some(OpenIncident {
                rollout,
                target: target.clone(),
                at,
                commit: self.release(release).map(|release| release.commit.clone()),
            })
        };
        let incident = self.targets.iter().find_map(by);
        self.incidents.extend(incident);
    }

    /// Nothing keeps the content from being released, or rolled out, as if it had never failed.
    fn let_go(&mut self, content: &ContentDigest) {
        self.quarantine.retain(|quarantined| quarantined != content);
        let of = |release: &&Release| release.content == *content;
        let runs: Vec<RunId> = self.releases.iter().filter(of).map(|release| release.run).collect();
        for target in self.targets.values_mut() {
            target.last.take_if(|(run, _)| runs.contains(run));
            // It has what it was to be spared, and may keep it.
            target.overtaken &= target.good.is_none_or(|good| !runs.contains(&good));
        }
        // It was built and went no further: nothing has moved since, and yet it is built again.
        if runs.is_empty() {
            self.judged = None;
        }
    }

    fn resume(&mut self, probation: u32) {
        self.halted = None;
        self.incidents.clear();
        self.settings = None;
        // An operator's own halt does not end one.
        self.probation = self.probation.max(probation);
        // What was refused may be tried again: somebody has looked at it.
        for target in self.targets.values_mut() {
            target.last = None;
        }
    }

    /// Those that a target or a channel has, or goes back to, are remembered whatever their age.
    fn forget_releases(&mut self) {
        let targets = self.targets.values().flat_map(|target| [target.good, target.before]);
        let channels = self
            .channels
            .values()
            .flat_map(|channel| [channel.holds, channel.before]);
        let kept: Vec<RunId> = targets.chain(channels).flatten().collect();
        let mut surplus = self.releases.len().saturating_sub(RELEASES);
        self.releases.retain(|release| {
            let goes = surplus > 0 && !kept.contains(&release.run);
            surplus -= usize::from(goes);
            !goes
        });
    }

    fn withhold(&mut self, withheld: &Withheld, at: Timestamp) {
        let since = self.withheld.as_ref().map_or(at, |(since, _)| *since);
        self.withheld = (!withheld.is_empty()).then(|| (since, withheld.clone()));
    }

    fn open(&mut self, target: &TargetName, release: RunId, rollout: RolloutId, at: Timestamp) {
        let security = self.brings_security();
        let probation = self.is_on_probation();
        let state = self.targets.entry(target.clone()).or_default();
        state.open = Some((rollout, release));
        state.probation = probation;
        let waits = state.waits.get_or_insert(Waits { since: at, security });
        waits.security |= security;
    }

    fn end(&mut self, target: &TargetName, release: RunId, rollout: RolloutId, conclusion: &RolloutConclusion) {
        let ended_badly = match conclusion {
            RolloutConclusion::Reverted { failure } => failure.kind != FailureKind::TakenBack,
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
            .is_some_and(|release| self.quarantine.contains(&release.content));
        let state = self.targets.entry(target.clone()).or_default();
        state.open = None;
        state.ended = Some((rollout, release));
        state.last = Some((release, conclusion.clone()));
        match conclusion {
            RolloutConclusion::Stuck { .. } => state.record = Record::Doubtful,
            RolloutConclusion::Done | RolloutConclusion::Reverted { .. } => state.record = Record::Certain,
            RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. } => {}
        }
        let tried = std::mem::take(&mut state.probation);
        if tried && *conclusion == RolloutConclusion::Done {
            self.probation = self.probation.saturating_sub(1);
        }
        // Whoever takes its place has waited as long.
        if !matches!(conclusion, RolloutConclusion::Superseded { .. }) {
            state.waits = None;
        }
        let arrived = matches!(conclusion, RolloutConclusion::Done | RolloutConclusion::AlreadyThere);
        if arrived {
            state.overtaken = withdrawn;
        }
        if arrived && state.good != Some(release) {
            state.before = state.good.replace(release);
        }
        // What it ran before, and lacked, is gone.
        if let Some((_, withheld)) = self.withheld.as_mut().filter(|_| arrived) {
            withheld.running.remove(target);
        }
        self.withheld.take_if(|(_, withheld)| withheld.is_empty());
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
            | Because::Settings
            | Because::Unseen { .. }
            | Because::Age { .. } => 0,
        };
        because.unwrap_or_default().iter().map(security).sum()
    }

    /// Of them those that some target does not run: its release is quarantined, or has not arrived.
    #[must_use]
    pub fn unused_fixes(&self) -> usize {
        let arrived = |target: &TargetState| target.good.is_some() && target.good == self.became;
        if self.targets.values().all(arrived) {
            0
        } else {
            self.fixes_brought()
        }
    }

    /// The newest release that is not quarantined: what a rebuild is compared with and what rolls out.
    #[must_use]
    pub fn current(&self) -> Option<&Release> {
        self.releases
            .iter()
            .rev()
            .find(|release| !self.quarantine.contains(&release.content))
    }

    /// Is a rollout that is opened now one of the first after an incident? While the app is halted only an operator's revert
    /// is opened.
    #[must_use]
    pub fn is_on_probation(&self) -> bool {
        self.probation > 0 && self.halted.is_none()
    }

    /// What an operator's revert brings this target; `None`: nothing, or what was taken back itself.
    #[must_use]
    pub fn way_back(&self, target: &TargetState) -> Option<&Release> {
        let before = self.release(target.before?)?;
        (!self.quarantine.contains(&before.content)).then_some(before)
    }

    #[must_use]
    pub fn release(&self, run: RunId) -> Option<&Release> {
        self.releases.iter().find(|release| release.run == run)
    }
}

impl TargetState {
    fn learn(&mut self, release: RunId, worked: &Worked) {
        self.units = worked.units;
        self.took.extend(worked.took);
        let surplus = self.took.len().saturating_sub(LENGTHS);
        self.took.drain(..surplus);
        if let Some(opening) = &worked.opening {
            self.opening = Some((release, opening.clone()));
        }
    }
}

/// What an app's releases need next.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Next {
    /// Copy the release's digest to the channel and point its moving tag there.
    Promote {
        channel: Channel,
        release: Box<Release>,
        digest: ManifestDigest,
    },
    /// A rollout per target.
    OpenRollout {
        target: Box<TargetPolicy>,
        release: Box<Release>,
    },
    /// A rollout of what the target ran before, as an operator wanted it.
    GoBack {
        target: Box<TargetPolicy>,
        release: Box<Release>,
    },
    Idle,
}

/// One thing at a time; asked again after each.
pub fn next(app: &App, standing: &Standing) -> Next {
    if app.mode == Mode::Observe {
        return Next::Idle;
    }
    if let Some(back) = take_back(app, standing).or_else(|| go_back(app, standing)) {
        return back;
    }
    let Some(release) = standing.current() else {
        return Next::Idle;
    };
    if standing.halted.is_some() {
        return Next::Idle;
    }
    let channels = app.publish.as_ref().map(|p| p.channels.as_slice()).unwrap_or_default();
    // Targets without a channel run the release itself.
    match open_targets(app, standing, None, release) {
        Targets::Open(target) => {
            return Next::OpenRollout {
                target: Box::new(target.clone()),
                release: Box::new(release.clone()),
            };
        }
        Targets::Waiting => return Next::Idle,
        Targets::Done => {}
    }
    for channel in channels {
        let holds = standing.channels.get(&channel.name).and_then(|state| state.holds);
        if holds != Some(release.run) {
            return match &release.digest {
                Some(digest) => Next::Promote {
                    channel: channel.clone(),
                    release: Box::new(release.clone()),
                    digest: digest.clone(),
                },
                None => Next::Idle,
            };
        }
        match open_targets(app, standing, Some(&channel.name), release) {
            Targets::Open(target) => {
                return Next::OpenRollout {
                    target: Box::new(target.clone()),
                    release: Box::new(release.clone()),
                };
            }
            // Later channels wait until the targets of this one are done.
            Targets::Waiting => return Next::Idle,
            Targets::Done => {}
        }
    }
    Next::Idle
}

/// A channel that holds a quarantined release gives it back, halted or not.
fn take_back(app: &App, standing: &Standing) -> Option<Next> {
    for channel in app.publish.as_ref().map(|p| p.channels.as_slice()).unwrap_or_default() {
        let Some(state) = standing.channels.get(&channel.name) else {
            continue;
        };
        let held = state.holds.and_then(|run| standing.release(run));
        if !held.is_some_and(|held| standing.quarantine.contains(&held.content)) {
            continue;
        }
        let before = state.before.and_then(|run| standing.release(run));
        let good = before.filter(|release| !standing.quarantine.contains(&release.content));
        if let Some(release) = good
            && let Some(digest) = &release.digest
        {
            return Some(Next::Promote {
                channel: channel.clone(),
                release: Box::new(release.clone()),
                digest: digest.clone(),
            });
        }
    }
    None
}

/// A target that was given a release too late to be spared it.
fn go_back(app: &App, standing: &Standing) -> Option<Next> {
    app.rollout.iter().find_map(|target| {
        let state = standing.targets.get(&target.name)?;
        let release = standing.way_back(state)?;
        let tried = state.last.as_ref().is_some_and(|(run, _)| *run == release.run);
        (state.overtaken && state.open.is_none() && !tried).then(|| Next::GoBack {
            target: Box::new(target.clone()),
            release: Box::new(release.clone()),
        })
    })
}

enum Targets<'a> {
    Open(&'a TargetPolicy),
    Waiting,
    Done,
}

/// One target of a channel at a time: the first is the canary of the others.
fn open_targets<'a>(
    app: &'a App,
    standing: &Standing,
    channel: Option<&ChannelName>,
    release: &Release,
) -> Targets<'a> {
    for target in app.rollout.iter().filter(|target| target.channel.as_ref() == channel) {
        let Some(state) = standing.targets.get(&target.name) else {
            return Targets::Open(target);
        };
        if state.open.is_some() {
            return Targets::Waiting;
        }
        if state.good == Some(release.run) {
            continue;
        }
        let ended = state
            .last
            .as_ref()
            .filter(|(run, _)| *run == release.run)
            .map(|(_, conclusion)| conclusion);
        return match ended {
            // A refused rollout waits for its cause to be mended: `resume` or the next release opens it again.
            Some(
                RolloutConclusion::Refused { .. }
                | RolloutConclusion::Reverted { .. }
                | RolloutConclusion::Stuck { .. },
            ) => Targets::Waiting,
            Some(RolloutConclusion::Done | RolloutConclusion::AlreadyThere) => continue,
            Some(RolloutConclusion::Superseded { .. }) | None => Targets::Open(target),
        };
    }
    Targets::Done
}

/// How a new release is brought to a target: as configured, or on probation, watched twice as long.
#[must_use]
pub fn undertaken(standing: &Standing, mut target: TargetPolicy) -> (TargetPolicy, Purpose) {
    if !standing.is_on_probation() {
        return (target, Purpose::Release);
    }
    target.bake = target.bake.saturating_mul(2);
    (target, Purpose::Probation)
}

/// The reference a target of this channel runs: repository of the channel, the release's own digest.
#[must_use]
pub fn channel_reference(channel: Option<&Channel>, release: &Release) -> Reference {
    let repository = channel.map_or(&release.reference.repository, |c| &c.image);
    Reference::tagged(repository, &release.tag)
}

#[cfg(test)]
mod tests;
