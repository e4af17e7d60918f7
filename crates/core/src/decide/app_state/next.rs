//! What an app's releases need next.

use super::AppState;
use crate::fleet::app::App;
use crate::kinds::list::TargetPolicy;
use jiff::Timestamp;
use lowtide_model::failure::HaltReason;
use lowtide_model::image::{ManifestDigest, Reference};
use lowtide_model::name::ChannelName;
use lowtide_model::policy::{Channel, Mode, Unhealthy};
use lowtide_model::release::Release;
use lowtide_model::rollout::{Purpose, RolloutConclusion};

/// A release's digest that goes to a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Promotion {
    pub channel: Channel,
    pub release: Release,
    pub digest: ManifestDigest,
}

/// What an app's releases need next.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Next {
    /// Copy the release's digest to the channel and point its moving tag there.
    Promote(Box<Promotion>),
    /// The same with the release that the channel had before, because its current one is quarantined. Not blocked by a
    /// halt or pause.
    TakeBack(Box<Promotion>),
    /// A rollout per target.
    OpenRollout {
        target: Box<TargetPolicy>,
        release: Box<Release>,
    },
    /// A rollout of the release that the target ran before: an operator requested it, or its channel was rolled back.
    /// Not blocked by a halt.
    GoBack {
        target: Box<TargetPolicy>,
        release: Box<Release>,
    },
    Idle,
}

/// Returns one action at a time and is called again after each.
pub fn next(app: &App, app_state: &AppState, now: Timestamp) -> Next {
    if app.mode == Mode::Observe {
        return Next::Idle;
    }
    if let Some(back) = roll_back_channel(app, app_state, now).or_else(|| go_back(app, app_state)) {
        return back;
    }
    let Some(release) = app_state.current() else {
        return Next::Idle;
    };
    if app_state.halted.is_some() {
        return Next::Idle;
    }
    // Targets without a channel run the release itself.
    match open_targets(app, app_state, None, release) {
        Targets::Open(target) => return open(target, release),
        Targets::Waiting => return Next::Idle,
        Targets::Done => {}
    }
    for channel in channels(app) {
        let holds = app_state.channels.get(&channel.name).and_then(|state| state.current);
        if holds != Some(release.run) {
            let due = is_due(app_state, channel, release, now);
            let promotion = due.then(|| promotion(channel, release)).flatten();
            return promotion.map_or(Next::Idle, Next::Promote);
        }
        match open_targets(app, app_state, Some(&channel.name), release) {
            Targets::Open(target) => return open(target, release),
            // Later channels wait until the targets of this one are done.
            Targets::Waiting => return Next::Idle,
            Targets::Done => {}
        }
    }
    Next::Idle
}

/// Time of the next automatic retry of a failed promotion; `None`: none is scheduled.
#[must_use]
pub fn wakes(app: &App, app_state: &AppState) -> Option<Timestamp> {
    let states = channels(app)
        .iter()
        .filter_map(|channel| app_state.channels.get(&channel.name));
    states.filter_map(|state| state.failing.as_ref()?.due()).min()
}

fn channels(app: &App) -> &[Channel] {
    app.publish.as_ref().map(|p| p.channels.as_slice()).unwrap_or_default()
}

fn promotion(channel: &Channel, release: &Release) -> Option<Box<Promotion>> {
    Some(Box::new(Promotion {
        channel: channel.clone(),
        release: release.clone(),
        digest: release.digest.clone()?,
    }))
}

/// May this promotion be tried now? A failed one waits for its retry time; another release may be tried at once.
fn is_due(app_state: &AppState, channel: &Channel, release: &Release, now: Timestamp) -> bool {
    let state = app_state.channels.get(&channel.name);
    let failing = state
        .and_then(|state| state.failing.as_ref())
        .filter(|failing| failing.release == release.run);
    failing.is_none_or(|failing| failing.due().is_some_and(|due| due <= now))
}

fn open(target: &TargetPolicy, release: &Release) -> Next {
    Next::OpenRollout {
        target: Box::new(target.clone()),
        release: Box::new(release.clone()),
    }
}

/// A channel that points at a quarantined release is rolled back, whether or not the app is halted.
fn roll_back_channel(app: &App, app_state: &AppState, now: Timestamp) -> Option<Next> {
    channels(app).iter().find_map(|channel| {
        let state = app_state.channels.get(&channel.name)?;
        let held = app_state.release(state.current?)?;
        if !app_state.is_quarantined(held) {
            return None;
        }
        let before = app_state.release(state.previous?)?;
        let good = !app_state.is_quarantined(before);
        let goes = good && is_due(app_state, channel, before, now);
        Some(Next::TakeBack(goes.then(|| promotion(channel, before)).flatten()?))
    })
}

/// Rolls back a target that received a release after it was withdrawn, or whose channel was rolled back.
fn go_back(app: &App, app_state: &AppState) -> Option<Next> {
    app.rollout.iter().find_map(|target| {
        let state = app_state.targets.get(&target.settings.name)?;
        let release = app_state.way_back(state)?;
        let tried = state.last.as_ref().is_some_and(|(run, _)| *run == release.run);
        let goes = state.overtaken || is_left_behind(app_state, target);
        (goes && state.open.is_none() && !tried).then(|| Next::GoBack {
            target: Box::new(target.clone()),
            release: Box::new(release.clone()),
        })
    })
}

/// Does the target still run a release that a rollout to another target has shown to be bad, while its channel is back
/// at the previous one? An irreversible target is left to a person, and so is a release that an operator withdrew from
/// one target only.
fn is_left_behind(app_state: &AppState, target: &TargetPolicy) -> bool {
    let by_rollout = matches!(app_state.halted, Some((_, HaltReason::Reverted { .. })));
    let channel = target
        .settings
        .channel
        .as_ref()
        .and_then(|channel| app_state.channels.get(channel));
    let (Some(state), Some(channel)) = (app_state.targets.get(&target.settings.name), channel) else {
        return false;
    };
    let runs = state.current.and_then(|run| app_state.release(run));
    let bad = runs.is_some_and(|release| app_state.is_quarantined(release));
    by_rollout && bad && !target.settings.irreversible && channel.current.is_some() && channel.current == state.previous
}

enum Targets<'a> {
    Open(&'a TargetPolicy),
    Waiting,
    Done,
}

/// One target of a channel at a time: the first is the canary of the others.
fn open_targets<'a>(
    app: &'a App,
    app_state: &AppState,
    channel: Option<&ChannelName>,
    release: &Release,
) -> Targets<'a> {
    for target in app
        .rollout
        .iter()
        .filter(|target| target.settings.channel.as_ref() == channel)
    {
        let Some(state) = app_state.targets.get(&target.settings.name) else {
            return Targets::Open(target);
        };
        if state.open.is_some() {
            return Targets::Waiting;
        }
        if state.current == Some(release.run) && !state.restore {
            continue;
        }
        let ended = state
            .last
            .as_ref()
            .filter(|(run, _)| *run == release.run)
            .map(|(_, conclusion)| conclusion);
        return match ended {
            // Waits for another try: `decide::app_state::again` says when.
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

/// Policy and purpose of a rollout: as configured, or on probation with twice the bake. It replaces a container that is
/// not healthy if an operator said so.
#[must_use]
pub fn undertaken(app_state: &AppState, mut target: TargetPolicy, release: &Release) -> (TargetPolicy, Purpose) {
    if app_state.expedited == Some(Unhealthy::Replace) {
        target.settings.unhealthy = Unhealthy::Replace;
    }
    if !app_state.is_on_probation(&target.settings.name, release.run) {
        return (target, Purpose::Release);
    }
    (watched(target), Purpose::Probation)
}

/// How the next new release will be brought to a target.
#[must_use]
pub fn expected(app_state: &AppState, target: TargetPolicy) -> TargetPolicy {
    let watches = app_state.halted.is_none() && app_state.probation.left(&target.settings.name) > 0;
    if watches { watched(target) } else { target }
}

fn watched(mut target: TargetPolicy) -> TargetPolicy {
    target.settings.bake = target.settings.bake.saturating_mul(2);
    target
}

/// The reference a target of this channel runs: what its host pulls from, with the release's own digest. The release
/// itself keeps the name it was pushed under.
#[must_use]
pub fn channel_reference(channel: Option<&Channel>, release: &Release) -> Reference {
    let repository = channel.map_or(&release.reference.repository, Channel::pulled);
    Reference::tagged(repository, &release.tag)
}
