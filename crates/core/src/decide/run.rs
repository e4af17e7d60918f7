//! The next effect of a run. A run is a fixed line, resolve → publish; this folds its events and says what comes next.

use super::{freshness, labels, retry};
use crate::fleet::app::App;
use crate::fleet::run::RunEvent;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::freshness::{Because, Judged};
use lowtide_model::image::{ContentDigest, ImageId, Reference};
use lowtide_model::journal::{IllegalEvent, Recorded};
use lowtide_model::name::RunId;
use lowtide_model::policy::Mode;
use lowtide_model::release::{Images, PlatformImage, Release};
use lowtide_model::run::{Conclusion, Effect, Outcome, Stage, Trigger};
use lowtide_model::stages::bootstrap::{Bootstrap, Bootstrapped};
use lowtide_model::stages::build::{Build, Built};
use lowtide_model::stages::inspect::{Inspect, Inspected};
use lowtide_model::stages::publish::{Publish, Published};
use lowtide_model::stages::resolve::{Resolve, Resolved};
use lowtide_model::stages::test::{Production, Test, Tested};
use start::Start;
use std::collections::BTreeMap;

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
    pub resolved: Option<Resolved>,
    pub build: Option<(Build, Built)>,
    pub inspected: Option<Inspected>,
    pub bootstrapped: Option<Bootstrapped>,
    /// By round.
    pub tested: Vec<Tested>,
    /// Images that the rounds ran beside, as `Release::sidecars`.
    pub sidecars: BTreeMap<String, String>,
    pub published: Option<Published>,
    pub effect: Progress,
    /// How often each stage failed: a retry may do an earlier stage again in between.
    failures: BTreeMap<Stage, u32>,
    pub cancel: Option<String>,
    pub conclusion: Option<Conclusion>,
}

/// Where the current effect stands.
#[derive(Debug, Clone, PartialEq)]
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
        resolved: None,
        build: None,
        inspected: None,
        bootstrapped: None,
        tested: Vec::new(),
        sidecars: BTreeMap::new(),
        published: None,
        effect: Progress::Idle,
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
        let Progress::Started { effect, .. } = std::mem::replace(&mut self.effect, Progress::Idle) else {
            return Err(IllegalEvent {
                event: "effect_ended",
                why: "no effect is under way",
            });
        };
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
                if let Some(own) = &resolved.own {
                    self.app = self.app.clone().with((**own).clone());
                }
                self.resolved = Some(resolved.clone());
            }
            (Outcome::Built(built), Effect::Build(build)) => self.build = Some((build, built.clone())),
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

    /// At this stage, is the last release tested again, and nothing that was built? A build comes before each other test.
    #[must_use]
    pub fn is_retest(&self, stage: Stage) -> bool {
        match stage {
            Stage::Bootstrap | Stage::Test => self.build.is_none() && !self.moved_sidecars().is_empty(),
            Stage::Resolve | Stage::Build | Stage::Inspect | Stage::Publish => false,
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

#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never stored")]
enum Plan {
    Effect(Box<Effect>),
    Finish(Conclusion),
}

/// Everyday clock corrections are smaller than this.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

fn planned(state: &RunState, now: Timestamp) -> Plan {
    let effect = |effect| Plan::Effect(Box::new(effect));
    let Some(resolved) = &state.resolved else {
        return effect(Effect::Resolve(Resolve {}));
    };
    let Some((build, built)) = &state.build else {
        let judged = state.judged.as_ref().filter(|_| state.comparable().is_some());
        let max_age = state.app.build().max_age;
        // Judged at the time the run was opened, so that a build does not lose its reason while time passes.
        return match freshness::decide(&resolved.assessment, judged, &state.trigger, max_age, state.opened) {
            Ok(because) => effect(Effect::Build(plan_build(state, resolved, because, now))),
            Err(why) => retest(state).unwrap_or(Plan::Finish(Conclusion::Unchanged { why })),
        };
    };
    let image = built.image.clone();
    let Some(inspected) = &state.inspected else {
        let against = state
            .last
            .as_ref()
            .map(|release| release.images.first().content.clone());
        return effect(Effect::Inspect(Inspect { image, against }));
    };
    if let Some(failure) = freshness::stale(&inspected.left) {
        let stage = Stage::Inspect;
        return Plan::Finish(Conclusion::Failed { stage, failure });
    }
    if let Some(why) = freshness::skip(inspected, state.comparable(), &state.quarantine) {
        return Plan::Finish(Conclusion::Unchanged { why });
    }
    let production = match start::judge(&state.app, inspected.has_command) {
        Start::AsItShips => Production::Start,
        Start::NotAtAll => Production::HasNoCommand,
        Start::Impossible { stage, failure } => return Plan::Finish(Conclusion::Failed { stage, failure }),
    };
    if let Some(test) = next_test(state, &image, None, production) {
        return effect(test);
    }
    let reference = release_reference(&state.app, build);
    if state.app.mode == Mode::Observe {
        let release = release(state, build, built, inspected, None, reference, now);
        return Plan::Finish(Conclusion::Observed { release });
    }
    let Some(published) = &state.published else {
        let publish = state.app.publish.as_ref();
        let channel = publish
            .and_then(|p| p.channels.first())
            .map(|c| Reference::tagged(&c.image, &c.tag));
        return effect(Effect::Publish(Publish {
            image,
            to: publish.map(|_| reference),
            channel,
        }));
    };
    let release = release(state, build, built, inspected, published.digest.clone(), reference, now);
    Plan::Finish(Conclusion::Released { release })
}

/// Nothing would be built. Does the last release have to pass its tests again, because an image beside it moved? Its failure changes nothing
/// but what people know: the release has proven itself beside the earlier one.
fn retest(state: &RunState) -> Option<Plan> {
    let last = state.comparable()?;
    let first = last.images.first();
    let is_due = !state.moved_sidecars().is_empty() && !state.quarantine.contains(&first.content);
    if !is_due || state.app.tests.is_empty() {
        return None;
    }
    let pull = last.digest.as_ref();
    let pull = pull.and_then(|digest| format!("{}@{digest}", last.reference.repository).parse().ok());
    Some(match next_test(state, &first.image, pull, Production::NotNow) {
        Some(test) => Plan::Effect(Box::new(test)),
        None => Plan::Finish(Conclusion::Retested {
            sidecars: state.sidecars.clone(),
        }),
    })
}

/// `None`: all rounds have passed. Without tests there is one round too: the start as it ships.
fn next_test(state: &RunState, image: &ImageId, pull: Option<Reference>, production: Production) -> Option<Effect> {
    let (image, tests) = (image.clone(), &state.app.tests);
    let round = u16::try_from(state.tested.len()).unwrap_or(u16::MAX);
    if tests.get(usize::from(round)).is_some() && state.bootstrapped.is_none() {
        return Some(Effect::Bootstrap(Bootstrap { image, round, pull }));
    }
    let left = tests.len().max(1).saturating_sub(usize::from(round));
    (left > 0).then(|| {
        Effect::Test(Test {
            image,
            round,
            bootstrapped: state.bootstrapped.clone(),
            production: if left == 1 { production } else { Production::NotNow },
        })
    })
}

fn plan_build(state: &RunState, resolved: &Resolved, because: Vec<Because>, now: Timestamp) -> Build {
    let release_tag = labels::release_tag(&state.app, state.id, &resolved.commit, now);
    let labels = labels::image_labels(&state.app, state.id, resolved, &release_tag, now);
    Build {
        resolved: Box::new(resolved.clone()),
        tag: format!("lowtide/{}:{release_tag}", state.app.name),
        release_tag,
        labels,
        because,
    }
}

/// Where the release is found: its registry, or the build host's own store.
fn release_reference(app: &App, build: &Build) -> Reference {
    match &app.publish {
        Some(publish) => Reference::tagged(&publish.image, &build.release_tag),
        None => Reference::tagged(&labels::local_repository(app), &build.release_tag),
    }
}

fn release(
    state: &RunState,
    build: &Build,
    built: &Built,
    inspected: &Inspected,
    digest: Option<lowtide_model::image::ManifestDigest>,
    reference: Reference,
    now: Timestamp,
) -> Release {
    Release {
        run: state.id,
        images: Images::from(PlatformImage {
            platform: Some(build.resolved.platform.clone()),
            image: built.image.clone(),
            content: inspected.inventory.content.clone(),
        }),
        commit: Some(build.resolved.commit.id.clone()),
        tag: build.release_tag.clone(),
        digest,
        reference,
        change: inspected.change.clone(),
        sidecars: state.sidecars.clone(),
        at: now,
    }
}

/// Spreads retries of different runs without a random source: the id already is random.
fn seed(id: RunId) -> u64 {
    id.0.0 as u64
}

#[cfg(test)]
mod tests;
