//! Forward, back, and killed in between.

use super::stage::*;
use lowtide::decide::rollout::Next;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::kinds::list::TargetKind;
use lowtide::kinds::services::model::{ServiceMark, UpdateState};
use lowtide::kinds::services::policy::{ServiceSelect, ServicesPolicy};
use lowtide::kinds::services::step::ServiceStep;
use lowtide::model::failure::FailureKind;
use lowtide::model::policy::Order;
use lowtide::model::rollout::RolloutConclusion;
use lowtide::runtime::kinds::services::body::LABEL_PREPULL;
use lowtide::runtime::kinds::services::prepull;
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_service_is_moved_and_gets_its_own_settings_back_without_a_restart() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let flags = [
        "--replicas",
        "2",
        "--label",
        "theirs=stays",
        "--update-parallelism",
        "2",
        "--update-delay",
        "3s",
    ];
    let name = stage.create("", &flags, &old);
    let before = stage.service(&name).await;
    let mut roll = Roll::new(&stage, one(&name), &new);
    let restores =
        |next: &Next<ServiceStep>| matches!(next, Next::Do { step, .. } if step.to_string().starts_with("restore"));
    assert_eq!(roll.until(restores).await, None);
    let found = roll.found().await;
    assert_eq!(
        (found.image.as_str(), found.mark),
        (new.service_image().as_str(), ServiceMark::Ours)
    );
    let (tasks, during) = (stage.tasks(&name), stage.service(&name).await);
    assert_eq!(during.pointer("/Spec/UpdateConfig/Order"), Some(&json!("start-first")));
    assert_eq!(during.pointer("/Spec/UpdateConfig/Parallelism"), Some(&json!(1)));
    assert_eq!(roll.drive().await, RolloutConclusion::Done);
    assert_eq!(stage.tasks(&name), tasks, "no task was replaced");
    let mut after = stage.service(&name).await["Spec"].clone();
    assert_eq!(
        after["Labels"],
        json!({"theirs": "stays", "io.lowtide.instance": "docker-tests"})
    );
    after["Labels"] = before["Spec"]["Labels"].clone();
    after["TaskTemplate"]["ContainerSpec"]["Image"] = before["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].clone();
    assert_eq!(after, before["Spec"]);
    let mut again = Roll::new(&stage, one(&name), &new);
    assert_eq!(again.drive().await, RolloutConclusion::AlreadyThere);
}

/// 31, 32
#[tokio::test]
async fn an_image_that_falls_is_rolled_back_to_the_spec_as_it_was() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", FALLS));
    let name = stage.create("", &["--replicas", "2"], &old);
    let before = stage.service(&name).await;
    let mut roll = Roll::new(&stage, one(&name), &new);
    let ended = roll.drive().await;
    assert!(is_reverted(&ended), "{ended:?}");
    assert_eq!(why(&ended).kind, FailureKind::ContainerExited);
    assert!(
        why(&ended).detail.contains("non-zero exit (3)"),
        "{}",
        why(&ended).detail
    );
    assert_eq!(stage.service(&name).await["Spec"], before["Spec"]);
    // The same release again is judged by its new tasks.
    let mut again = Roll::new(&stage, one(&name), &new);
    again.until(is_update).await;
    assert!(!again.units()[0].past.is_empty());
}

/// 32: long after Swarm has called the update completed.
#[tokio::test]
async fn a_task_that_turns_unhealthy_while_it_bakes_is_a_failure() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let old = stage.image("1", SERVES);
    let check = "HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD test ! -e /sick\n";
    let new = stage.image("2", &format!("{check}{SERVES}"));
    let name = stage.create("", &[], &old);
    let mut target = target(one(&name));
    target.settings.bake = jiff::SignedDuration::from_mins(30);
    let mut roll = Roll::of(&stage, target, &new);
    let baking = |next: &Next<ServiceStep>| matches!(next, Next::Wait { reason, .. } if matches!(reason, lowtide::model::failure::WaitReason::Baking { .. }));
    assert_eq!(roll.until(baking).await, None);
    let container = docker(&[
        "ps",
        "-q",
        "--filter",
        &format!("label=com.docker.swarm.service.name={name}"),
        "--filter",
        "health=healthy",
    ]);
    docker(&["exec", &container, "touch", "/sick"]);
    let ended = roll.drive().await;
    assert!(is_reverted(&ended), "{ended:?}");
    assert_eq!(
        why(&ended).kind,
        FailureKind::UnhealthyAfterRoll,
        "{}",
        why(&ended).detail
    );
}

#[tokio::test]
async fn killed_between_the_update_and_its_record_nothing_is_sent_twice() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &[], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_update).await;
    let Next::Do { attempt, step } = roll.plan().await else {
        panic!()
    };
    roll.begin(attempt, &step);
    roll.perform(&step).await;
    let sent = stage.service(&name).await;
    // Killed here. The next start finds the step begun and looks at what is there.
    roll.push(RolloutEvent::StepAbandoned);
    assert!(is_wait(&roll.plan().await), "what was sent is adopted");
    // And the call itself, made again, changes nothing.
    roll.perform(&step).await;
    let again = stage.service(&name).await;
    assert_eq!(again["Spec"], sent["Spec"]);
    assert_eq!(
        again["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"],
        json!(old.service_image())
    );
    assert_eq!(roll.drive().await, RolloutConclusion::Done);
}

#[tokio::test]
async fn a_stack_goes_back_as_one() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let label = format!("com.docker.stack.namespace={}", stage.name);
    let flags = ["--label", &label];
    let first = stage.create("_first", &flags, &old);
    // Its command is its own, and the new image does not have it.
    let second = stage.create(
        "_second",
        &[
            &flags[..],
            &["--entrypoint", "sh -c 'test -e /bad && exit 3; exec httpd -f -p 80'"],
        ]
        .concat(),
        &old,
    );
    quiet(&[
        "service",
        "create",
        "-d",
        "--mode",
        "replicated-job",
        "--label",
        &label,
        "--name",
        &format!("{}_job", stage.name),
        &old.service_image(),
        "true",
    ]);
    let bad = stage.image("3", &format!("RUN touch /bad\n{SERVES}"));
    let select = |services: &[&str]| ServiceSelect::Stack {
        stack: stage.name.clone(),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
    };
    let mut roll = Roll::new(&stage, select(&["first", "second"]), &bad);
    let ended = roll.drive().await;
    assert!(is_reverted(&ended), "{ended:?}");
    assert!(why(&ended).detail.contains("_second"), "{}", why(&ended).detail);
    for name in [&first, &second] {
        let service = stage.service(name).await;
        assert_eq!(
            service.pointer("/Spec/TaskTemplate/ContainerSpec/Image"),
            Some(&json!(old.service_image()))
        );
        assert_eq!(service.pointer("/Spec/Labels/io.lowtide.rollout"), None);
    }
    // 39: without names it is those that run the image, and the job is left out.
    let mut all = Roll::new(&stage, select(&[]), &new);
    all.until(is_update).await;
    let names: Vec<String> = all.units().into_iter().map(|unit| unit.name).collect();
    assert_eq!(names, [first, second]);
}

#[tokio::test]
async fn a_job_brings_the_image_to_the_nodes_and_goes() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &[], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_update).await;
    quiet(&["rmi", "-f", &new.images.first().image.to_string()]);
    let (unit, mark, cancel) = (&roll.units()[0], roll.mark(), CancellationToken::new());
    prepull::by_job(&stage.engine, unit, &new, &mark, None, &cancel)
        .await
        .unwrap();
    docker(&["image", "inspect", &new.service_image()]);
    let mut missing = new.clone();
    missing.digest = Some(format!("sha256:{}", "1".repeat(64)).parse().unwrap());
    let refused = prepull::by_job(&stage.engine, unit, &missing, &mark, None, &cancel)
        .await
        .unwrap_err();
    assert!(refused.detail.contains("No such image"), "{}", refused.detail);
    let rollout = format!("label=io.lowtide.rollout={}", roll.id);
    let jobs = docker(&[
        "service",
        "ls",
        "-q",
        "--filter",
        &rollout,
        "--filter",
        &format!("label={LABEL_PREPULL}"),
    ]);
    assert_eq!(jobs, "");
}

/// 29, 38
#[tokio::test]
async fn a_task_that_never_gets_its_port_ends_at_our_deadline() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let port = free_port();
    let published = format!("published={port},target=80,mode=host");
    let name = stage.create("", &["--publish", &published], &old);
    let mut policy = target(one(&name));
    policy.kind = TargetKind::Services(Box::new(ServicesPolicy {
        select: one(&name),
        order: Order::StartFirst,
    }));
    let refused = Roll::of(&stage, policy, &new).drive().await;
    assert_eq!(why(&refused).kind, FailureKind::ServiceRefused);
    // By itself it would be stop-first; the step is made to say otherwise.
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_update).await;
    assert_eq!(roll.units()[0].order.as_str(), "stop-first");
    let Next::Do { attempt, step } = roll.plan().await else {
        panic!()
    };
    let text = serde_json::to_string(&step)
        .unwrap()
        .replace("stop-first", "start-first");
    let step: ServiceStep = serde_json::from_str(&text).unwrap();
    roll.begin(attempt, &step);
    let outcome = roll.perform(&step).await;
    roll.end(outcome);
    let pends = async {
        loop {
            let found = roll.found().await;
            if found.tasks.iter().any(|task| task.said.contains("no suitable node")) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(std::time::Duration::from_secs(60), pends)
        .await
        .unwrap();
    assert_eq!(found.update, UpdateState::Updating);
    assert!(is_wait(&roll.plan().await), "there is time yet");
    roll.ahead = jiff::SignedDuration::from_hours(2);
    let Next::DecideRevert(failure) = roll.plan().await else {
        panic!("the deadline has passed")
    };
    assert_eq!(failure.kind, FailureKind::NotScheduled);
    assert!(
        failure.detail.contains("host-mode port already in use"),
        "{}",
        failure.detail
    );
    roll.ahead = jiff::SignedDuration::ZERO;
    roll.push(RolloutEvent::RevertDecided { failure });
    // No node fits: that says nothing against the release.
    let ended = roll.drive().await;
    assert!(matches!(ended, RolloutConclusion::Refused { .. }), "{ended:?}");
}

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    free.local_addr().unwrap().port()
}
