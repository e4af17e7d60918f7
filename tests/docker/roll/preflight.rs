//! What is found, and what is refused before anything is touched.

use super::stage::*;
use lowtide::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use lowtide::model::failure::FailureKind;
use lowtide::runtime::kinds::containers::find::find;
use lowtide::runtime::kinds::containers::preflight::preflight;
use serde_json::json;

#[tokio::test]
async fn a_compose_projects_services_are_found_in_order() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let make = |name: &str, service: &str, number: &str, oneoff: &str| {
        let project = &stage.name;
        let labels = [
            format!("com.docker.compose.project={project}"),
            format!("com.docker.compose.service={service}"),
            format!("com.docker.compose.container-number={number}"),
            format!("com.docker.compose.oneoff={oneoff}"),
            "com.docker.compose.config-hash=abc".to_owned(),
            "com.docker.compose.image=sha256:old".to_owned(),
        ];
        let (name, tag) = (format!("{project}-{name}"), stage.tag("old"));
        let mut args = vec!["run", "-d", "--name", &name];
        args.extend(labels.iter().flat_map(|l| ["--label", l]));
        args.extend([tag.as_str(), "sleep", "1000"]);
        docker(&args);
    };
    make("web-2", "web", "2", "False");
    make("web-10", "web", "10", "False");
    make("web-1", "web", "1", "False");
    make("cron-1", "cron", "1", "False");
    make("web-run-1", "web", "1", "True");
    make(&format!("web-1.prev.{}", stage.rollout.short()), "web", "1", "False");
    let select = |services: &[&str]| ContainerSelect::Compose {
        project: stage.name.clone(),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
    };
    for (services, order) in [
        (vec!["web", "cron"], vec!["web-1", "web-2", "web-10", "cron-1"]),
        (vec!["cron", "web"], vec!["cron-1", "web-1", "web-2", "web-10"]),
        (vec!["cron"], vec!["cron-1"]),
        (vec![], vec!["cron-1", "web-1", "web-2", "web-10"]),
    ] {
        let found = find(&stage.engine, &select(&services)).await.unwrap();
        let prefix = format!("/{}-", stage.name);
        let names: Vec<_> = found
            .iter()
            .map(|c| c["Name"].as_str().unwrap().trim_start_matches(&prefix))
            .collect();
        assert_eq!(names, order, "{services:?}");
    }
    let found = preflight(&stage.engine, &settings(), &ContainersPolicy::of(select(&["cron"])))
        .await
        .unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    let labels = stage.inspect(&candidate).await["Config"]["Labels"].clone();
    assert_eq!(labels["com.docker.compose.config-hash"], "abc");
    assert_eq!(labels["com.docker.compose.image"], new.as_str());
}

#[tokio::test]
async fn what_cannot_be_preserved_is_refused_by_field_name() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let refused = async |field: &str| {
        let failure = stage.preflight().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PreflightRefused, "{failure}");
        assert!(failure.detail.contains(field), "{failure}");
        docker(&["rm", "-fv", &stage.name]);
    };
    stage.run(&["--label", "com.docker.compose.oneoff=True"], &["sleep", "1000"]);
    refused("Config.Labels.com.docker.compose.oneoff").await;
}

#[tokio::test]
async fn a_sick_or_missing_target_is_no_baseline() {
    let stage = Stage::new();
    stage.image("old", OLD);
    assert_eq!(stage.preflight().await.unwrap_err().kind, FailureKind::TargetMissing);
    let id = stage.run(&[], &["sleep", "1000"]);
    docker(&["pause", &id]);
    assert_eq!(stage.preflight().await.unwrap_err().kind, FailureKind::TargetSick);
    docker(&["rm", "-fv", &id]);
    let id = stage.run(
        &["--health-cmd=false", "--health-interval=100ms", "--health-retries=1"],
        &["sleep", "1000"],
    );
    wait_for(&stage, &id, "/State/Health/Status", &json!("unhealthy")).await;
    assert_eq!(stage.preflight().await.unwrap_err().kind, FailureKind::TargetSick);
    docker(&["rm", "-fv", &id]);
    // Not running is no sickness: it is made anew and not started.
    docker(&["create", "--name", &stage.name, &stage.tag("old")]);
    assert!(!stage.preflight().await.unwrap().units[0].was_running);
}
