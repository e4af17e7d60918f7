use super::*;
use jiff::Timestamp;
use lowtide_core::kinds::services::policy::ServiceSelect;
use lowtide_model::image::{ContentDigest, ImageId};
use lowtide_model::name::RunId;
use lowtide_model::release::Images;
use serde_json::json;
use std::str::FromStr;

const DIGEST: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn policy(order: Order) -> ServicesPolicy {
    let select = ServiceSelect::Service { name: "web".to_owned() };
    ServicesPolicy { select, order }
}

fn release() -> Release {
    Release {
        upstream: None,
        run: RunId(ulid::Ulid(7)),
        images: Images::one(
            ImageId::from_str(DIGEST).unwrap(),
            ContentDigest::from_str(DIGEST).unwrap(),
        ),
        commit: Some("c".repeat(40)),
        tag: "t1".to_owned(),
        digest: Some(DIGEST.parse().unwrap()),
        reference: "example.org/web:t1".parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn service(image: &str, rest: &Value) -> Value {
    let mut service = json!({
        "Spec": {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Replicated": {"Replicas": 2}}},
    });
    for (key, value) in rest.as_object().unwrap() {
        match key.as_str() {
            "UpdateStatus" => service["UpdateStatus"] = value.clone(),
            _ => service["Spec"][key] = value.clone(),
        }
    }
    service
}

#[test]
fn obstacles_are_named() {
    let pinned = &format!("example.org/web:t0@{DIGEST}");
    let over = BTreeSet::from(["OVER".to_owned()]);
    let ours = Ours {
        instance: "here",
        over: &over,
    };
    let start = Order::StartFirst;
    let host = json!({"EndpointSpec": {"Ports": [{"PublishMode": "host", "PublishedPort": 80}]}});
    let label = |rollout: &str, instance: &str| json!({"Labels": {"io.lowtide.rollout": rollout, "io.lowtide.instance": instance}});
    let update = |state: &str| json!({"UpdateStatus": {"State": state, "Message": "words"}});
    let cases = [
        ("nothing", pinned.as_str(), json!({}), Order::Auto),
        ("updating", pinned, update("updating"), Order::Auto),
        ("rolling back", pinned, update("rollback_started"), Order::Auto),
        ("paused", pinned, update("paused"), Order::Auto),
        ("rollback paused", pinned, update("rollback_paused"), Order::Auto),
        ("completed", pinned, update("completed"), Order::Auto),
        ("a new word", pinned, update("dreaming"), Order::Auto),
        ("a rollout at work", pinned, label("LIVE", "here"), Order::Auto),
        ("a rollout that is over", pinned, label("OVER", "here"), Order::Auto),
        ("someone else's", pinned, label("OVER", "there"), Order::Auto),
        ("no digest", "example.org/web:t0", json!({}), Order::Auto),
        ("host port", pinned, host.clone(), Order::Auto),
        ("host port, start-first", pinned, host, start),
        ("no container", "", json!({}), Order::Auto),
    ];
    let lines: Vec<String> = cases
        .into_iter()
        .map(|(what, image, rest, order)| {
            let why = obstacles(&service(image, &rest), &policy(order), &release(), ours);
            format!(
                "{what}: {}",
                if why.is_empty() {
                    "fine".to_owned()
                } else {
                    why.join("; ")
                }
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    nothing: fine
    updating: an update is under way (words)
    rolling back: an update is under way (words)
    paused: its last update is paused (words): `docker service update` or `docker service rollback` ends that
    rollback paused: its last update is paused (words): `docker service update` or `docker service rollback` ends that
    completed: fine
    a new word: its update is in a state lowtide does not know
    a rollout at work: rollout LIVE has its label on it: `docker service update --label-rm io.lowtide.rollout` once its update has ended
    a rollout that is over: fine
    someone else's: rollout OVER has its label on it: `docker service update --label-rm io.lowtide.rollout` once its update has ended
    no digest: its image example.org/web:t0 has no digest, so a rollback would have no exact image: `docker service update --image example.org/web:t0` pins it
    host port: fine
    host port, start-first: `order: start-first` and a port in host mode: the new task would wait for the old one's port for ever
    no container: it runs no container
    ");
}

#[test]
fn a_sick_baseline_is_named() {
    let image = "example.org/web:t0";
    let task = |slot, state, image: &str| ObservedTask {
        id: "t".to_owned(),
        place: TaskPlace::Slot(slot),
        image: image.to_owned(),
        state,
        wanted: TaskWanted::Running,
        since: Timestamp::UNIX_EPOCH,
        said: String::new(),
    };
    let service = service(image, &json!({}));
    let two = ServiceMode::Replicated { replicas: 2 };
    let sick = |tasks: &[ObservedTask]| sickness(&service, two, tasks, &BTreeSet::new());
    let good = task(1, TaskState::Running, image);
    assert_eq!(sick(&[good.clone(), task(2, TaskState::Running, image)]), None);
    let starting = sick(&[good.clone(), task(2, TaskState::Preparing, image)]);
    assert_eq!(starting.as_deref(), Some("1 of 2 tasks run"));
    assert_eq!(sick(std::slice::from_ref(&good)).as_deref(), Some("1 of 2 tasks run"));
    let mixed = sick(&[good, task(2, TaskState::Running, "example.org/web:other")]);
    insta::assert_snapshot!(mixed.unwrap(), @"a task runs example.org/web:other though the service says example.org/web:t0");
}

#[test]
fn what_one_task_holds_is_not_given_to_two() {
    for (what, spec, order) in [
        ("nothing", json!({"Mode": {"Replicated": {}}}), UpdateOrder::StartFirst),
        ("global", json!({"Mode": {"Global": {}}}), UpdateOrder::StopFirst),
        (
            "one per node",
            json!({"Mode": {"Replicated": {}}, "TaskTemplate": {"Placement": {"MaxReplicas": 1}}}),
            UpdateOrder::StopFirst,
        ),
        (
            "a volume",
            json!({"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Type": "volume", "Source": "d", "Target": "/d"}]}}}),
            UpdateOrder::StopFirst,
        ),
    ] {
        assert_eq!(natural_order(&spec), order, "{what}");
    }
}

/// 39
#[test]
fn jobs_have_no_mode_of_ours() {
    let mode = |mode: Value| super::mode(&json!({"Spec": {"Mode": mode}}));
    assert_eq!(mode(json!({"ReplicatedJob": {"MaxConcurrent": 1}})), None);
    assert_eq!(mode(json!({"GlobalJob": {}})), None);
    assert_eq!(mode(json!({"Global": {}})), Some(ServiceMode::Global));
    assert_eq!(
        mode(json!({"Replicated": {}})),
        Some(ServiceMode::Replicated { replicas: 1 })
    );
}

#[test]
fn only_a_manager_is_queried() {
    let why = |state: &str, control: bool| {
        no_manager(&json!({"Swarm": {"LocalNodeState": state, "ControlAvailable": control}}))
    };
    assert_eq!(why("active", true), None);
    assert!(why("active", false).unwrap().contains("worker"));
    assert!(why("locked", true).unwrap().contains("unlock"));
    assert_eq!(why("inactive", false), Some("the engine is in no swarm"));
}
