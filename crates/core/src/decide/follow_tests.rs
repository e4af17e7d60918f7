//! Which image of others is taken, by a table of pasts.

use super::*;
use jiff::SignedDuration;
use lowtide_model::freshness::{Fix, Inputs, PendingPackage};
use lowtide_model::image::ManifestDigest;
use lowtide_model::name::RunId;
use lowtide_model::release::Images;
use std::collections::BTreeMap;
use ulid::Ulid;

const DAY: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn manifest(n: u64) -> ManifestDigest {
    format!("sha256:{n:064x}").parse().unwrap()
}

fn policy(tags: &str, days: i64) -> FollowPolicy {
    FollowPolicy {
        image: "docker.io/library/postgres".parse().unwrap(),
        tags: tags.to_owned(),
        min_age: SignedDuration::from_secs(days * DAY),
        host: "local".parse().unwrap(),
    }
}

fn image(tag: &str, n: u64) -> ListedImage {
    ListedImage {
        tag: tag.to_owned(),
        served: manifest(n).into(),
        manifest: manifest(n),
    }
}

fn release(tag: &str, n: u64) -> Release {
    Release {
        run: RunId(Ulid(1)),
        images: Images::one(
            format!("sha256:{n:064x}").parse().unwrap(),
            format!("sha256:{n:064x}").parse().unwrap(),
        ),
        commit: None,
        upstream: Some(Box::new(Upstream {
            image: policy(tag, 0).image,
            tag: tag.to_owned(),
            manifest: manifest(n),
        })),
        tag: tag.to_owned(),
        digest: None,
        reference: format!("docker.io/library/postgres:{tag}").parse().unwrap(),
        change: None,
        sidecars: BTreeMap::new(),
        at: at(0),
    }
}

fn seen(tag: &str, n: u64, day: i64) -> SeenImage {
    SeenImage {
        tag: tag.to_owned(),
        manifest: manifest(n),
        at: at(day * DAY),
    }
}

fn pending(package: &str, security: bool) -> PendingPackage {
    PendingPackage {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        installed: Some("1".to_owned()),
        candidate: "2".to_owned(),
        origin: "Debian".to_owned(),
        security,
        layer: None,
        fix: Fix::Base {
            reference: "postgres:16.2".to_owned(),
        },
    }
}

fn survey(packages: &[(&str, bool)]) -> Survey {
    Survey {
        pending: packages
            .iter()
            .map(|(name, security)| pending(name, *security))
            .collect(),
        ..Survey::default()
    }
}

fn nightly() -> Trigger {
    Trigger::Schedule { slot: at(0) }
}

/// One line per decision.
fn told(followed: &Followed) -> String {
    match followed {
        Followed::Take(taken) => {
            let soaks = taken
                .soaks_until
                .map_or_else(String::new, |at| format!(", soaks until {at}"));
            format!("take {} ({:?}){soaks}", taken.image.tag, taken.because)
        }
        Followed::Stay(why) => format!("stay: {why:?}"),
        Followed::Refused(failure) => format!("refused: {:?}: {}", failure.kind, failure.detail),
    }
}

struct Case<'a> {
    policy: FollowPolicy,
    listed: Vec<ListedImage>,
    last: Option<Release>,
    judged: Option<Judged>,
    seen: Vec<SeenImage>,
    survey: Survey,
    running: Vec<String>,
    trigger: &'a Trigger,
}

impl Case<'_> {
    fn decided(&self) -> String {
        let past = Past {
            last: self.last.as_ref(),
            judged: self.judged.as_ref(),
            seen: &self.seen,
            running: &self.running,
            survey: &self.survey,
        };
        told(&decide(&self.policy, &self.listed, past, self.trigger, at(10 * DAY)))
    }
}

fn case<'a>(tags: &str, trigger: &'a Trigger, listed: &[(&str, u64)], last: Option<(&str, u64)>) -> Case<'a> {
    Case {
        policy: policy(tags, 0),
        listed: listed.iter().map(|(tag, n)| image(tag, *n)).collect(),
        last: last.map(|(tag, n)| release(tag, n)),
        judged: None,
        seen: Vec::new(),
        survey: Survey::default(),
        running: Vec::new(),
        trigger,
    }
}

#[test]
fn the_newest_is_taken_and_an_older_one_never() {
    let night = nightly();
    let told = |tags: &str, listed: &[(&str, u64)], last| case(tags, &night, listed, last).decided();
    let both = [("16.3", 3), ("16.2", 2)];
    let rows = [
        told("16.*", &both, None),
        told("16.*", &both, Some(("16.2", 2))),
        told("16.*", &both, Some(("16.3", 3))),
        told("16.*", &[("16.3", 9)], Some(("16.3", 3))),
        // Its authors have withdrawn 16.3.
        told("16.*", &[("16.2", 2)], Some(("16.3", 3))),
        told("latest", &[("latest", 2)], Some(("latest", 1))),
        // The rule was lowered.
        told("15.*", &[("15.9", 5)], Some(("16.3", 3))),
        // The rule was changed, to tags that have no order with the present one.
        told("latest", &[("latest", 5)], Some(("16.3", 3))),
        // The same image under a newer name.
        told("16.*", &[("16.3", 2)], Some(("16.2", 2))),
    ];
    insta::assert_snapshot!(rows.join("\n"), @r#"
    take 16.3 ([First])
    take 16.3 ([Newer { from: "16.2", to: "16.3" }])
    stay: NothingNewer { tag: "16.3" }
    take 16.3 ([Moved { tag: "16.3" }])
    stay: NothingNewer { tag: "16.3" }
    take latest ([Moved { tag: "latest" }])
    refused: RuleGoesDown: 15.9 is the newest that `15.*` matches, and the last release is 16.3; lowtide never goes down by itself
    take latest ([Newer { from: "16.3", to: "latest" }])
    stay: NothingNewer { tag: "16.2" }
    "#);
}

/// A rule can be wrong from the start.
#[test]
fn the_first_release_is_no_older_than_what_runs() {
    let night = nightly();
    let told = |running: &[&str]| {
        let mut case = case("16.*", &night, &[("16.3", 3)], None);
        case.running = running.iter().map(|tag| (*tag).to_owned()).collect();
        case.decided()
    };
    let rows = [
        told(&["16.2"]),
        told(&["16", "latest"]),
        told(&["16.3-alpine"]),
        told(&["16.2", "17.0-alpine"]),
        told(&["16.4"]),
    ];
    insta::assert_snapshot!(rows.join("\n"), @"
    take 16.3 ([First])
    take 16.3 ([First])
    take 16.3 ([First])
    refused: RuleGoesDown: 16.3 is the newest that `16.*` matches, and 17.0-alpine runs; lowtide never goes down by itself
    refused: RuleGoesDown: 16.3 is the newest that `16.*` matches, and 16.4 runs; lowtide never goes down by itself
    ");
}

#[test]
fn another_image_is_followed_from_its_newest_tag() {
    let night = nightly();
    let mut case = case("3.*", &night, &[("3.1", 7)], Some(("16.2", 2)));
    case.policy.image = "docker.io/library/redis".parse().unwrap();
    assert!(case.decided().starts_with("take 3.1"), "{}", case.decided());
}

#[test]
fn a_young_image_waits_unless_it_may_bring_security_fixes() {
    let night = nightly();
    let told = |seen_on: Option<i64>, fixes: &[(&str, bool)]| {
        let mut case = case("16.*", &night, &[("16.3", 3), ("16.2", 2)], Some(("16.2", 2)));
        case.policy = policy("16.*", 3);
        case.seen = seen_on.map(|day| seen("16.3", 3, day)).into_iter().collect();
        case.survey = survey(fixes);
        case.decided()
    };
    let rows = [
        told(None, &[]),
        told(Some(8), &[]),
        told(Some(7), &[]),
        told(Some(8), &[("tzdata", false)]),
        told(Some(8), &[("openssl", true)]),
    ];
    insta::assert_snapshot!(rows.join("\n"), @r#"
    stay: Soaking { tag: "16.3", until: 2026-10-04T14:13:20Z }
    stay: Soaking { tag: "16.3", until: 2026-10-02T14:13:20Z }
    take 16.3 ([Newer { from: "16.2", to: "16.3" }])
    stay: Soaking { tag: "16.3", until: 2026-10-02T14:13:20Z }
    take 16.3 ([Newer { from: "16.2", to: "16.3" }]), soaks until 2026-10-02T14:13:20Z
    "#);
}

#[test]
fn while_the_newest_is_too_young_an_older_one_that_is_newer_than_ours_is_taken() {
    let night = nightly();
    let mut case = case("16.*", &night, &[("16.4", 4), ("16.3", 3)], Some(("16.2", 2)));
    case.policy = policy("16.*", 3);
    case.seen = vec![seen("16.4", 4, 9), seen("16.3", 3, 1)];
    insta::assert_snapshot!(case.decided(), @r#"take 16.3 ([Newer { from: "16.2", to: "16.3" }])"#);
}

#[test]
fn a_tag_that_was_moved_back_is_not_followed() {
    let night = nightly();
    let mut case = case("16", &night, &[("16", 1)], Some(("16", 2)));
    case.seen = vec![seen("16", 1, 1), seen("16", 2, 5)];
    insta::assert_snapshot!(case.decided(), @r#"stay: WentBack { tag: "16" }"#);
}

#[test]
fn what_was_judged_is_not_pulled_again() {
    let night = nightly();
    let mut case = case("16.*", &night, &[("16.3", 3)], Some(("16.2", 2)));
    let inputs = Inputs {
        bases: BTreeMap::from([(named(&case.policy.image, "16.3"), manifest(3).to_string())]),
        ..Inputs::default()
    };
    case.judged = Some(Judged {
        inputs,
        at: at(0),
        because: vec![],
    });
    insta::assert_snapshot!(case.decided(), @r#"stay: NothingNewer { tag: "16.2" }"#);
    case.listed = vec![image("16.3", 4)];
    assert!(case.decided().starts_with("take 16.3"), "{}", case.decided());
}

#[test]
fn an_operator_does_not_wait() {
    let rebuild = Trigger::Manual {
        by: "ana".to_owned(),
        rebuild: true,
    };
    let told = |listed: &[(&str, u64)], last| {
        let mut case = case("16.*", &rebuild, listed, Some(last));
        case.policy = policy("16.*", 3);
        case.decided()
    };
    let rows = [
        told(&[("16.3", 3), ("16.2", 2)], ("16.2", 2)),
        told(&[("16.2", 2)], ("16.2", 2)),
        told(&[("15.2", 2)], ("16.2", 2)),
    ];
    insta::assert_snapshot!(rows.join("\n"), @r#"
    take 16.3 ([Asked { by: "ana" }])
    take 16.2 ([Asked { by: "ana" }])
    stay: NothingNewer { tag: "16.2" }
    "#);
}

#[test]
fn a_young_image_goes_further_only_with_security_fixes() {
    let pull = |soaks_until| Pull {
        image: image("16.3", 3),
        from: "docker.io/library/postgres:16.3".parse().unwrap(),
        tag: "lowtide/pg:t".to_owned(),
        release_tag: "t".to_owned(),
        because: vec![],
        soaks_until,
    };
    let before = survey(&[("openssl", true), ("tzdata", false)]);
    let left = |packages: &[(&str, bool)]| survey(packages);
    let young = pull(Some(at(20 * DAY)));
    let soaking = Some(SkipReason::Soaking {
        tag: "16.3".to_owned(),
        until: at(20 * DAY),
    });
    assert_eq!(soaks(&young, &before, &left(&[("tzdata", false)])), None);
    assert_eq!(soaks(&young, &before, &left(&[("openssl", true)])), soaking);
    assert_eq!(soaks(&young, &before, &Survey::unseen("no packages")), soaking);
    assert_eq!(soaks(&pull(None), &before, &left(&[("openssl", true)])), None);
}
