//! Whose fault a failure is: only the behaviour of the new release's own process condemns the release.

use super::trial::Trial;
use super::world::{KINDS, Kind, NewImage, OldImage, at, containers, rollout};
use crate::decide::app_state::AppState;
use crate::decide::consequences;
use crate::decide::rollout::{Next, next_of};
use crate::fleet::app_state::AppEvent;
use crate::fleet::rollout::RolloutEvent;
use crate::kinds::containers::model::{EndedBy, HostNeed, RestartPolicy};
use crate::kinds::containers::policy::{ContainersPolicy, PreflightPolicy};
use crate::kinds::containers::step::ContainerStep;
use crate::kinds::list::Step;
use jiff::SignedDuration;
use lowtide_model::container::ContainerState;
use lowtide_model::failure::FailureKind;
use lowtide_model::rollout::{RolloutConclusion, Which};
use std::fmt::Write as _;

/// How the rollout ends, whether that condemns the release, and which events the app's stream gets.
fn verdict(trial: &Trial) -> String {
    let conclusion = trial.conclusion();
    let end = consequences::RolloutEnd {
        app_state: &AppState::default(),
        app: None,
        adopted: None,
    };
    let ended = consequences::rollout_ended(&trial.state(), conclusion, &end, at(trial.now));
    let mut facts = Vec::new();
    for fact in &ended.facts {
        if let AppEvent::RolloutEnded { .. } = fact {
            facts.push("ended");
        } else if let AppEvent::Quarantined { .. } = fact {
            facts.push("quarantined");
        } else if let AppEvent::Halted { .. } = fact {
            facts.push("halted");
        } else {
            panic!("{fact:?}");
        }
    }
    let (word, failure) = match conclusion {
        RolloutConclusion::Done => ("done", None),
        RolloutConclusion::Refused { failure } => ("refused", Some(failure)),
        RolloutConclusion::Reverted { failure } => ("reverted", Some(failure)),
        RolloutConclusion::Stuck { failure } => ("stuck", Some(failure)),
        RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. } => panic!("{conclusion:?}"),
    };
    let kind = failure.map_or(String::new(), |failure| format!(" {:?}", failure.kind));
    format!("{word}{kind}: {}", facts.join(", "))
}

#[test]
fn what_fails_before_the_new_process_ran_is_refused_and_the_old_one_runs_again() {
    let mut table = String::new();
    for new_is in [
        NewImage::NotCreated,
        NewImage::NotStarted,
        NewImage::NotExecutable,
        NewImage::ExitsAtOnce,
        NewImage::NeverReady,
    ] {
        let mut verdicts = Vec::new();
        for (kind, replicas) in KINDS.into_iter().flat_map(|kind| [(kind, 1), (kind, 3)]) {
            let before = Trial::of(kind, replicas, new_is).end_state();
            let mut trial = Trial::of(kind, replicas, new_is);
            assert!(trial.drive(None));
            assert_eq!(trial.end_state(), before, "{kind:?} {new_is:?}");
            verdicts.push(verdict(&trial));
        }
        verdicts.dedup();
        writeln!(table, "{new_is:?}: {}", verdicts.join(" | ")).unwrap();
    }
    insta::assert_snapshot!(table, @"
    NotCreated: refused EngineRefused: ended
    NotStarted: refused StartFailed: ended
    NotExecutable: reverted NotExecutable: ended, quarantined, halted
    ExitsAtOnce: reverted ContainerExited: ended, quarantined, halted
    NeverReady: reverted UnhealthyAfterRoll: ended, quarantined, halted
    ");
}

/// Two units are moved, and the third finds its port taken: the first two are rolled back as well, and the release is
/// not condemned.
#[test]
fn a_host_that_fails_half_way_condemns_nobody() {
    let mut trial = Trial::new(3, NewImage::Good);
    // Until the third unit's candidate is created.
    while !trial.drive(Some(2)) {
        trial.recover();
        if trial
            .steps
            .iter()
            .filter(|step| *step == "create new container")
            .count()
            == 3
        {
            trial.world.new_is = NewImage::NotStarted;
        }
    }
    assert_eq!(verdict(&trial), "refused StartFailed: ended");
    let before = Trial::new(3, NewImage::Good).end_state();
    assert_eq!(trial.end_state(), before);
}

/// The service is down and a person is called, but the release is not to blame.
#[test]
fn a_device_that_is_gone_for_both_is_stuck_and_condemns_nobody() {
    let mut trial = Trial::new(1, NewImage::NotStarted);
    trial.world.old_is = OldImage::NotStarted;
    assert!(trial.drive(None));
    assert_eq!(verdict(&trial), "stuck RevertFailed: ended, halted");
    let RolloutConclusion::Stuck { failure } = trial.conclusion() else {
        panic!()
    };
    assert_eq!(failure.detail, "the old container of web0 cannot be started: simulated");
}

/// A release that the host never started cannot have changed data.
#[test]
fn an_irreversible_target_goes_back_where_nothing_ran() {
    for (new_is, expected) in [
        (NewImage::NotStarted, "refused StartFailed: ended"),
        (
            NewImage::NotExecutable,
            "reverted NotExecutable: ended, quarantined, halted",
        ),
        (
            NewImage::NeverReady,
            "stuck UnhealthyAfterRoll: ended, quarantined, halted",
        ),
    ] {
        let mut trial = Trial::new(1, new_is);
        trial.events.clear();
        trial.push(rollout(Kind::Plain, true));
        assert!(trial.drive(None));
        assert_eq!(verdict(&trial), expected, "{new_is:?}");
    }
}

fn with_device(new_is: NewImage, policy: PreflightPolicy) -> Trial {
    let mut trial = Trial::new(2, new_is);
    trial.world.units[1].needs = vec![HostNeed::Devices];
    let RolloutEvent::Opened { target, .. } = &mut trial.events[0].event else {
        panic!()
    };
    containers(target).preflight = policy;
    trial
}

#[test]
fn the_host_is_tried_before_anything_is_touched() {
    let mut trial = with_device(NewImage::Good, PreflightPolicy::Full);
    assert!(trial.drive(None));
    assert_eq!(
        trial.steps[..3],
        ["preflight", "try out what the host must have", "pull"]
    );
    let mut unfit = with_device(NewImage::Good, PreflightPolicy::Full);
    unfit.world.host_is_fit = false;
    assert!(unfit.drive(None));
    assert_eq!(unfit.steps, ["preflight", "try out what the host must have"]);
    assert_eq!(verdict(&unfit), "refused StartFailed: ended");
    let mut create = with_device(NewImage::NotStarted, PreflightPolicy::Create);
    create.world.host_is_fit = false;
    assert!(create.drive(None));
    assert_eq!(create.steps[..2], ["preflight", "pull"], "it was said not to");
}

#[test]
fn a_killed_try_leaves_nothing() {
    for kill in 0.. {
        let mut trial = with_device(NewImage::Good, PreflightPolicy::Full);
        if trial.drive(Some(kill)) {
            assert!(kill > 50);
            break;
        }
        trial.recover();
        assert!(trial.drive(None));
        assert_eq!(trial.world.trials, 0, "killed at {kill}");
        assert_eq!(*trial.conclusion(), RolloutConclusion::Done);
    }
}

/// Steps from the start of the new container on.
fn since_start(trial: &Trial) -> String {
    let from = trial
        .steps
        .iter()
        .position(|step| step == "start new container")
        .unwrap();
    trial.steps[from..].join("\n")
}

#[test]
fn one_exit_is_restarted_as_its_policy_would() {
    let mut trial = Trial::new(1, NewImage::ExitsOnce);
    assert!(trial.drive(None));
    insta::assert_snapshot!(since_start(&trial), @"
    start new container
    restart new container
    wait until new container is ready
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    remove old container
    ");
    assert_eq!(verdict(&trial), "done: ended");
    let mut twice = Trial::new(1, NewImage::ExitsAtOnce);
    assert!(twice.drive(None));
    insta::assert_snapshot!(since_start(&twice), @"
    start new container
    restart new container
    start old container
    set restart policy always
    wait until old container is ready
    save log
    remove new container
    ");
    assert_eq!(verdict(&twice), "reverted ContainerExited: ended, quarantined, halted");
    // The restart policy would not restart the container.
    let mut trial = Trial::new(1, NewImage::ExitsOnce);
    trial.world.units[0].restart = RestartPolicy::none();
    trial.world.containers[0].restart = RestartPolicy::none();
    assert!(trial.drive(None));
    assert_eq!(verdict(&trial), "reverted ContainerExited: ended, quarantined, halted");
}

#[test]
fn one_restart_by_the_engine_is_borne_while_it_bakes() {
    let mut trial = Trial::new(1, NewImage::ExitsOnceWhileBaking);
    assert!(trial.drive(None));
    insta::assert_snapshot!(since_start(&trial), @"
    start new container
    wait until new container is ready
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    restart new container
    wait until new container is ready
    remove old container
    ");
    assert_eq!(verdict(&trial), "done: ended");
    let mut twice = Trial::new(1, NewImage::DiesWhileBaking);
    assert!(twice.drive(None));
    assert_eq!(verdict(&twice), "reverted Restarting: ended, quarantined, halted");
    assert!(since_start(&twice).contains("restart new container"));
    // Wherever lowtide is killed, one exit is accepted and no second one.
    for (new_is, good) in [
        (NewImage::ExitsOnceWhileBaking, true),
        (NewImage::DiesWhileBaking, false),
    ] {
        for kill in 0.. {
            let mut trial = Trial::new(2, new_is);
            if trial.drive(Some(kill)) {
                break;
            }
            trial.recover();
            assert!(trial.drive(None));
            let done = *trial.conclusion() == RolloutConclusion::Done;
            assert_eq!(done, good, "{new_is:?} killed at {kill}: {:?}", trial.conclusion());
        }
    }
}

#[test]
fn what_a_policy_restarts() {
    let policy = |name: &str, max_retries| RestartPolicy {
        name: name.to_owned(),
        max_retries,
    };
    for (policy, code, restarts) in [
        (policy("no", 0), 1, false),
        (policy("", 0), 1, false),
        (policy("always", 0), 0, true),
        (policy("always", 0), 1, true),
        (policy("unless-stopped", 0), 0, true),
        (policy("on-failure", 0), 1, true),
        (policy("on-failure", 3), 1, true),
        (policy("on-failure", 3), 0, false),
    ] {
        assert_eq!(policy.restarts(code), restarts, "{policy:?} {code}");
    }
}

/// The engine's events show that someone stopped the container. Neither the image nor the host is at fault: everything is left as it is,
/// and a person is called.
#[test]
fn one_that_somebody_stopped_is_diverged() {
    let mut waited_for = Trial::new(1, NewImage::StoppedWhileWaitedFor);
    assert!(waited_for.drive(None));
    assert_eq!(verdict(&waited_for), "stuck Diverged: ended, halted");
    let (mut done, mut stuck) = (0, 0);
    for instant in 0.. {
        let mut trial = Trial::new(1, NewImage::Good);
        if trial.drive(Some(instant)) {
            break;
        }
        trial.recover();
        // Once the old container is removed there is nothing to roll back to.
        let has_old = trial.world.containers.iter().any(|c| c.id == "old0");
        let new = trial.world.containers.iter_mut().find(|c| has_old && c.id == "new0");
        let Some(new) = new.filter(|new| new.state == ContainerState::Running) else {
            continue;
        };
        new.state = ContainerState::Exited;
        new.exit_code = 137;
        new.ended_by = EndedBy::Call;
        assert!(trial.drive(None));
        match verdict(&trial).as_str() {
            "done: ended" => done += 1,
            "stuck Diverged: ended, halted" => {
                let both = trial.world.containers.len();
                assert_eq!(both, 2, "killed at {instant}: the old one is kept");
                stuck += 1;
            }
            other => panic!("{instant}: {other}"),
        }
    }
    assert!(stuck > 10, "{done} done, {stuck} stuck");
}

/// The deadline that is planned for the new container of a target with a timeout of 60 s, and for the old one in a
/// rollback.
#[test]
fn readiness_is_not_judged_before_the_start_period_ends() {
    let deadline = |which: Which, warm_up: i64| {
        let new_is = match which {
            Which::New => NewImage::Good,
            Which::Old => NewImage::NeverReady,
        };
        for kill in 0.. {
            let mut cut = Trial::new(1, new_is);
            assert!(!cut.drive(Some(kill)), "it is never waited for");
            for container in &mut cut.world.containers {
                container.warm_up = SignedDuration::from_secs(warm_up);
            }
            let seen = cut.world.seen(cut.units().as_ref());
            cut.recover();
            if let Next::Do {
                step: ContainerStep::AwaitReady {
                    which: of, deadline, ..
                },
                ..
            } = next_of::<ContainersPolicy>(&cut.state(), seen.as_ref(), &cut.outside, at(cut.now))
                && of == which
            {
                return deadline.duration_since(at(cut.now)).as_secs();
            }
        }
        panic!("it is never waited for")
    };
    for (which, warm_up, seconds) in [
        (Which::New, 0, 60),
        (Which::New, 59, 60),
        (Which::New, 300, 300),
        (Which::Old, 0, 60),
        (Which::Old, 300, 300),
    ] {
        assert_eq!(deadline(which, warm_up), seconds, "{which:?} {warm_up}");
    }
}

/// If a container exits during the wait and then exits again, its last output is reported.
#[test]
fn an_exit_while_it_is_waited_for_is_restarted_too() {
    let mut trial = Trial::new(1, NewImage::ExitsWhileWaitedFor { times: 1 });
    assert!(trial.drive(None));
    insta::assert_snapshot!(since_start(&trial), @"
    start new container
    wait until new container is ready
    restart new container
    wait until new container is ready
    rename to web0.prev.00000009
    rename to web0
    set restart policy always
    after hook
    remove old container
    ");
    let mut trial = Trial::new(1, NewImage::ExitsWhileWaitedFor { times: 2 });
    assert!(trial.drive(None));
    assert_eq!(verdict(&trial), "reverted ContainerExited: ended, quarantined, halted");
    let RolloutConclusion::Reverted { failure } = trial.conclusion() else {
        panic!()
    };
    assert_eq!(failure.detail, "simulated", "what the wait said");
}

/// A second wait for the same container gets the full timeout if the container was started again.
#[test]
fn a_restart_gives_it_its_time_again() {
    let deadlines = |trial: &Trial| {
        let waits = trial.events.iter().filter_map(|recorded| {
            let RolloutEvent::StepStarted {
                step: Step::Containers(ContainerStep::AwaitReady { deadline, .. }),
                ..
            } = &recorded.event
            else {
                return None;
            };
            Some(deadline.duration_since(recorded.at).as_secs())
        });
        waits.collect::<Vec<_>>()
    };
    let mut trial = Trial::new(1, NewImage::ExitsWhileWaitedFor { times: 1 });
    trial.pace = 20;
    assert!(trial.drive(None));
    assert_eq!(deadlines(&trial), [60, 60]);
}

/// A failed hook in the old container is no evidence against the new release.
#[test]
fn which_kinds_condemn() {
    let condemning = [
        FailureKind::NotExecutable,
        FailureKind::ContainerExited,
        FailureKind::OutOfMemory,
        FailureKind::UnhealthyAfterRoll,
        FailureKind::Restarting,
        FailureKind::HookFailed,
        FailureKind::CommandFailed,
        FailureKind::NotTakenOver,
    ];
    let innocent = [
        FailureKind::StartFailed,
        FailureKind::BeforeHookFailed,
        FailureKind::PreflightRefused,
        FailureKind::EngineRefused,
        FailureKind::EngineUnreachable,
        FailureKind::DiskFull,
        FailureKind::Diverged,
        FailureKind::RouterFailed,
        FailureKind::NotScheduled,
        FailureKind::HandoverFailed,
        FailureKind::RegistryUnreachable,
        FailureKind::Withdrawn,
        FailureKind::WindowClosed,
        FailureKind::Invariant,
    ];
    for kind in condemning {
        assert!(kind.condemns(), "{kind:?}");
    }
    for kind in innocent {
        assert!(!kind.condemns(), "{kind:?}");
    }
}

/// A mail about a rollback shows the last output of the new container.
#[test]
fn output_of_the_new_container_is_preserved_for_the_report() {
    let last_words = |new_is| {
        let mut trial = Trial::new(1, new_is);
        assert!(trial.drive(None));
        trial.state().kind.saved_logs()
    };
    assert_eq!(last_words(NewImage::NeverReady), ["last words"]);
    assert_eq!(last_words(NewImage::Good), Vec::<String>::new());
}
