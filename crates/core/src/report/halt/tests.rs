use super::*;
use crate::report::incident::tests::incident;
use insta::assert_snapshot;
use lowtide_model::failure::{Failure, FailureKind};

fn app() -> AppName {
    "archives".parse().unwrap()
}

#[test]
fn everything_missing_is_reported_at_once() {
    let commit = || "3f2a9c1d".repeat(5);
    let failure = Failure::new(FailureKind::SourceUnreachable, "git.example.org does not answer");
    let all = [
        Lacking::Reason,
        Lacking::Form,
        Lacking::Odd("there is no `why` in a form".to_owned()),
        Lacking::Whys,
        Lacking::EmptyWhy(2),
        Lacking::TooManyWhys(7),
        Lacking::Root { whys: 3 },
        Lacking::RootWord("yes".to_owned()),
        Lacking::Class,
        Lacking::ClassWord("bug".to_owned()),
        Lacking::Countermeasure,
        Lacking::CommitWord("HEAD".to_owned()),
        Lacking::CommitAway(commit()),
        Lacking::CommitOld {
            commit: commit(),
            failed: "77aa0012".repeat(5),
        },
        Lacking::CommitOld {
            commit: commit(),
            failed: String::new(),
        },
        Lacking::CommitTestless {
            commit: commit(),
            globs: vec!["tests/**".to_owned(), "**/*_test.go".to_owned()],
        },
        Lacking::CommitUnseen(failure),
        Lacking::NoRepository,
        Lacking::ConfigSame,
        Lacking::ConfigUnknown,
        Lacking::NoiseNeedsConfig,
    ];
    assert_snapshot!(lacking(&app(), &all), @r#"
    archives stays halted, nothing was changed. What is missing:
      - a reason: --reason "…"
      - a form, since the app has `halt.require: countermeasure`: `lowtide incident archives --form > FILE`, fill it in, `lowtide resume archives --form FILE`
      - a form that can be read: there is no `why` in a form
      - whys: at least one, why it happened
      - whys: the second is empty; fill it in, or take it out
      - whys: five at most, not 7
      - root: fewer than five whys (3) need `root: reached`, which says that the last one is the root cause
      - root: `reached` or `open`, not `yes`
      - class: one of image, test-gap, config, environment, noise
      - class: one of image, test-gap, config, environment, noise, not `bug`
      - countermeasure: `commit: "ID"` of a commit that changes a test, or `config: true` after the app's configuration was changed
      - countermeasure.commit: a commit id of at least seven hex digits, not `HEAD`
      - countermeasure.commit: 3f2a9c1 is not on the branch that the app tracks; has it been pushed and merged?
      - countermeasure.commit: 3f2a9c1 is not newer than 77aa001, of which the failed release was built
      - countermeasure.commit: 3f2a9c1 is older than the halt, so it cannot be its fix
      - countermeasure.commit: 3f2a9c1 changes no test; tests are tests/**, **/*_test.go (`halt.tests`)
      - countermeasure.commit: the repository could not be read. The git remote does not answer: git.example.org does not answer. Try again
      - countermeasure.commit: others build this image; change its tests or tags and write `config: true`
      - countermeasure.config: the app's source, build, env, test, ready, publish and rollout settings are as they were at the halt; change what let this happen, then resume
      - countermeasure.config: how the app was configured at the halt is not recorded; name a commit instead
      - countermeasure.config: what is called noise needs a changed setting (`config: true`), or it will be noise again
    "#);
}

#[test]
fn the_form_explains_its_fields() {
    assert_snapshot!(form(&incident(), &HaltPolicy::default()), @r#"
    # Rollout jkmnpqrt of archives on compose-archives, 2026-11-23 03:00 America/Moncton: rolled back: the new container did not become ready
    # Fill in, then: lowtide resume archives --form FILE
    whys:             # one to five: why did it happen, and why that?
      - ""
    root: open        # reached: the last why is the root cause; needed with fewer than five
    class:            # image | test-gap | config | environment | noise
    countermeasure:   # at least one of the two
      commit: ""      # on the tracked branch, newer than 3f2a9c1; changes **/*test* or **/tests/** or **/test/**
      config: false   # true: the app's configuration was changed since the halt; noise needs it
    "#);
}

#[test]
fn what_follows_a_resume() {
    assert_snapshot!([0, 1, 3].map(|n| goes_on(&app(), n)).join("\n"), @"
    archives goes on
    archives goes on; the next new release is watched twice as long on each target
    archives goes on; the next 3 new releases are watched twice as long on each target
    ");
    let mut policy = HaltPolicy::default();
    assert_snapshot!(what_lifts(&app(), &policy), @r#"`lowtide resume archives --reason "…"`, or the form below with `--form FILE`. Then the next 3 new releases are watched twice as long on each target."#);
    policy.require = Require::Countermeasure;
    policy.probation = 0;
    assert_snapshot!(what_lifts(&app(), &policy), @"The form below: `lowtide incident archives --form > FILE`, fill it in, `lowtide resume archives --form FILE`.");
    let left = |list: &[(&str, u32)]| {
        let list: Vec<_> = list.iter().map(|(target, n)| (target.parse().unwrap(), *n)).collect();
        probation(&list)
    };
    let lines = [
        left(&[("web", 1)]),
        left(&[("web", 2)]),
        left(&[("web", 2), ("worker", 3)]),
    ];
    assert_snapshot!(lines.join("\n"), @r#"
    on probation, 1 rollout left
    on probation, 2 rollouts left
    on probation, rollouts left: web 2, worker 3
    "#);
}

#[test]
fn how_exposed_a_halted_app_is() {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let built = "2026-11-11T12:00:00Z".parse().ok();
    let shown = |built, security| exposed(Exposure { built, security }, now);
    let all = [shown(built, 4), shown(built, 0), shown(None, 1)];
    assert_snapshot!(all.join("\n"), @"
    runs an image 12 days old; 4 security fixes are pending
    runs an image 12 days old
    1 security fix is pending
    ");
    assert_eq!(shown(None, 0), "");
}
