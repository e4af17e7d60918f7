//! Someone else at the same service.

use super::stage::*;
use lowtide::clients::engine::error::EngineError;
use lowtide::kinds::services::policy::ServiceSelect;
use lowtide::model::failure::FailureKind;
use lowtide::model::rollout::RolloutConclusion;
use serde_json::json;
use std::time::Duration;

/// 33: `scale` overwrites Swarm's previous spec, so its own rollback goes nowhere useful. Ours does.
#[tokio::test]
async fn scaling_in_the_middle_takes_nothing_from_the_way_back() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", FALLS));
    let name = stage.create("", &[], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_wait).await;
    docker(&["service", "scale", "-d", &format!("{name}=2")]);
    let scaled = stage.service(&name).await;
    assert_eq!(
        scaled.pointer("/PreviousSpec/TaskTemplate/ContainerSpec/Image"),
        Some(&json!(new.service_image()))
    );
    let ended = roll.drive().await;
    assert!(is_reverted(&ended), "{ended:?}");
    let service = stage.service(&name).await;
    assert_eq!(
        service.pointer("/Spec/TaskTemplate/ContainerSpec/Image"),
        Some(&json!(old.service_image()))
    );
    assert_eq!(
        service.pointer("/Spec/Mode/Replicated/Replicas"),
        Some(&json!(2)),
        "the number is theirs"
    );
}

/// 33
#[tokio::test]
async fn a_rollback_by_hand_is_adopted() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &["--replicas", "2"], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_wait).await;
    docker(&["service", "rollback", "-q", &name]);
    let ended = roll.drive().await;
    assert!(is_reverted(&ended), "{ended:?}");
    let service = stage.service(&name).await;
    assert_eq!(
        service.pointer("/Spec/TaskTemplate/ContainerSpec/Image"),
        Some(&json!(old.service_image()))
    );
}

/// 34
#[tokio::test]
async fn another_image_is_left_where_it_is() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new, theirs) = (
        stage.image("1", SERVES),
        stage.image("2", SERVES),
        stage.image("3", SERVES),
    );
    let name = stage.create("", &[], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_wait).await;
    docker(&[
        "service",
        "update",
        "-q",
        "-d",
        "--image",
        &theirs.service_image(),
        &name,
    ]);
    let ended = roll.drive().await;
    assert!(matches!(ended, RolloutConclusion::Stuck { .. }), "{ended:?}");
    assert_eq!(why(&ended).kind, FailureKind::Diverged);
    let service = stage.service(&name).await;
    assert_eq!(
        service.pointer("/Spec/TaskTemplate/ContainerSpec/Image"),
        Some(&json!(theirs.service_image()))
    );
}

/// 34: the words by which a race is known, and that one is lost without anything being lost.
#[tokio::test]
async fn what_others_write_meanwhile_survives_ours() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &[], &old);
    let read = stage.service(&name).await;
    docker(&["service", "update", "-q", "-d", "--label-add", "first=yes", &name]);
    let path = format!("/services/{name}/update?version={}", read["Version"]["Index"]);
    let raced = stage
        .engine
        .raw_post(&path, Some(&read["Spec"]), Duration::from_secs(30))
        .await;
    match raced {
        Err(EngineError::Refused { message, .. }) => assert!(message.contains("update out of sequence"), "{message}"),
        other => panic!("{other:?}"),
    }
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_update).await;
    let writer = {
        let name = name.clone();
        tokio::task::spawn_blocking(move || {
            for n in 0..10 {
                let label = format!("n{n}=yes");
                // Docker's own client gives up when it loses the race.
                let wrote = || {
                    command(&["service", "update", "-q", "-d", "--label-add", &label, &name])
                        .output()
                        .unwrap()
                };
                while !wrote().status.success() {}
            }
        })
    };
    let ended = roll.drive().await;
    writer.await.unwrap();
    assert_eq!(ended, RolloutConclusion::Done);
    let labels = stage.service(&name).await["Spec"]["Labels"].clone();
    assert_eq!(labels.as_object().unwrap().len(), 12, "{labels}");
}

#[tokio::test]
async fn a_service_that_is_not_at_rest_is_refused() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &[], &old);
    let image = new.service_image();
    docker(&[
        "service",
        "update",
        "-q",
        "-d",
        "--update-monitor",
        "60s",
        "--image",
        &image,
        &name,
    ]);
    let mut roll = Roll::new(&stage, one(&name), &old);
    let refused = roll.drive().await;
    assert!(
        matches!(
            why(&refused).kind,
            FailureKind::ServiceRefused | FailureKind::TargetSick
        ),
        "{refused:?}"
    );
    let missing = Roll::new(&stage, one("no-such-service"), &new).drive().await;
    assert_eq!(why(&missing).kind, FailureKind::TargetMissing);
}

#[tokio::test]
async fn jobs_are_left_out() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let stack = format!("com.docker.stack.namespace={}", stage.name);
    let web = stage.create("_web", &["--label", &stack], &old);
    let job = format!("{}_job", stage.name);
    let image = old.service_image();
    docker(&[
        "service",
        "create",
        "-q",
        "-d",
        "--name",
        &job,
        "--label",
        &stack,
        "--mode",
        "replicated-job",
        &image,
        "true",
    ]);
    let before = stage.service(&job).await["Version"]["Index"].clone();
    let select = ServiceSelect::Stack {
        stack: stage.name.clone(),
        services: vec![],
    };
    let mut roll = Roll::new(&stage, select, &new);
    assert_eq!(roll.drive().await, RolloutConclusion::Done);
    assert_eq!(
        roll.units().iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>(),
        [web]
    );
    assert_eq!(stage.service(&job).await["Version"]["Index"], before);

    let alone = Roll::new(&stage, one(&job), &new).drive().await;
    let refused = why(&alone);
    assert_eq!(refused.kind, FailureKind::ServiceRefused);
    assert!(refused.detail.contains("is a job and is left out"), "{refused}");
}
