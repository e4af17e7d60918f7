//! The contract between the rules that all rollouts share and a kind of target.
//!
//! Each kind has its own types for its policy, steps, outcomes, observations and state, so a step of one kind cannot be
//! given to another.

use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::journal::IllegalEvent;
use lowtide_model::name::{ChannelName, HostName, RolloutId, TargetName};
use lowtide_model::policy::{Hook, Ready, Unhealthy};
use lowtide_model::preview::Move;
use lowtide_model::release::Release;
use lowtide_model::rollout::{Goal, HookPhase, Purpose, RolloutConclusion, Which};
use lowtide_model::secret::SecretRef;
use lowtide_model::window::Window;
use serde::{Deserialize, Serialize};
use std::fmt::{Debug, Display};

/// How long Docker waits after a stop signal unless the container or service says otherwise.
pub(crate) const STOP_GRACE: SignedDuration = SignedDuration::from_secs(10);

/// A kind of target, by its policy.
pub trait Kind: Clone + Debug + PartialEq + Eq {
    type State: KindState<Self>;
    type Step: KindStep;
    type Outcome: KindOutcome;
    /// What is really there of what preflight has chosen.
    type Observed: Clone + Debug + PartialEq;
    type Simulation: Simulation<Self>;

    /// Towards the release. All gates are passed. `seen`: `None` before preflight has chosen anything.
    fn forward(view: View<'_, Self>, seen: Option<&Self::Observed>, now: Timestamp) -> Plan<Self::Step>;

    /// Back to what was there before, because of `reason`. Never gated.
    fn back(view: View<'_, Self>, seen: Option<&Self::Observed>, reason: &Failure, now: Timestamp) -> Plan<Self::Step>;

    /// How many containers, services or the like the configuration names.
    fn configured_units(&self) -> usize {
        1
    }

    /// The longest that one unit can take.
    fn unit_limit(&self, target: &TargetSettings) -> SignedDuration;

    /// The image by which the release is recognised on the target, in the words of the target's own host. `None`: the
    /// target cannot be looked at.
    fn placed(view: View<'_, Self>) -> Option<String>;

    /// Is what runs (`seen`) what a rollout left there?
    fn is_same_image(seen: &str, placed: &str) -> bool {
        seen == placed
    }

    /// Secrets that the policy refers to, each with its place inside the target.
    fn secret_refs(&self) -> Vec<(String, &SecretRef)> {
        Vec::new()
    }

    /// A command of the owner's, by its position.
    fn hook(&self, _phase: HookPhase, _position: usize) -> Option<&Hook> {
        None
    }

    /// How often a step of a rollback that fails is tried before a person has to take over.
    const TRIES_BACK: u32 = 10;

    /// Does the rollout go on though this step has failed for good? Either it can arrive without the step, or what is
    /// there decides, not the failure.
    fn goes_on(_goal: Goal, _step: &Self::Step, _failure: &Failure) -> bool {
        false
    }

    /// Has the failed step, and all before it, left the target as it was?
    fn left_untouched(view: View<'_, Self>, _step: &Self::Step) -> bool {
        !view.touched
    }

    /// The failure that starts a rollback.
    ///
    /// # Errors
    /// There is nothing to roll back to.
    fn way_back(_view: View<'_, Self>, failure: Failure) -> Result<Failure, Failure> {
        Ok(failure)
    }
}

/// What a kind remembers of a rollout, folded from its steps.
pub trait KindState<K: Kind>: Clone + Debug + Default + PartialEq {
    /// A step was begun: what it may have done, whether or not its end is ever known.
    fn begin(&mut self, goal: Goal, step: &K::Step);

    /// A step has ended well.
    ///
    /// # Errors
    /// An outcome that is not of this step.
    fn end(&mut self, goal: Goal, step: &K::Step, outcome: &K::Outcome) -> Result<(), IllegalEvent>;

    /// A step has failed: what it certainly has not done.
    fn fail(&mut self, _step: &K::Step, _failure: &Failure) {}

    /// One of the owner's programs requested a later retry. Returns `true` if the target is certainly unchanged.
    fn busy(&mut self, _goal: Goal) -> bool {
        false
    }

    /// How many units preflight has chosen; `None` before it.
    fn units(&self) -> Option<usize>;

    /// Name of the unit at this position; `None`: it has no name of its own.
    fn unit_name(&self, unit: usize) -> Option<&str>;

    /// May a process of the release have run, and changed data?
    fn ran(&self) -> bool;

    /// What a rollback would need is being removed: the rollout only goes forward.
    fn is_committed(&self) -> bool {
        false
    }

    /// Log tails of what was rolled back.
    fn saved_logs(&self) -> Vec<String> {
        Vec::new()
    }

    /// Hashes of the sealed files that a rollback needs.
    fn snapshots(&self) -> Vec<&str> {
        Vec::new()
    }

    /// How many units a message about the rollout names; 0: the target is one thing.
    fn counted_units(&self) -> usize {
        self.units().unwrap_or_default()
    }
}

/// One thing done to the target. Each is idempotent, or guarded by an id or version.
pub trait KindStep: Clone + Debug + PartialEq + Display {
    fn about(&self) -> About;

    /// Is it the same step, whatever its details? A repetition counts as one more attempt.
    fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What the shared rules have to know about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The unit it moves; `None`: none, or all of them.
    pub unit: Option<usize>,
    /// The unit in whose list people look for it.
    pub listed: Option<usize>,
    pub effect: StepEffect,
    pub role: Role,
}

/// Does a step change the target?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEffect {
    /// If it fails, there is nothing to roll back.
    Harmless,
    Changes,
}

/// What a step is for, as far as people are shown it in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Preflight,
    /// It waits until a container proves ready; a shutdown breaks it off.
    Readiness(Which),
    /// It waits, or runs long; a shutdown breaks it off.
    Breakable,
    Hook {
        phase: HookPhase,
        position: usize,
    },
    Other,
}

impl About {
    /// Of a step that belongs to one unit.
    #[must_use]
    pub fn unit(unit: usize, effect: StepEffect, role: Role) -> Self {
        Self {
            unit: Some(unit),
            listed: Some(unit),
            effect,
            role,
        }
    }

    /// Of a step that belongs to all units, or to none.
    #[must_use]
    pub fn all(effect: StepEffect, role: Role) -> Self {
        Self {
            unit: None,
            listed: None,
            effect,
            role,
        }
    }

    #[must_use]
    pub fn changes(&self) -> bool {
        self.effect == StepEffect::Changes
    }

    /// May a shutdown break it off? The next start takes it up again.
    #[must_use]
    pub fn is_breakable(&self) -> bool {
        match self.role {
            Role::Readiness(_) | Role::Breakable => true,
            Role::Preflight | Role::Hook { .. } | Role::Other => false,
        }
    }
}

/// How a step ended that did not fail.
pub trait KindOutcome: Clone + Debug + PartialEq {
    /// What `show` says of it; empty: nothing.
    fn note(&self) -> String;

    /// What the new container left, of the step that saved it before it was removed.
    fn left_behind(&self) -> Option<LeftBehind<'_>> {
        None
    }

    /// The same with every line of foreign output passed through `mask`.
    #[must_use]
    fn masked(self, _mask: &dyn Fn(&str) -> String) -> Self {
        self
    }
}

/// The end of a new container that was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftBehind<'a> {
    pub log: &'a [String],
    pub exit_code: i64,
}

/// A target where every step goes well: what lies ahead of a rollout is computed on it.
pub trait Simulation<K: Kind>: Sized {
    /// As it was before the rollout.
    fn of(view: View<'_, K>) -> Self;

    /// A step of the journal may be the first to name what an earlier one has made.
    fn name(&mut self, _step: &K::Step) {}

    fn perform(&mut self, step: &K::Step) -> K::Outcome;

    fn seen(&self, view: View<'_, K>) -> Option<K::Observed>;

    /// Completes what the rollout waits for.
    fn settle(&mut self) {}

    /// How many tasks this step replaces.
    fn replaces(&self, _step: &K::Step) -> Option<u64> {
        None
    }

    /// What is moved, in order. `releases`: those of the app, for the names of their images.
    fn moves(&self, view: View<'_, K>, releases: &[Release]) -> Vec<Move>;
}

/// What every target has, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSettings {
    pub name: TargetName,
    /// `None`: the release itself, from the engine's own image store, without `publish`.
    pub channel: Option<ChannelName>,
    /// For a command: the first host, which is not contacted.
    pub host: HostName,
    pub window: Option<Window>,
    pub ready: Ready,
    /// How long the new containers are watched, with the old ones retained and stopped, before the rollout is done.
    pub bake: SignedDuration,
    /// Data may migrate: on failure the rollout stops and notifies people instead of rolling back.
    pub irreversible: bool,
    #[serde(default)]
    pub unhealthy: Unhealthy,
}

/// What a kind plans by.
#[derive(Debug)]
pub struct View<'a, K: Kind> {
    pub id: RolloutId,
    pub target: &'a TargetSettings,
    pub policy: &'a K,
    pub state: &'a K::State,
    pub release: &'a Release,
    pub purpose: Purpose,
    pub goal: Goal,
    /// A step that changes the target was begun.
    pub touched: bool,
    /// When the bake ends, once it has begun.
    pub bake: Option<Timestamp>,
    /// The last step, if it failed.
    pub failed: Option<(&'a K::Step, &'a Failure)>,
}

impl<K: Kind> Clone for View<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Kind> Copy for View<'_, K> {}

/// What a kind wants next. The shared rules turn it into a step, a wait or an end.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Plan<S> {
    Do(S),
    Wait {
        until: Timestamp,
        reason: WaitReason,
    },
    /// All units run the release: the bake begins.
    Bake,
    /// The release does not work here: it is rolled back, or a person decides.
    Fail(Failure),
    /// Everything is as it was before.
    Returned,
    Finish(RolloutConclusion),
}

impl<S> Plan<S> {
    pub fn map<T>(self, of: impl FnOnce(S) -> T) -> Plan<T> {
        match self {
            Plan::Do(step) => Plan::Do(of(step)),
            Plan::Wait { until, reason } => Plan::Wait { until, reason },
            Plan::Bake => Plan::Bake,
            Plan::Fail(failure) => Plan::Fail(failure),
            Plan::Returned => Plan::Returned,
            Plan::Finish(conclusion) => Plan::Finish(conclusion),
        }
    }

    /// The target was changed from outside: lowtide stops and changes nothing more until an operator acts.
    pub fn diverged(detail: String) -> Self {
        Plan::stuck(Failure::new(FailureKind::Diverged, detail))
    }

    /// A person decides.
    pub fn stuck(failure: Failure) -> Self {
        Plan::Finish(RolloutConclusion::Stuck { failure })
    }

    /// Watches the bake, looking every `poll`; `None` once it is over.
    pub fn baking(until: Timestamp, now: Timestamp, poll: SignedDuration) -> Option<Self> {
        (until > now).then(|| Plan::Wait {
            until: until.min(now + poll),
            reason: WaitReason::Baking { until },
        })
    }
}
