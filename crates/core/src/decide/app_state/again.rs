//! When refused rollouts and failed promotions are tried again.

use super::{AppState, Unpromoted};
use crate::fleet::app::App;
use crate::fleet::app_state::AppEvent;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::name::{ChannelName, RunId, TargetName};
use lowtide_model::policy::Mode;
use lowtide_model::release::Release;
use lowtide_model::run::Trigger;
use std::collections::BTreeSet;

/// A refused rollout is tried again once per night, however often the schedule fires: the same refusal four times an
/// hour is no news.
const NIGHT: SignedDuration = SignedDuration::from_hours(12);

/// What brings another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An operator requested it.
    Requested,
    /// A run came by itself.
    Night,
    /// The app's configuration, or what opens its registries, changed.
    Configured,
    /// lowtide started: anything may have changed meanwhile.
    Started,
}

/// A release that a target does not run though it should.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refusal<'a> {
    pub target: &'a TargetName,
    pub release: &'a Release,
    pub since: Timestamp,
    pub failure: &'a Failure,
}

/// A target that ran its last release, and no longer does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drifted<'a> {
    pub target: &'a TargetName,
    pub release: &'a Release,
    pub since: Timestamp,
    pub drift: &'a Drift,
}

/// A channel whose tag and targets disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    pub channel: ChannelName,
    /// Tag of the release it has.
    pub has: String,
    /// Those that run another one, and its tag.
    pub targets: Vec<(TargetName, String)>,
}

impl Occasion {
    /// The end of a run that was started for this.
    #[must_use]
    pub fn of(trigger: &Trigger) -> Self {
        match trigger {
            Trigger::Manual { .. } => Occasion::Requested,
            Trigger::Schedule { .. } | Trigger::ParentReleased { .. } | Trigger::Retry { .. } => Occasion::Night,
        }
    }
}

impl AppState {
    /// Targets whose rollout of the current release was refused for a reason unrelated to the release, and that are not
    /// being moved now.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal<'_>> {
        let current = self.current();
        self.targets.iter().filter_map(move |(target, state)| {
            let release = current?;
            let refused = state.refused.as_deref()?;
            let stands = state.open.is_none() && refused.release == release.run;
            stands.then_some(Refusal {
                target,
                release,
                since: refused.since,
                failure: &refused.failure,
            })
        })
    }

    /// Targets that no longer run what their last rollout left there, and are not being moved now.
    pub fn drifted(&self) -> impl Iterator<Item = Drifted<'_>> {
        self.targets.iter().filter_map(|(target, state)| {
            let (since, drift) = state.drift.as_ref()?;
            let release = self.release(state.current?)?;
            state.open.is_none().then_some(Drifted {
                target,
                release,
                since: *since,
                drift,
            })
        })
    }

    /// Channels of the app that do not get their release.
    pub fn unpromoted<'a>(&'a self, app: &'a App) -> impl Iterator<Item = (&'a ChannelName, &'a Unpromoted)> {
        let channels = app.publish.iter().flat_map(|publish| &publish.channels);
        channels.filter_map(|channel| {
            let failing = self.channels.get(&channel.name)?.failing.as_deref()?;
            Some((&channel.name, failing))
        })
    }

    /// Channels whose release differs from what their targets run, while the app is halted. Without a halt, the targets
    /// are merely still on their way.
    #[must_use]
    pub fn apart(&self, app: &App) -> Vec<Apart> {
        if self.halted.is_none() || app.mode == Mode::Observe {
            return Vec::new();
        }
        let tag = |run: RunId| self.release(run).map(|release| release.tag.clone());
        let channels = app.publish.iter().flat_map(|publish| &publish.channels);
        let apart = channels.filter_map(|channel| {
            let holds = self.channels.get(&channel.name)?.current?;
            let of = app
                .rollout
                .iter()
                .filter(|target| target.settings.channel.as_ref() == Some(&channel.name));
            let targets: Vec<(TargetName, String)> = of
                .filter_map(|target| {
                    let good = self
                        .targets
                        .get(&target.settings.name)?
                        .current
                        .filter(|good| *good != holds)?;
                    Some((target.settings.name.clone(), tag(good)?))
                })
                .collect();
            let has = tag(holds)?;
            (!targets.is_empty()).then(|| Apart {
                channel: channel.name.clone(),
                has,
                targets,
            })
        });
        apart.collect()
    }

    /// What this occasion tries again; `None`: there is nothing.
    #[must_use]
    pub fn again(&self, occasion: Occasion, now: Timestamp) -> Option<AppEvent> {
        let targets: BTreeSet<TargetName> = self
            .refusals()
            .filter(|refusal| self.tries_target(refusal, occasion, now))
            .map(|refusal| refusal.target)
            .chain(self.restored(occasion))
            .cloned()
            .collect();
        let channels: Vec<ChannelName> = self
            .channels
            .iter()
            .filter(|(_, state)| {
                let failing = state.failing.as_deref();
                failing.is_some_and(|failing| match occasion {
                    Occasion::Requested | Occasion::Configured | Occasion::Started => true,
                    // A promotion that is retried automatically retains its back-off.
                    Occasion::Night => failing.due().is_none(),
                })
            })
            .map(|(name, _)| name.clone())
            .collect();
        (!targets.is_empty() || !channels.is_empty()).then(|| AppEvent::Again {
            targets: targets.into_iter().collect(),
            channels,
        })
    }

    /// Targets that get the current release back. Only on request, because the drift is assumed to be deliberate.
    fn restored(&self, occasion: Occasion) -> impl Iterator<Item = &TargetName> {
        let requested = match occasion {
            Occasion::Requested => true,
            Occasion::Night | Occasion::Configured | Occasion::Started => false,
        };
        let current = self.current().map(|release| release.run);
        let lost = self
            .drifted()
            .filter(move |drifted| Some(drifted.release.run) == current);
        lost.filter(move |_| requested).map(|drifted| drifted.target)
    }

    fn tries_target(&self, refusal: &Refusal<'_>, occasion: Occasion, now: Timestamp) -> bool {
        // A rollout that was reverted because its window closed is retried only on request (docs/windows.md): it had
        // touched the target, and had its gap.
        let touched = refusal.failure.kind == FailureKind::WindowClosed;
        match occasion {
            Occasion::Requested => true,
            Occasion::Configured => !touched,
            Occasion::Started => false,
            Occasion::Night => {
                let tried = self.targets.get(refusal.target).and_then(|state| state.tried);
                !touched && tried.is_none_or(|tried| now.duration_since(tried) >= NIGHT)
            }
        }
    }
}
