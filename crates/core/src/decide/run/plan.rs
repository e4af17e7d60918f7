//! What a run whose last effect went well does next.

use super::RunState;
use super::start::{self, Start};
use crate::decide::follow::{self, Followed, Past, Taken};
use crate::decide::{freshness, labels};
use crate::fleet::app::App;
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind, SkipReason};
use lowtide_model::freshness::Because;
use lowtide_model::image::{ImageId, ManifestDigest, Reference};
use lowtide_model::policy::{FollowPolicy, ImageOrigin, Mode};
use lowtide_model::release::{Images, PlatformImage, Release, Upstream};
use lowtide_model::run::{Conclusion, Effect, Stage};
use lowtide_model::stages::bootstrap::Bootstrap;
use lowtide_model::stages::build::Build;
use lowtide_model::stages::inspect::{Inspect, Inspected};
use lowtide_model::stages::publish::Publish;
use lowtide_model::stages::pull::Pull;
use lowtide_model::stages::resolve::{Resolve, Resolved, ResolvedOrigin, ResolvedRepository};
use lowtide_model::stages::test::{Production, Test};

#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never stored")]
pub(super) enum Plan {
    Effect(Box<Effect>),
    Finish(Conclusion),
}

/// The image that this run built or pulled.
struct Candidate<'a> {
    image: &'a ImageId,
    release_tag: &'a str,
    /// `None`: it was built.
    pulled: Option<&'a Pull>,
}

pub(super) fn planned(state: &RunState, now: Timestamp) -> Plan {
    let Some(resolved) = &state.resolved else {
        return effect(Effect::Resolve(Resolve {}));
    };
    let Some(candidate) = candidate(state) else {
        return obtain(state, resolved, now);
    };
    let image = candidate.image.clone();
    let Some(inspected) = &state.inspected else {
        let last = state.last.as_ref();
        let against = last.map(|release| release.images.first().content.clone());
        return effect(Effect::Inspect(Inspect { image, against }));
    };
    if let Some(failure) = freshness::stale(&inspected.left) {
        return failed(Stage::Inspect, failure);
    }
    let skip = freshness::skip(inspected, state.comparable(), &state.quarantine);
    let skip = skip.map(|why| match (why, candidate.pulled) {
        (SkipReason::SameContent, Some(pull)) => SkipReason::SameAgain {
            tag: pull.image.tag.clone(),
        },
        (why, _) => why,
    });
    let survey = &resolved.assessment.survey;
    let soaks = || follow::soaks(candidate.pulled?, survey, &inspected.left);
    if let Some(why) = skip.or_else(soaks) {
        return Plan::Finish(Conclusion::Unchanged { why });
    }
    let production = match start::judge(&state.app, inspected.has_command) {
        Start::AsItShips => Production::Start,
        Start::NotAtAll => Production::HasNoCommand,
        Start::Impossible { stage, failure } => return failed(stage, failure),
    };
    if let Some(test) = next_test(state, &image, None, production) {
        return effect(test);
    }
    end(state, resolved, &candidate, inspected, now)
}

/// All tests have passed.
fn end(
    state: &RunState,
    resolved: &Resolved,
    candidate: &Candidate<'_>,
    inspected: &Inspected,
    now: Timestamp,
) -> Plan {
    let reference = release_reference(&state.app, candidate.release_tag);
    let publish = state.app.publish.as_ref();
    // Without a place of ours it stays where others have it, under the digest that was tested.
    let there = candidate.pulled.filter(|_| publish.is_none());
    let there = there.map(|pull| pull.image.manifest.clone());
    if state.app.mode == Mode::Observe {
        let release = release(state, resolved, candidate, inspected, (there, reference), now);
        return Plan::Finish(Conclusion::Observed { release });
    }
    let digest = match (&state.published, there) {
        (_, Some(there)) => Some(there),
        (Some(published), None) => published.digest.clone(),
        (None, None) => {
            let channel = publish
                .and_then(|p| p.channels.first())
                .map(|c| Reference::tagged(&c.image, &c.tag));
            return effect(Effect::Publish(Publish {
                image: candidate.image.clone(),
                to: publish.map(|_| reference),
                from: candidate.pulled.map(|pull| pull.from.clone()),
                channel,
            }));
        }
    };
    let release = release(state, resolved, candidate, inspected, (digest, reference), now);
    Plan::Finish(Conclusion::Released { release })
}

fn effect(effect: Effect) -> Plan {
    Plan::Effect(Box::new(effect))
}

fn failed(stage: Stage, failure: Failure) -> Plan {
    Plan::Finish(Conclusion::Failed { stage, failure })
}

fn candidate(state: &RunState) -> Option<Candidate<'_>> {
    let built = state.build.as_ref().map(|(build, built)| Candidate {
        image: &built.image,
        release_tag: &build.release_tag,
        pulled: None,
    });
    built.or_else(|| {
        let (pull, pulled) = state.pulled.as_ref()?;
        Some(Candidate {
            image: &pulled.image,
            release_tag: &pull.release_tag,
            pulled: Some(pull),
        })
    })
}

/// What brings the candidate, if anything is to be gained by one.
fn obtain(state: &RunState, resolved: &Resolved, now: Timestamp) -> Plan {
    let judged = state.judged.as_ref().filter(|_| state.comparable().is_some());
    match (&state.app.origin, &resolved.origin) {
        (ImageOrigin::Built { build, .. }, ResolvedOrigin::Repository(repository)) => {
            // Judged at the time the run was opened, so that a build does not lose its reason while time passes.
            let assessment = &resolved.assessment;
            match freshness::decide(assessment, judged, &state.trigger, build.max_age, state.opened) {
                Ok(because) => effect(Effect::Build(plan_build(state, resolved, repository, because, now))),
                Err(why) => retest(state).unwrap_or(Plan::Finish(Conclusion::Unchanged { why })),
            }
        }
        (ImageOrigin::Followed(policy), ResolvedOrigin::Images(images)) => {
            let past = Past {
                last: state.comparable(),
                judged,
                seen: &state.seen,
                running: &images.running,
                survey: &resolved.assessment.survey,
            };
            match follow::decide(policy, &images.listed, past, &state.trigger, state.opened) {
                Followed::Take(taken) => effect(Effect::Pull(plan_pull(state, policy, *taken, now))),
                Followed::Stay(why) => retest(state).unwrap_or(Plan::Finish(Conclusion::Unchanged { why })),
                Followed::Refused(failure) => failed(Stage::Resolve, failure),
            }
        }
        (ImageOrigin::Built { .. }, ResolvedOrigin::Images(_))
        | (ImageOrigin::Followed(_), ResolvedOrigin::Repository(_)) => {
            let why = "what was resolved is of another origin than the app";
            failed(Stage::Resolve, Failure::new(FailureKind::Invariant, why))
        }
    }
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
        Some(test) => effect(test),
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

fn plan_build(
    state: &RunState,
    resolved: &Resolved,
    repository: &ResolvedRepository,
    because: Vec<Because>,
    now: Timestamp,
) -> Build {
    let release_tag = labels::release_tag(&state.app, state.id, &repository.commit, now);
    let labels = labels::image_labels(&state.app, state.id, repository, &release_tag, now);
    let from = ResolvedRepository {
        // The journal has it in the outcome of *resolve*.
        own: None,
        ..repository.clone()
    };
    Build {
        from: Box::new(from),
        platform: resolved.platform.clone(),
        tag: local_tag(&state.app, &release_tag),
        release_tag,
        labels,
        because,
    }
}

fn plan_pull(state: &RunState, policy: &FollowPolicy, taken: Taken, now: Timestamp) -> Pull {
    let release_tag = labels::followed_tag(&state.app, state.id, &taken.image, now);
    Pull {
        from: Reference::pinned(&policy.image, &taken.image.manifest.clone().into()),
        tag: local_tag(&state.app, &release_tag),
        release_tag,
        image: taken.image,
        because: taken.because,
        soaks_until: taken.soaks_until,
    }
}

/// Name in the store of the host that builds and tests.
fn local_tag(app: &App, release_tag: &str) -> String {
    format!("lowtide/{}:{release_tag}", app.name)
}

/// Where the release is found: its registry, or the build host's own store.
fn release_reference(app: &App, release_tag: &str) -> Reference {
    match (&app.publish, &app.origin) {
        (Some(publish), _) => Reference::tagged(&publish.image, release_tag),
        (None, ImageOrigin::Built { .. }) => Reference::tagged(&labels::local_repository(app), release_tag),
        (None, ImageOrigin::Followed(policy)) => Reference::tagged(&policy.image, release_tag),
    }
}

fn release(
    state: &RunState,
    resolved: &Resolved,
    candidate: &Candidate<'_>,
    inspected: &Inspected,
    (digest, reference): (Option<ManifestDigest>, Reference),
    now: Timestamp,
) -> Release {
    let upstream = candidate.pulled.map(|pull| {
        Box::new(Upstream {
            image: pull.from.repository.clone(),
            tag: pull.image.tag.clone(),
            manifest: pull.image.manifest.clone(),
        })
    });
    Release {
        run: state.id,
        images: Images::from(PlatformImage {
            platform: Some(resolved.platform.clone()),
            image: candidate.image.clone(),
            content: inspected.inventory.content.clone(),
        }),
        commit: resolved.commit().map(|commit| commit.id.clone()),
        upstream,
        tag: candidate.release_tag.to_owned(),
        digest,
        reference,
        change: inspected.change.clone(),
        sidecars: state.sidecars.clone(),
        at: now,
    }
}
