//! The next effect of a run. A run is a fixed line, resolve → publish; this folds its events and says what comes next.

use super::retry;
use crate::fleet::app::App;
use crate::fleet::run::RunEvent;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::freshness::Judged;
use lowtide_model::image::ContentDigest;
use lowtide_model::journal::{IllegalEvent, Recorded};
use lowtide_model::message::StageTime;
use lowtide_model::name::RunId;
use lowtide_model::policy::Mode;
use lowtide_model::release::Release;
use lowtide_model::run::{Conclusion, Effect, Outcome, Stage, Trigger};
use lowtide_model::stages::bootstrap::Bootstrapped;
use lowtide_model::stages::build::{Build, Built};
use lowtide_model::stages::inspect::Inspected;
use lowtide_model::stages::publish::Published;
use lowtide_model::stages::pull::{Pull, Pulled, SeenImage};
use lowtide_model::stages::resolve::Resolved;
use lowtide_model::stages::test::Tested;
use plan::{Plan, planned};
use std::collections::BTreeMap;

mod plan;
mod start;

/// What the driver does next.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Next {
    Perform {
        attempt: u32,
        effect: Effect,
    },
    WaitUntil {
        at: Timestamp,
        reason: WaitReason,
    },
    Finish(Conclusion),
    /// Nothing: the run is over.
    Over,
}

/// State of a run, folded from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    pub id: RunId,
    pub app: App,
    pub trigger: Trigger,
    pub revision: String,
    pub opened: Timestamp,
    pub last: Option<Release>,
    pub quarantine: Vec<ContentDigest>,
    pub judged: Option<Judged>,
    /// Images of the followed repository that earlier runs saw.
    pub seen: Vec<SeenImage>,
    pub resolved: Option<Resolved>,
    pub build: Option<(Build, Built)>,
    pub pulled: Option<(Pull, Pulled)>,
    pub inspected: Option<Inspected>,
    pub bootstrapped: Option<Bootstrapped>,
    /// By round.
    pub tested: Vec<Tested>,
    /// Images that the rounds ran beside, as `Release::sidecars`.
    pub sidecars: BTreeMap<String, String>,
    pub published: Option<Published>,
    pub effect: Progress,
    /// Every attempt at a stage that ended.
    pub took: Vec<StageTime>,
    /// A build of the commit began, whatever became of it.
    pub build_began: bool,
    /// How often each stage failed: a retry may do an earlier stage again in between.
    failures: BTreeMap<Stage, u32>,
    pub cancel: Option<String>,
    pub conclusion: Option<Conclusion>,
}

/// Where the current effect stands.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one per open run")]
pub enum Progress {
    Idle,
    Started {
        attempt: u32,
        effect: Effect,
        at: Timestamp,
    },
    Failed {
        attempt: u32,
        stage: Stage,
        failure: Failure,
        at: Timestamp,
    },
}

/// Folds a whole stream.
///
/// # Errors
/// The first event that cannot follow the ones before it.
pub fn fold(id: RunId, events: &[Recorded<RunEvent>]) -> Result<RunState, IllegalEvent> {
    let Some((first, rest)) = events.split_first() else {
        return Err(IllegalEvent {
            event: "none",
            why: "a run's stream begins with opened",
        });
    };
    let RunEvent::Opened {
        app,
        trigger,
        revision,
        last,
        quarantine,
        judged,
        seen,
    } = &first.event
    else {
        return Err(IllegalEvent {
            event: "first",
            why: "a run's stream begins with opened",
        });
    };
    let mut state = RunState {
        id,
        app: (**app).clone(),
        trigger: trigger.clone(),
        revision: revision.clone(),
        opened: first.at,
        last: last.as_deref().cloned(),
        quarantine: quarantine.clone(),
        judged: judged.as_deref().cloned(),
        seen: seen.clone(),
        resolved: None,
        build: None,
        pulled: None,
        inspected: None,
        bootstrapped: None,
        tested: Vec::new(),
        sidecars: BTreeMap::new(),
        published: None,
        effect: Progress::Idle,
        took: Vec::new(),
        build_began: false,
        failures: BTreeMap::new(),
        cancel: None,
        conclusion: None,
    };
    for recorded in rest {
        state.apply(recorded)?;
    }
    Ok(state)
}

impl RunState {
    /// One transition function for replay and for the running run.
    ///
    /// # Errors
    /// An event that cannot follow.
    pub fn apply(&mut self, recorded: &Recorded<RunEvent>) -> Result<(), IllegalEvent> {
        if self.conclusion.is_some() {
            return Err(IllegalEvent {
                event: "any",
                why: "the run is concluded",
            });
        }
        match &recorded.event {
            RunEvent::Opened { .. } => {
                return Err(IllegalEvent {
                    event: "opened",
                    why: "the run is open already",
                });
            }
            RunEvent::EffectStarted { attempt, effect } => {
                if matches!(self.effect, Progress::Started { .. }) {
                    return Err(IllegalEvent {
                        event: "effect_started",
                        why: "another effect is under way",
                    });
                }
                self.build_began |= matches!(effect, Effect::Build(_));
                self.effect = Progress::Started {
                    attempt: *attempt,
                    effect: effect.clone(),
                    at: recorded.at,
                };
            }
            RunEvent::EffectEnded { outcome } => self.end(outcome, recorded.at)?,
            RunEvent::EffectAbandoned { back_to } => {
                if !matches!(self.effect, Progress::Started { .. }) {
                    return Err(IllegalEvent {
                        event: "effect_abandoned",
                        why: "no effect is under way",
                    });
                }
                self.rewind(*back_to);
                self.effect = Progress::Idle;
            }
            RunEvent::CancelRequested { by } => self.cancel = Some(by.clone()),
            RunEvent::Concluded { conclusion } => self.conclusion = Some(conclusion.clone()),
        }
        Ok(())
    }

    fn end(&mut self, outcome: &Outcome, at: Timestamp) -> Result<(), IllegalEvent> {
        let Progress::Started {
            effect, at: started, ..
        } = std::mem::replace(&mut self.effect, Progress::Idle)
        else {
            return Err(IllegalEvent {
                event: "effect_ended",
                why: "no effect is under way",
            });
        };
        // A clock that was set back in between gives no negative time.
        let took_ms = u64::try_from(at.duration_since(started).as_millis()).unwrap_or_default();
        self.took.push(StageTime {
            stage: effect.stage(),
            took_ms,
        });
        match (outcome, effect) {
            (Outcome::Failed(failure), effect) => {
                // A failed test leaves no container to continue with: a retry starts again with bootstrap, which
                // installs the test tools.
                if effect.stage() == Stage::Test {
                    self.bootstrapped = None;
                }
                let failures = self.failures.entry(effect.stage()).or_default();
                *failures += 1;
                self.effect = Progress::Failed {
                    attempt: *failures,
                    stage: effect.stage(),
                    failure: failure.clone(),
                    at,
                };
            }
            (Outcome::Resolved(resolved), Effect::Resolve(_)) => {
                if let Some(own) = resolved.repository().and_then(|repository| repository.own.as_ref()) {
                    self.app = self.app.clone().with((**own).clone());
                }
                self.resolved = Some(resolved.clone());
            }
            (Outcome::Built(built), Effect::Build(build)) => self.build = Some((build, built.clone())),
            (Outcome::Pulled(pulled), Effect::Pull(pull)) => self.pulled = Some((pull, pulled.clone())),
            (Outcome::Inspected(inspected), Effect::Inspect(_)) => self.inspected = Some(inspected.clone()),
            (Outcome::Bootstrapped(bootstrapped), Effect::Bootstrap(_)) => {
                self.sidecars.extend(bootstrapped.sidecars.clone());
                self.bootstrapped = Some(bootstrapped.clone());
            }
            (Outcome::Tested(tested), Effect::Test(_)) => {
                self.tested.push(tested.clone());
                // The next round has a container of its own.
                self.bootstrapped = None;
            }
            (Outcome::Published(published), Effect::Publish(_)) => self.published = Some(published.clone()),
            (
                Outcome::Resolved(_)
                | Outcome::Built(_)
                | Outcome::Pulled(_)
                | Outcome::Inspected(_)
                | Outcome::Bootstrapped(_)
                | Outcome::Tested(_)
                | Outcome::Published(_),
                _,
            ) => {
                return Err(IllegalEvent {
                    event: "effect_ended",
                    why: "the outcome is another stage's",
                });
            }
        }
        Ok(())
    }

    fn rewind(&mut self, back_to: Stage) {
        match back_to {
            Stage::Resolve => self.resolved = None,
            Stage::Build => self.build = None,
            Stage::Pull => self.pulled = None,
            Stage::Inspect => self.inspected = None,
            Stage::Bootstrap => self.bootstrapped = None,
            // The round under way has no outcome, and the earlier ones hold.
            Stage::Test => {}
            Stage::Publish => self.published = None,
        }
    }

    /// The last release, unless it is one that was only observed and is now to be published.
    fn comparable(&self) -> Option<&Release> {
        let published = |release: &&Release| release.digest.is_some() || self.app.publish.is_none();
        let observes = self.app.mode == Mode::Observe;
        self.last.as_ref().filter(|release| observes || published(release))
    }

    /// At this stage, is the last release tested again, and nothing that was built? A build or a pull comes before each other test.
    #[must_use]
    pub fn is_retest(&self, stage: Stage) -> bool {
        match stage {
            Stage::Bootstrap | Stage::Test => {
                self.build.is_none() && self.pulled.is_none() && !self.moved_sidecars().is_empty()
            }
            Stage::Resolve | Stage::Build | Stage::Pull | Stage::Inspect | Stage::Publish => false,
        }
    }

    /// Images that the last release was tested beside, and that are others now.
    #[must_use]
    pub fn moved_sidecars(&self) -> &[String] {
        let assessment = self.resolved.as_ref().map(|resolved| &resolved.assessment);
        assessment.map_or(&[], |assessment| &assessment.moved_sidecars)
    }

    /// The stage the run is at, for people.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        match &self.effect {
            Progress::Started { effect, .. } => Some(effect.stage()),
            Progress::Failed { stage, .. } => Some(*stage),
            Progress::Idle => None,
        }
    }
}

/// The decision. Pure: the same state and moment give the same result.
pub fn next(state: &RunState, now: Timestamp) -> Next {
    if state.conclusion.is_some() {
        return Next::Over;
    }
    if let Some(by) = &state.cancel {
        return Next::Finish(Conclusion::Cancelled { by: by.clone() });
    }
    match &state.effect {
        Progress::Idle => {}
        // The driver never calls this while an effect runs; after a kill, `recover` deals with the effect first.
        Progress::Started { effect, .. } => {
            let why = "the next effect was asked for while one was under way";
            let failure = Failure::new(FailureKind::Invariant, why);
            return Next::Finish(Conclusion::Failed {
                stage: effect.stage(),
                failure,
            });
        }
        Progress::Failed {
            attempt,
            stage,
            failure,
            at,
        } => {
            let failed = *at;
            let Some(at) = retry::due(*attempt, failure, failed, seed(state.id)) else {
                return Next::Finish(Conclusion::Failed {
                    stage: *stage,
                    failure: failure.clone(),
                });
            };
            // A failure dated in the future was written by a clock that ran fast: retry now.
            if at > now && failed <= now + SLACK {
                return Next::WaitUntil {
                    at,
                    reason: WaitReason::Retry {
                        at,
                        failure: failure.clone(),
                    },
                };
            }
        }
    }
    match planned(state, now) {
        Plan::Effect(effect) => {
            let attempt = 1 + state.failures.get(&effect.stage()).copied().unwrap_or(0);
            Next::Perform {
                attempt,
                effect: *effect,
            }
        }
        Plan::Finish(conclusion) => Next::Finish(conclusion),
    }
}

/// Everyday clock corrections are smaller than this.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// Spreads retries of different runs without a random source: the id already is random.
fn seed(id: RunId) -> u64 {
    id.0.0 as u64
}

#[cfg(test)]
mod tests;
