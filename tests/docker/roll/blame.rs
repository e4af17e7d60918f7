//! Whose fault it is, on the real engine: what the host refuses condemns no release, and the old container runs again.

use super::stage::*;
use super::whole::{House, SERVES, SERVES_TOO};
use lowtide::model::failure::{Failure, FailureKind};
use lowtide::model::rollout::RolloutConclusion;
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};

const QUICK: &str = "ready: { stay_up: 500ms }, bake: 100ms";
/// Its command is nowhere.
const HOLLOW: &str = "FROM lowtide-test/busybox:1\nCMD [\"/no/such/program\"]";

fn refused(conclusion: &RolloutConclusion) -> &Failure {
    let RolloutConclusion::Refused { failure } = conclusion else {
        panic!("{conclusion:?}")
    };
    failure
}

fn trials() -> String {
    docker(&["ps", "-aq", "--filter", "label=io.lowtide.kind=trial"])
}

async fn house(stage: &Stage, more: &str) -> House {
    House::new(&format!("{{ container: {{ name: {} }}, {more} }}", stage.name)).await
}

#[tokio::test]
async fn a_bind_source_that_is_gone_refuses_and_the_old_one_serves() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let new = stage.image("new", SERVES_TOO);
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("data");
    std::fs::create_dir(&source).unwrap();
    let mount = format!("type=bind,source={},target=/data", source.display());
    let old = stage.run(&["--mount", &mount], &[]);
    std::fs::remove_dir(&source).unwrap();
    for (policy, last) in [
        ("full", "try out what the host must have"),
        ("create", "create new container"),
    ] {
        let house = house(&stage, &format!("{QUICK}, preflight: {policy}")).await;
        let (ended, steps) = house.roll(&stage, "new", &new).await;
        let failure = refused(&ended);
        assert!(failure.detail.contains("does not exist"), "{policy}: {failure}");
        assert_eq!(steps.last().map(String::as_str), Some(last), "{steps:?}");
        let now = stage.inspect(&stage.name).await;
        assert_eq!((&now["Id"], &now["State"]["Running"]), (&json!(old), &json!(true)));
        assert_eq!(house.stays_out(), (false, 0), "neither halted nor quarantined");
    }
    // After the repair the very same release arrives.
    std::fs::create_dir(&source).unwrap();
    let (ended, steps) = house(&stage, QUICK).await.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    assert_eq!(trials(), "");
}

#[tokio::test]
async fn a_device_that_is_gone_is_found_before_the_old_one_stops() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let new = stage.image("new", SERVES_TOO);
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("device");
    // Like /dev/null.
    let made = Command::new("mknod").arg(&node).args(["c", "1", "3"]).status().unwrap();
    assert!(made.success());
    let device = format!("--device={}:/dev/own", node.display());
    let set = [
        device.as_str(),
        "--ulimit=nofile=512:1024",
        "--security-opt=no-new-privileges",
    ];
    stage.run(&set, &[]);
    let house = house(&stage, QUICK).await;
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    assert_eq!(steps[1], "try out what the host must have");
    let serves = stage.inspect(&stage.name).await;
    std::fs::remove_file(&node).unwrap();
    let another = stage.image("another", SERVES);
    let (ended, steps) = house.roll(&stage, "another", &another).await;
    let failure = refused(&ended);
    assert_eq!(failure.kind, FailureKind::StartFailed);
    assert!(
        failure.detail.contains("with its devices, security options, ulimits"),
        "{failure}"
    );
    assert!(failure.detail.contains("no such file or directory"), "{failure}");
    assert_eq!(steps, ["preflight", "try out what the host must have"]);
    let now = stage.inspect(&stage.name).await;
    assert_eq!(
        (&now["Id"], &now["State"]),
        (&serves["Id"], &serves["State"]),
        "it was not touched"
    );
    assert_eq!(trials(), "");
}

#[tokio::test]
async fn a_command_that_the_image_has_not_is_the_releases_fault() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let bad = stage.image("bad", HOLLOW);
    // With an init the container runs, and what ends is the init, with code 127.
    let old = stage.run(&["--init=false"], &[]);
    let house = house(&stage, QUICK).await;
    let (ended, _) = house.roll(&stage, "bad", &bad).await;
    let RolloutConclusion::Reverted { failure } = &ended else {
        panic!("{ended:?}")
    };
    assert_eq!(failure.kind, FailureKind::NotExecutable);
    assert_eq!(house.stays_out(), (true, 1));
    let now = stage.inspect(&stage.name).await;
    assert_eq!((&now["Id"], &now["State"]["Running"]), (&json!(old), &json!(true)));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_refused_by_name() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let new = stage.image("new", SERVES_TOO);
    stage.run(&["--log-driver=none"], &[]);
    let house = house(&stage, "ready: { log: ready }, bake: 100ms").await;
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    let failure = refused(&ended);
    assert_eq!(failure.kind, FailureKind::PreflightRefused);
    assert!(failure.detail.contains("HostConfig.LogConfig.Type"), "{failure}");
    assert_eq!(steps, ["preflight"]);
}

#[tokio::test]
async fn one_exit_is_borne_where_the_policy_would_restart_it() {
    // Ends once, after so many seconds, and then serves.
    let once = |seconds: &str| {
        format!(
            "FROM lowtide-test/busybox:1\nSTOPSIGNAL SIGKILL\nCMD [\"sh\", \"-c\", \"test -e /ran || {{ touch /ran; sleep \
             {seconds}; exit 1; }}; exec httpd -f -p 80\"]"
        )
    };
    // At once, while it is waited for, and while it bakes.
    for (seconds, policy) in [("0", "on-failure"), ("1", "on-failure:3"), ("3", "always")] {
        let stage = Stage::new();
        stage.image("old", SERVES);
        let new = stage.image("new", &once(seconds));
        let restart = format!("--restart={policy}");
        stage.run(&[&restart], &[]);
        let house = house(&stage, "ready: { stay_up: 2s }, bake: 6s").await;
        let (ended, steps) = house.roll(&stage, "new", &new).await;
        assert_eq!(ended, RolloutConclusion::Done, "{seconds}: {steps:?}");
        let restarts = steps.iter().filter(|step| *step == "restart new container").count();
        assert_eq!(restarts, 1, "{seconds}: {steps:?}");
    }
}

/// The new container took the name, and serves.
async fn has_moved(stage: &Stage, image: &str) {
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    let mut events = tokio::process::Command::new("docker")
        .args([
            "events",
            "--since",
            "10m",
            "--filter",
            "event=rename",
            "--filter",
            "event=update",
        ])
        .env("DOCKER_HOST", format!("unix://{socket}"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    let moved = async {
        while lines.next_line().await.unwrap().is_some() {
            if quiet(&["inspect", "-f", "{{.Image}}", &stage.name]) == image {
                return;
            }
        }
        panic!("the engine's events ended");
    };
    tokio::time::timeout(Duration::from_secs(60), moved).await.unwrap();
}

#[tokio::test]
async fn somebodys_stop_while_it_bakes_is_diverged_and_condemns_nobody() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let new = stage.image("new", SERVES_TOO);
    let old = stage.run(&["--restart=unless-stopped"], &[]);
    let house = house(&stage, "ready: { stay_up: 500ms }, bake: 5m").await;
    let person = async {
        has_moved(&stage, new.as_str()).await;
        docker(&["stop", "-t", "0", &stage.name]);
    };
    let ((ended, steps), ()) = tokio::join!(house.roll(&stage, "new", &new), person);
    let RolloutConclusion::Stuck { failure } = &ended else {
        panic!("{ended:?} {steps:?}")
    };
    assert_eq!(failure.kind, FailureKind::Diverged);
    assert_eq!(house.stays_out(), (true, 0), "halted, not quarantined");
    let inspected = stage.inspect(&old).await;
    assert_eq!(inspected["State"]["Running"], false);
}
