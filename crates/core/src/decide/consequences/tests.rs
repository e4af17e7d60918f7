use super::*;
use crate::decide::app_state::Promotion;
use crate::decide::rollout::{self, RolloutState};
use crate::decide::schedule::tests_app;
use crate::decide::{app_state, run};
use crate::fleet::app::App;
use crate::fleet::rollout::RolloutEvent;
use crate::fleet::run::RunEvent;
use crate::kinds::list::TargetPolicy;
use lowtide_model::failure::{FailureKind, HaltReason, SkipReason};
use lowtide_model::journal::Recorded;
use lowtide_model::policy::{Channel, Mode, Schedule};
use lowtide_model::release::{Images, Release};
use lowtide_model::rollout::{Purpose, RolloutConclusion};
use lowtide_model::run::Trigger;
use ulid::Ulid;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn app() -> App {
    let mut app = tests_app("web", Schedule::Never, "UTC");
    app.mode = Mode::Active;
    app.maintainers = vec!["dev@example.org".to_owned()];
    app
}

fn target() -> TargetPolicy {
    serde_json::from_str(
        r#"{"name":"front","channel":null,"host":"h","window":null,"ready":{"check":"healthcheck","timeout":"PT60S"},
        "bake":"PT0S","irreversible":false,
        "kind":{"containers":{"select":{"name":{"name":"web"}},"before":[],"after":[],"stop_timeout":null}}}"#,
    )
    .unwrap()
}

fn release(n: u128) -> Release {
    let digest = format!("sha256:{n:064x}");
    Release {
        upstream: None,
        run: RunId(Ulid(n)),
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some("c".repeat(40)),
        tag: format!("t{n}"),
        digest: Some(digest.parse().unwrap()),
        reference: format!("registry.example.org/web:t{n}").parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: at(0),
    }
}

fn recorded<E>(event: E) -> Recorded<E> {
    Recorded {
        seq: 0,
        at: at(1),
        event,
    }
}

fn rolling(rollout: u128, release_n: u128, purpose: Purpose) -> RolloutState {
    let opened = RolloutEvent::Opened {
        app: "web".parse().unwrap(),
        target: Box::new(target()),
        timezone: "UTC".to_owned(),
        release: Box::new(release(release_n)),
        window_ignored: true,
        purpose,
    };
    rollout::fold(RolloutId(Ulid(rollout)), &[recorded(opened)]).unwrap()
}

/// The app's stream as it grows.
#[derive(Default)]
struct Story {
    app_state: AppState,
}

impl Story {
    fn push(&mut self, facts: Vec<AppEvent>) {
        for fact in facts {
            self.app_state.apply(&recorded(fact));
        }
    }

    fn released(&mut self, n: u128) {
        self.push(vec![AppEvent::Released {
            release: Box::new(release(n)),
        }]);
    }

    /// A rollout that is opened and ends so.
    fn ended(
        &mut self,
        state: &RolloutState,
        conclusion: &RolloutConclusion,
        adopted: Option<&Release>,
    ) -> Consequences {
        self.push(vec![AppEvent::RolloutOpened {
            target: state.target.name.clone(),
            release: state.release.run,
            rollout: state.id,
        }]);
        let app = app();
        let end = RolloutEnd {
            app_state: &self.app_state,
            app: Some(&app),
            adopted,
        };
        let consequences = rollout_ended(state, conclusion, &end, at(1));
        self.push(consequences.facts.clone());
        consequences
    }
}

fn refused(detail: &str) -> RolloutConclusion {
    RolloutConclusion::Refused {
        failure: Failure::new(FailureKind::TargetSick, detail),
    }
}

#[test]
fn a_refusal_is_reported_once_per_cause_however_many_nights_try_it() {
    let mut story = Story::default();
    story.released(1);
    let mut messages = Vec::new();
    for (n, detail) in [
        (10, "web is unhealthy"),
        (11, "web is unhealthy"),
        (12, "db is unhealthy"),
    ] {
        let consequences = story.ended(&rolling(n, 1, Purpose::Release), &refused(detail), None);
        messages.extend(consequences.messages);
    }
    let keys: Vec<&str> = messages.iter().map(|message| message.keys.dedup.as_str()).collect();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0], keys[1], "the outbox takes one of them");
    assert_ne!(keys[0], keys[2]);
    assert!(
        messages
            .iter()
            .all(|message| message.keys.thread == messages[0].keys.dedup),
        "one thread"
    );
    // A release has arrived in between, so a later refusal is a new incident.
    story.ended(&rolling(13, 1, Purpose::Release), &RolloutConclusion::Done, None);
    story.released(2);
    let later = story.ended(&rolling(14, 2, Purpose::Release), &refused("web is unhealthy"), None);
    assert_ne!(later.messages[0].keys.thread, messages[0].keys.thread);
}

#[test]
fn an_operators_revert_is_reported_as_one_and_names_who_and_why() {
    let mut story = Story::default();
    for n in [1, 2] {
        story.released(n);
        story.ended(&rolling(10 + n, n, Purpose::Release), &RolloutConclusion::Done, None);
    }
    let reason = HaltReason::Withdrawn {
        by: "ana".to_owned(),
        why: "it answers 500".to_owned(),
        tag: "t2".to_owned(),
        release: release(2).run,
    };
    story.push(vec![AppEvent::Halted { reason, settings: None }]);
    let consequences = story.ended(&rolling(20, 1, Purpose::Revert), &RolloutConclusion::Done, None);
    let MessageBody::WentBack(back) = &consequences.messages[0].body else {
        panic!("{:?}", consequences.messages)
    };
    let requested = back.asked.as_ref().map(|it| (it.by.as_str(), it.why.as_str()));
    assert_eq!(
        (back.tag.as_str(), back.from.as_deref(), requested),
        ("t1", Some("t2"), Some(("ana", "it answers 500")))
    );
}

#[test]
fn what_was_there_before_the_first_release_is_adopted_once() {
    let own = Release {
        tag: "nginx:1.25".to_owned(),
        ..release(0)
    };
    let adopts = |consequences: &Consequences| {
        consequences
            .facts
            .iter()
            .filter(|fact| matches!(fact, AppEvent::Adopted { .. }))
            .count()
    };
    let mut story = Story::default();
    story.released(1);
    let consequences = story.ended(
        &rolling(10, 1, Purpose::Release),
        &refused("web is unhealthy"),
        Some(&own),
    );
    assert_eq!(adopts(&consequences), 0, "nothing has taken its place");
    let consequences = story.ended(&rolling(11, 1, Purpose::Release), &RolloutConclusion::Done, Some(&own));
    assert_eq!(adopts(&consequences), 1);
    let state = &story.app_state.targets[&target().settings.name];
    assert_eq!(
        story.app_state.way_back(state).map(|release| release.tag.as_str()),
        Some("nginx:1.25")
    );
    story.released(2);
    let consequences = story.ended(
        &rolling(12, 2, Purpose::Release),
        &RolloutConclusion::Done,
        Some(&release(1)),
    );
    assert_eq!(adopts(&consequences), 0, "what runs now is a release of ours");
}

#[test]
fn a_way_back_that_fails_condemns_nobody() {
    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "x");
    let conclusion = RolloutConclusion::Reverted { failure };
    let quarantines = |purpose| {
        let consequences = Story::default().ended(&rolling(10, 1, purpose), &conclusion, None);
        let halted = consequences
            .facts
            .iter()
            .any(|fact| matches!(fact, AppEvent::Halted { .. }));
        assert!(halted);
        consequences
            .facts
            .iter()
            .any(|fact| matches!(fact, AppEvent::Quarantined { .. }))
    };
    assert!(quarantines(Purpose::Release) && quarantines(Purpose::Probation));
    assert!(!quarantines(Purpose::Revert));
}

/// The halt's reason is `Irreversible` only if no rollback was tried.
#[test]
fn a_stuck_rollout_halts_for_what_it_met() {
    let failure = || Failure::new(FailureKind::UnhealthyAfterRoll, "x");
    let reason = |irreversible, turned: bool| {
        let mut state = rolling(10, 1, Purpose::Release);
        state.target.irreversible = irreversible;
        state.reverting = turned.then(failure);
        let stuck = RolloutConclusion::Stuck { failure: failure() };
        super::rollout::halt(&state, &stuck, None, at(1)).map(|(reason, _)| reason)
    };
    let irreversible = Some(HaltReason::Irreversible { failure: failure() });
    let stuck = Some(HaltReason::Stuck { failure: failure() });
    assert_eq!(reason(true, false), irreversible);
    assert_eq!(reason(true, true), stuck, "a person withdrew its release");
    assert_eq!(reason(false, true), stuck);
    assert_eq!(reason(false, false), stuck);
}

#[test]
fn a_promotion_is_reported_when_it_is_not_tried_again_by_itself_and_when_it_came_through() {
    let app = app();
    let promotion = Promotion {
        channel: Channel {
            name: "production".parse().unwrap(),
            image: "prod.example.org/web".parse().unwrap(),
            pull: None,
            tag: "production".to_owned(),
        },
        release: release(1),
        digest: release(1).digest.unwrap(),
    };
    let mut story = Story::default();
    story.released(1);
    let state = |story: &Story| {
        story
            .app_state
            .channels
            .get(&promotion.channel.name)
            .cloned()
            .unwrap_or_default()
    };
    let mut counts = Vec::new();
    let kinds = [
        FailureKind::RegistryUnreachable,
        FailureKind::TagTaken,
        FailureKind::TagTaken,
        FailureKind::RegistryDenied,
    ];
    for kind in kinds {
        let failure = Failure::new(kind, "prod.example.org");
        let failed = promotion_failed(&app, &promotion, &state(&story), &failure, at(1));
        counts.push(failed.messages.len());
        story.push(failed.facts);
    }
    assert_eq!(counts, [0, 1, 1, 1], "a registry that is away may come back");
    let done = promoted(&app, &promotion, &state(&story), at(2));
    assert_eq!(done.messages.len(), 1);
    assert_eq!(done.messages[0].addressees, Addressees::Operators);
    story.push(done.facts);
    assert_eq!(state(&story).failing, None);
    // Nobody was notified of the failure, so nobody is notified of the recovery.
    let failure = Failure::new(FailureKind::RegistryUnreachable, "x");
    let failed = promotion_failed(&app, &promotion, &state(&story), &failure, at(3));
    story.push(failed.facts);
    let done = promoted(&app, &promotion, &state(&story), at(4));
    assert_eq!(done.messages, []);
}

#[test]
fn the_end_of_a_run_tries_again_what_was_refused() {
    let mut story = Story::default();
    story.released(1);
    story.ended(&rolling(10, 1, Purpose::Release), &refused("web is unhealthy"), None);
    let ends = |trigger: Trigger, conclusion: &Conclusion, now: Timestamp| {
        let opened = RunEvent::Opened {
            seen: Vec::new(),
            app: Box::new(app()),
            trigger,
            revision: "r".to_owned(),
            last: None,
            quarantine: Vec::new(),
            judged: None,
        };
        let state = run::fold(RunId(Ulid(50)), &[recorded(opened)]).unwrap();
        let end = RunEnd {
            app_state: &story.app_state,
            last_bases: None,
            timezone: "UTC",
        };
        let consequences = run_ended(&state, conclusion, &end, now);
        let again =
            |fact: &AppEvent| matches!(fact, AppEvent::Again { targets, .. } if *targets == [target().settings.name]);
        consequences.facts.iter().any(again)
    };
    let manual = || Trigger::Manual {
        by: "ana".to_owned(),
        rebuild: false,
    };
    let night = || Trigger::Schedule { slot: at(0) };
    let unchanged = Conclusion::Unchanged {
        why: SkipReason::SameContent,
    };
    let cancelled = Conclusion::Cancelled { by: "ana".to_owned() };
    let (soon, next_night) = (at(60), at(86_400));
    assert!(ends(manual(), &unchanged, soon));
    let retested = Conclusion::Retested {
        sidecars: std::collections::BTreeMap::new(),
    };
    assert!(ends(manual(), &retested, soon));
    assert!(!ends(night(), &unchanged, soon) && ends(night(), &unchanged, next_night));
    assert!(!ends(manual(), &cancelled, next_night));
    // Even if the run failed, the pending release exists.
    let failed = Conclusion::Failed {
        stage: Stage::Build,
        failure: Failure::new(FailureKind::BuildFailed, "x"),
    };
    assert!(ends(manual(), &failed, soon));
    let _: fn(Vec<Recorded<AppEvent>>) -> AppState = app_state::fold;
}

/// The commit of a release that is tested again has passed; that of a build that fails on such a night is named.
#[test]
fn a_failed_retest_names_no_commit() {
    use lowtide_model::message::MessageBody;
    let story = Story::default();
    let named = |stage: Stage| {
        let opened = RunEvent::Opened {
            seen: Vec::new(),
            app: Box::new(app()),
            trigger: Trigger::Schedule { slot: at(0) },
            revision: "r".to_owned(),
            last: Some(Box::new(release(1))),
            quarantine: Vec::new(),
            judged: None,
        };
        let mut state = run::fold(RunId(Ulid(50)), &[recorded(opened)]).unwrap();
        state.resolved = Some(resolved(vec!["mariadb:11".to_owned()]));
        let failure = Failure::new(FailureKind::TestFailed, "x");
        let conclusion = Conclusion::Failed { stage, failure };
        let end = RunEnd {
            app_state: &story.app_state,
            last_bases: Some(&[]),
            timezone: "UTC",
        };
        let messages = run_ended(&state, &conclusion, &end, at(60)).messages;
        messages.into_iter().find_map(|message| {
            let MessageBody::RunFailed {
                commit,
                commit_to_blame,
                ..
            } = message.body
            else {
                return None;
            };
            Some((commit.is_some(), commit_to_blame))
        })
    };
    assert_eq!(named(Stage::Test), Some((false, false)));
    assert_eq!(named(Stage::Build), Some((true, true)));
}

/// Whether a build began, how the run ended, and the record of that end.
#[test]
fn what_was_recorded_to_begin_is_recorded_to_end() {
    let failed = |stage: Stage, kind: FailureKind| Conclusion::Failed {
        stage,
        failure: Failure::new(kind, "x"),
    };
    let unchanged = |why: SkipReason| Conclusion::Unchanged { why };
    let nothing = SkipReason::NothingToGain {
        out_of_reach: 0,
        security: 0,
        unknown: Vec::new(),
    };
    let quarantined = SkipReason::Quarantined { digest: "d".to_owned() };
    let cancelled = Conclusion::Cancelled { by: "kim".to_owned() };
    let mut lines = Vec::new();
    for (build_began, conclusion) in [
        (true, Conclusion::Released { release: release(2) }),
        (true, Conclusion::Observed { release: release(2) }),
        (true, unchanged(SkipReason::SameContent)),
        (true, unchanged(quarantined)),
        (true, failed(Stage::Test, FailureKind::TestFailed)),
        (true, failed(Stage::Build, FailureKind::RegistryUnreachable)),
        (true, cancelled.clone()),
        (false, unchanged(nothing)),
        (false, failed(Stage::Resolve, FailureKind::DockerfileInvalid)),
        (false, failed(Stage::Resolve, FailureKind::RegistryUnreachable)),
        (false, failed(Stage::Test, FailureKind::TestFailed)),
        (false, cancelled),
    ] {
        let verdict = recorded_end(build_began, &conclusion);
        let began = if build_began { "built" } else { "not built" };
        lines.push(format!(
            "{began}, {}: {}",
            conclusion.word(),
            verdict.as_deref().unwrap_or("-")
        ));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    built, released: passed Some("t2"), observed: false
    built, observed: passed Some("t2"), observed: true
    built, unchanged: passed None, observed: false
    built, unchanged: unused
    built, failed: failed, Repo
    built, failed: failed, Infra
    built, cancelled: cancelled by kim
    not built, unchanged: -
    not built, failed: failed, Repo
    not built, failed: -
    not built, failed: -
    not built, cancelled: -
    "#);
}

fn recorded_end(build_began: bool, conclusion: &Conclusion) -> Option<String> {
    use lowtide_model::message::{MessageBody, Verdict};
    use lowtide_model::run::Effect;
    let opened = RunEvent::Opened {
        seen: Vec::new(),
        app: Box::new(app()),
        trigger: Trigger::Schedule { slot: at(0) },
        revision: "r".to_owned(),
        last: Some(Box::new(release(1))),
        quarantine: Vec::new(),
        judged: None,
    };
    let mut state = run::fold(RunId(Ulid(50)), &[recorded(opened)]).unwrap();
    // The sidecars moved: without a build, a test is one of the last release.
    state.resolved = Some(resolved(vec!["mariadb:11".to_owned()]));
    state.build_began = build_began;
    state.build = build_began.then(built);
    let begins = state
        .resolved
        .as_ref()
        .map(|resolved| Effect::Build(build(resolved)))
        .unwrap();
    assert_eq!(
        effect_started(&state, &begins, at(1)).is_some(),
        !build_began,
        "the first build alone"
    );
    let story = Story::default();
    let end = RunEnd {
        app_state: &story.app_state,
        last_bases: None,
        timezone: "UTC",
    };
    let messages = run_ended(&state, conclusion, &end, at(60)).messages;
    messages.iter().find_map(|message| {
        let MessageBody::RunEnded(ended) = &message.body else {
            return None;
        };
        Some(match &ended.verdict {
            Verdict::Passed { tag, observed, .. } => format!("passed {tag:?}, observed: {observed}"),
            Verdict::Failed { failure, .. } => format!("failed, {:?}", failure.fault()),
            Verdict::Unused { .. } => "unused".to_owned(),
            Verdict::Cancelled { by } => format!("cancelled by {by}"),
        })
    })
}

fn build(resolved: &lowtide_model::stages::resolve::Resolved) -> lowtide_model::stages::build::Build {
    lowtide_model::stages::build::Build {
        from: Box::new(resolved.repository().unwrap().clone()),
        platform: resolved.platform.clone(),
        tag: "lowtide/web:t2".to_owned(),
        release_tag: "t2".to_owned(),
        labels: std::collections::BTreeMap::new(),
        because: Vec::new(),
    }
}

fn built() -> (lowtide_model::stages::build::Build, lowtide_model::stages::build::Built) {
    let image = format!("sha256:{:064x}", 2).parse().unwrap();
    (
        build(&resolved(Vec::new())),
        lowtide_model::stages::build::Built { image, size: 1 },
    )
}

fn resolved(moved_sidecars: Vec<String>) -> lowtide_model::stages::resolve::Resolved {
    use lowtide_model::freshness::RebuildAssessment;
    use lowtide_model::stages::resolve::{Commit, Resolved, ResolvedOrigin, ResolvedRepository};
    Resolved {
        origin: ResolvedOrigin::Repository(ResolvedRepository {
            own: None,
            commit: Commit {
                id: "e".repeat(40),
                subject: "s".to_owned(),
                author: "a".to_owned(),
                time: at(0),
            },
            bases: Vec::new(),
            frontend: None,
        }),
        platform: "linux/amd64".parse().unwrap(),
        assessment: Box::new(RebuildAssessment {
            moved_sidecars,
            ..RebuildAssessment::default()
        }),
    }
}
