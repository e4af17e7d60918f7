//! An image of others goes through the same stages, with a pull instead of the build.

use super::*;
use lowtide_model::freshness::{Fix, PendingPackage, Survey};
use lowtide_model::image::{ManifestDigest, Reference};
use lowtide_model::policy::{FollowPolicy, ImageOrigin};
use lowtide_model::release::Upstream;
use lowtide_model::stages::publish::Publish;
use lowtide_model::stages::pull::ListedImage;

fn manifest(n: u64) -> ManifestDigest {
    format!("sha256:{n:064x}").parse().unwrap()
}

/// 16.3 is new, and a release of 16.2 is the last.
pub(super) fn newer(published: bool) -> Trial {
    let mut app = app(Mode::Active, published, true);
    let policy = FollowPolicy {
        image: "docker.io/library/postgres".parse().unwrap(),
        tags: "16.*".to_owned(),
        min_age: SignedDuration::ZERO,
        host: "local".parse().unwrap(),
    };
    let upstream = Upstream {
        image: policy.image.clone(),
        tag: "16.2".to_owned(),
        manifest: manifest(2),
    };
    app.origin = ImageOrigin::Followed(policy);
    if let Some(publish) = &mut app.publish {
        publish.tag = "{tag}-{digest}".to_owned();
    }
    let mut trial = Trial::new(app);
    opened_with(&mut trial, Some(A), None);
    if let RunEvent::Opened { last: Some(last), .. } = &mut trial.events[0].event {
        last.upstream = Some(Box::new(upstream));
        last.commit = None;
    }
    trial.listed = vec![ListedImage {
        tag: "16.3".to_owned(),
        served: manifest(33).into(),
        manifest: manifest(3),
    }];
    trial
}

fn policy(trial: &mut Trial) -> &mut FollowPolicy {
    let RunEvent::Opened { app, .. } = &mut trial.events[0].event else {
        panic!("not opened")
    };
    let ImageOrigin::Followed(policy) = &mut app.origin else {
        panic!("not followed")
    };
    policy
}

fn pending(security: bool) -> Survey {
    Survey {
        pending: vec![PendingPackage {
            package: "openssl".to_owned(),
            architecture: "amd64".to_owned(),
            installed: Some("1".to_owned()),
            candidate: "2".to_owned(),
            origin: "Debian".to_owned(),
            security,
            layer: None,
            fix: Fix::Base {
                reference: "postgres:16.2".to_owned(),
            },
        }],
        ..Survey::default()
    }
}

#[test]
fn a_newer_image_is_pulled_tested_and_copied_by_its_digest() {
    let mut trial = newer(true);
    let Conclusion::Released { release } = trial.finish() else {
        panic!("not released")
    };
    let stages = ["resolve 1", "pull 1", "inspect 1", "bootstrap 1", "test 1", "publish 1"];
    assert_eq!(trial.stages, stages);
    let published = trial.events.iter().find_map(|recorded| match &recorded.event {
        RunEvent::EffectStarted {
            effect: Effect::Publish(publish),
            ..
        } => Some(publish.clone()),
        RunEvent::Opened { .. }
        | RunEvent::EffectStarted { .. }
        | RunEvent::EffectEnded { .. }
        | RunEvent::EffectAbandoned { .. }
        | RunEvent::CancelRequested { .. }
        | RunEvent::Concluded { .. } => None,
    });
    let tag = format!("16.3-{}", manifest(3).short());
    let image = B.parse().unwrap();
    let there = |text: String| text.parse::<Reference>().ok();
    assert_eq!(
        published,
        Some(Publish {
            image,
            to: there(format!("registry.example.org/web:{tag}")),
            from: there(format!("docker.io/library/postgres@{}", manifest(3))),
            channel: there("registry.example.org/web:stable".to_owned()),
        })
    );
    assert_eq!((release.commit.as_deref(), release.tag.as_str()), (None, tag.as_str()));
    let upstream = release.upstream.unwrap();
    assert_eq!((upstream.tag.as_str(), upstream.manifest), ("16.3", manifest(3)));
}

#[test]
fn without_a_registry_of_ours_the_release_stays_where_it_is() {
    let mut trial = newer(false);
    let Conclusion::Released { release } = trial.finish() else {
        panic!("not released")
    };
    assert_eq!(trial.stages.last().unwrap(), "test 1", "there is nothing to publish");
    let repository = release.reference.repository.to_string();
    assert_eq!(
        (repository.as_str(), release.digest),
        ("docker.io/library/postgres", Some(manifest(3)))
    );
}

#[test]
fn the_same_content_under_another_digest_is_no_release() {
    let mut trial = newer(true);
    trial.content = A;
    let tag = "16.3".to_owned();
    let why = SkipReason::SameAgain { tag };
    assert_eq!(trial.finish(), Conclusion::Unchanged { why });
    assert_eq!(trial.stages, ["resolve 1", "pull 1", "inspect 1"]);
}

#[test]
fn a_young_image_is_tested_only_if_it_brings_security_fixes() {
    let end = |left: Survey| {
        let mut trial = newer(true);
        policy(&mut trial).min_age = SignedDuration::from_hours(72);
        trial.survey = pending(true);
        trial.left = left;
        let conclusion = trial.finish();
        (conclusion.word(), trial.stages.len(), trial.stages.join(", "))
    };
    let (word, _, stages) = end(pending(true));
    assert_eq!((word, stages.as_str()), ("unchanged", "resolve 1, pull 1, inspect 1"));
    let (word, count, _) = end(Survey::default());
    assert_eq!((word, count), ("released", 6));
}

#[test]
fn nothing_newer_ends_the_run_at_once() {
    let mut trial = newer(true);
    trial.listed.clear();
    let tag = "16.2".to_owned();
    let why = SkipReason::NothingNewer { tag };
    assert_eq!(trial.finish(), Conclusion::Unchanged { why });
    assert_eq!(trial.stages, ["resolve 1"]);
}
