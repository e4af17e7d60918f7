//! The contract between the runtime and a kind of target.

use crate::clients::clock;
use crate::clients::engine::connect::Engine;
use crate::runtime::bot::{Bot, InForce};
use crate::runtime::kinds::containers::sight::Listing;
use crate::runtime::perform::room;
use lowtide_core::decide::rollout::{self, Next, RolloutState};
use lowtide_core::fleet::app::App;
use lowtide_core::kinds::kind::{Kind, KindState, KindStep, Role, TargetSettings};
use lowtide_core::kinds::list::{Listed, Outcome, Step, StepOutcome, TargetPolicy, each_kind};
use lowtide_core::kinds::track::{Ended, Track};
use lowtide_model::drift::Sighted;
use lowtide_model::failure::Failure;
use lowtide_model::hide::masked;
use lowtide_model::image::ImageId;
use lowtide_model::release::Release;
use lowtide_model::secret::Secret;
use serde_json::Value;
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// What a kind does to the world.
pub(crate) trait Effects: Listed {
    /// What is really there of what preflight has chosen; `None` before it.
    ///
    /// # Errors
    /// As the host fails: nothing is known then.
    fn observe(of: &RolloutOf<'_, Self>) -> impl Future<Output = Result<Option<Self::Observed>, Failure>> + Send;

    /// Carries out one step.
    ///
    /// # Errors
    /// As the step failed, or because the process ends.
    fn perform(
        of: &RolloutOf<'_, Self>,
        step: &Self::Step,
    ) -> impl Future<Output = Result<Ended<Self::Outcome>, Failure>> + Send;

    /// Does the next owner of the state journal the end of this step, which this process has performed?
    fn ends_elsewhere(_step: &Self::Step) -> bool {
        false
    }

    /// How a step ended that an earlier process began. `None`: that is not known, and the next step is decided from what
    /// is there.
    ///
    /// # Errors
    /// As the host fails. The caller retries.
    fn take_up(
        of: &RolloutOf<'_, Self>,
        step: &Self::Step,
    ) -> impl Future<Output = Result<Option<Ended<Self::Outcome>>, Failure>> + Send;

    /// The secrets that what runs on the target may print.
    fn secrets(of: &RolloutOf<'_, Self>) -> Vec<Secret>;

    /// The image that the target ran before our first release, so that it can be rolled back to; `None`: there is not
    /// exactly one, or it is not known.
    fn adopted(of: &RolloutOf<'_, Self>) -> Option<Release>;

    /// What the target runs now; `None`: it cannot be looked at.
    ///
    /// # Errors
    /// Why the target cannot be inspected now.
    fn sight(
        &self,
        engine: &Engine,
        listing: &Listing,
        app: &App,
    ) -> impl Future<Output = Result<Option<Vec<Sighted>>, String>> + Send;

    /// Is what a rollout would move there? Only looked at. Returns what was found, for people.
    ///
    /// # Errors
    /// What is missing, for people.
    fn check(
        &self,
        connect: Connect<'_>,
        target: &TargetSettings,
        app: &App,
    ) -> impl Future<Output = Result<String, String>> + Send;
}

/// Connects to the target's engine, for a kind that has one.
pub(crate) type Connect<'a> = &'a (dyn Fn() -> Result<Engine, String> + Send + Sync);

/// Names of containers or services that are shown.
const NAMED: usize = 6;

/// The names that the bodies have at `pointer`, for people; `None`: there are none.
pub(super) fn listed(found: &[Value], pointer: &str) -> Option<String> {
    let name = |it: &Value| Some(it.pointer(pointer)?.as_str()?.trim_start_matches('/').to_owned());
    let names: Vec<String> = found.iter().filter_map(name).collect();
    let more = names.len().saturating_sub(NAMED);
    let mut text = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    (!names.is_empty()).then_some(text)
}

/// One rollout and what its effects need.
pub(crate) struct RolloutOf<'a, K: Kind> {
    pub(crate) bot: &'a Bot,
    pub(crate) fleet: &'a InForce,
    pub(crate) state: &'a RolloutState,
    pub(crate) track: &'a Track<K>,
    /// Breaks off waits; the next start takes them up again.
    pub(crate) shutdown: &'a CancellationToken,
}

impl<K: Kind> RolloutOf<'_, K> {
    /// The engine of the target's host.
    ///
    /// # Errors
    /// `EngineUnreachable`, or the host is not configured any more.
    pub(crate) fn engine(&self) -> Result<&Engine, Failure> {
        self.fleet.engine(&self.state.target.host)
    }
}

/// Looks at everything that the rollout moves, and decides.
///
/// # Errors
/// As the host fails: nothing is known then.
pub(crate) async fn decide(
    bot: &Bot,
    state: &RolloutState,
    shutdown: &CancellationToken,
) -> Result<Next<Step>, Failure> {
    let fleet = bot.in_force();
    each_kind!(KindTrack, &state.kind, track => {
        let of = RolloutOf { bot, fleet: &fleet, state, track, shutdown };
        let seen = match state.conclusion {
            None => Effects::observe(&of).await?,
            Some(_) => None,
        };
        let next = rollout::next(state, track, seen.as_ref(), &bot.outside(state), clock::now());
        Ok(next.map(Step::from))
    })
}

/// Carries out the step under way; `None` when a wait was broken off because the process ends.
pub(crate) async fn perform(bot: &Bot, state: &RolloutState, shutdown: &CancellationToken) -> Option<StepOutcome> {
    let fleet = bot.in_force();
    each_kind!(KindTrack, &state.kind, track => {
        let of = RolloutOf { bot, fleet: &fleet, state, track, shutdown };
        let step = track.under_way()?;
        let done = match room_for(bot, step) {
            Ok(()) => Effects::perform(&of, step).await,
            Err(failure) => Err(failure),
        };
        ended(&of, step, done)
    })
}

/// How the step under way ended, which an earlier process began; `None`: that is not known.
///
/// # Errors
/// As the host fails. The caller retries.
pub(crate) async fn take_up(
    bot: &Bot,
    state: &RolloutState,
    shutdown: &CancellationToken,
) -> Result<Option<StepOutcome>, Failure> {
    let fleet = bot.in_force();
    each_kind!(KindTrack, &state.kind, track => {
        let Some(step) = track.under_way() else { return Ok(None) };
        let of = RolloutOf { bot, fleet: &fleet, state, track, shutdown };
        let ended = Effects::take_up(&of, step).await?;
        Ok(ended.map(|ended| ended.map(Outcome::from)))
    })
}

/// The image that the target ran before our first release; `None`: there is not exactly one, or it is not known.
pub(crate) fn adopted(bot: &Bot, state: &RolloutState) -> Option<Release> {
    let (fleet, shutdown) = (bot.in_force(), &CancellationToken::new());
    each_kind!(KindTrack, &state.kind, track => {
        Effects::adopted(&RolloutOf { bot, fleet: &fleet, state, track, shutdown })
    })
}

/// What a target runs now; `None`: it cannot be looked at.
///
/// # Errors
/// Why the target cannot be inspected now.
pub(crate) async fn sight(
    engine: &Engine,
    listing: &Listing,
    app: &App,
    target: &TargetPolicy,
) -> Result<Option<Vec<Sighted>>, String> {
    each_kind!(TargetKind, &target.kind, policy => policy.sight(engine, listing, app).await)
}

/// Images that a target's containers run, where they are containers of this engine, in the engine's order; what cannot be
/// seen is left out.
pub(crate) async fn images(engine: &Engine, app: &App, target: &TargetPolicy) -> Option<Vec<ImageId>> {
    let listing = Listing::fetch(engine).await.ok()?;
    let sighted = sight(engine, &listing, app, target).await.ok()??;
    Some(sighted.iter().filter_map(|seen| seen.image.parse().ok()).collect())
}

/// Is what a rollout would move there? Only looked at. Returns what was found, for people.
///
/// # Errors
/// What is missing, for people.
pub(crate) async fn check(connect: Connect<'_>, app: &App, target: &TargetPolicy) -> Result<String, String> {
    each_kind!(TargetKind, &target.kind, policy => policy.check(connect, &target.settings, app).await)
}

fn ended<K: Effects>(
    of: &RolloutOf<'_, K>,
    step: &K::Step,
    done: Result<Ended<K::Outcome>, Failure>,
) -> Option<StepOutcome> {
    let ended = match done {
        Ok(_) if K::ends_elsewhere(step) => return None,
        Ok(ended) => ended,
        Err(_) if of.shutdown.is_cancelled() && step.about().is_breakable() => return None,
        Err(failure) => Ended::Failed { failure },
    };
    // What containers, hooks and commands print goes into the journal and into mails.
    let secrets = std::cell::LazyCell::new(|| K::secrets(of));
    let ended = ended.masked(&|line| masked(line, &secrets), |failure| failure.masked(&secrets));
    Some(ended.map(Into::into))
}

/// Checks once, before the first change, that the state directory has room for the rollout. After the first change,
/// finishing and rolling back need the same space.
fn room_for(bot: &Bot, step: &impl KindStep) -> Result<(), Failure> {
    match step.about().role {
        Role::Preflight => room::enough(&bot.state, room::ROLLOUT),
        Role::Readiness(_) | Role::Breakable | Role::Hook { .. } | Role::Other => Ok(()),
    }
}

/// The sealed files of a rollout that can be read. One that cannot is missed by the step that needs it.
pub(crate) fn snapshots<K: Kind>(of: &RolloutOf<'_, K>) -> Vec<Vec<u8>> {
    let names = of.track.state.snapshots();
    names.iter().filter_map(|name| of.bot.sealed.read(name).ok()).collect()
}
