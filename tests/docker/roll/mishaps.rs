//! What goes wrong between two calls: a lost answer, an address or an image that someone takes, a call made twice.

use super::stage::*;
use crate::proxy;
use lowtide::kinds::containers::model::RestartPolicy;
use lowtide::model::failure::FailureKind;
use lowtide::model::rollout::Which;
use lowtide::runtime::kinds::containers::body::{Mark, NewImage};
use lowtide::runtime::kinds::containers::create::{Circumstances, create_candidate};
use lowtide::runtime::kinds::containers::verbs;
use serde_json::json;

#[tokio::test]
async fn a_create_whose_answer_is_lost_makes_one_candidate() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    stage.run(&["--label", "kept=yes"], &[]);
    let found = stage.preflight().await.unwrap();
    let lossy = proxy::losing("/containers/create");
    let tag = stage.tag("new");
    let mark = Mark {
        rollout: stage.rollout,
        unit: 0,
        instance: "test",
        term: 1,
        role: Which::New,
    };
    let image = NewImage {
        reference: &tag,
        id: &new,
    };
    let (unit, snapshot) = (&found.units[0], &found.snapshots[0]);
    let lost = create_candidate(
        &lossy.engine(),
        unit,
        snapshot,
        &image,
        &mark,
        &Circumstances::default(),
    )
    .await;
    assert_eq!(lost.unwrap_err().kind, FailureKind::EngineUnreachable);
    let label = format!("label=io.lowtide.rollout={}", stage.rollout);
    let made = docker(&["ps", "-aq", "--no-trunc", "--filter", &label]);
    assert_eq!(made.lines().count(), 1, "the engine has made it");
    for _ in 0..2 {
        assert_eq!(stage.candidate(&found, 0, &new).await.unwrap(), made, "it is adopted");
    }
    assert_eq!(docker(&["ps", "-aq", "--no-trunc", "--filter", &label]), made);
}

#[tokio::test]
async fn an_image_that_is_pruned_before_the_create_is_reported_and_nothing_is_made() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let old = stage.run(&[], &[]);
    let found = stage.preflight().await.unwrap();
    docker(&["rmi", "-f", new.as_str()]);
    let failure = stage.candidate(&found, 0, &new).await.unwrap_err();
    assert!(failure.detail.contains("is not on the host"), "{failure}");
    let label = format!("label=io.lowtide.rollout={}", stage.rollout);
    assert_eq!(docker(&["ps", "-aq", "--filter", &label]), "");
    assert_eq!(stage.inspect(&old).await["State"]["Running"], true);
}

#[tokio::test]
async fn an_address_taken_in_the_gap_is_named_and_the_old_one_gets_it_back() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let (v4, _) = stage.network("front", false);
    let front = format!("{}-front", stage.name);
    let address = format!("{v4}.99");
    let old = stage.run(&["--network", &front, "--ip", &address, "--stop-timeout", "0"], &[]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    verbs::stop(&stage.engine, &old, None).await.unwrap();
    let thief = format!("{}-thief", stage.name);
    let image = stage.tag("old");
    docker(&[
        "run",
        "-d",
        "--init",
        "--name",
        &thief,
        "--network",
        &front,
        "--ip",
        &address,
        &image,
    ]);
    for container in [&candidate, &old] {
        let failure = verbs::start(&stage.engine, container).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::StartFailed);
        assert!(failure.detail.contains("Address already in use"), "{failure}");
    }
    docker(&["rm", "-f", &thief]);
    verbs::start(&stage.engine, &old).await.unwrap();
    let networks = stage.inspect(&old).await["NetworkSettings"]["Networks"].clone();
    assert_eq!(networks[&front]["IPAddress"], address);
}

#[tokio::test]
async fn whatever_is_done_twice_is_done_once() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let old = stage.run(&["--restart", "always", "--stop-timeout", "0"], &[]);
    let engine = &stage.engine;
    let aside = format!("{}.prev", stage.name);
    for _ in 0..2 {
        verbs::stop(engine, &old, None).await.unwrap();
    }
    for _ in 0..2 {
        verbs::set_restart(engine, &old, &RestartPolicy::none()).await.unwrap();
    }
    for _ in 0..2 {
        verbs::rename(engine, &old, &aside).await.unwrap();
    }
    let now = stage.inspect(&old).await;
    assert_eq!(now["Name"], format!("/{aside}"));
    assert_eq!(
        now["HostConfig"]["RestartPolicy"],
        json!({"Name": "no", "MaximumRetryCount": 0})
    );
    let started = |now: &serde_json::Value| now["State"]["StartedAt"].clone();
    verbs::start(engine, &old).await.unwrap();
    let first = stage.inspect(&old).await;
    verbs::start(engine, &old).await.unwrap();
    let again = stage.inspect(&old).await;
    assert_eq!(
        (started(&first), &again["State"]["Running"]),
        (started(&again), &json!(true))
    );
    verbs::stop(engine, &old, None).await.unwrap();
    for _ in 0..2 {
        verbs::remove_container(engine, &old).await.unwrap();
    }
    assert_eq!(quiet(&["ps", "-aq", "--filter", &format!("name={}", stage.name)]), "");
}
