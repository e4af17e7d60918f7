//! Single steps: hooks, starts, logs, pulls.

use super::stage::*;
use crate::proxy;
use lowtide::clients::credentials::Credential;
use lowtide::model::failure::FailureKind;
use lowtide::model::image::{ContentDigest, ImageId};
use lowtide::model::name::RunId;
use lowtide::model::release::{Images, Release};
use lowtide::model::secret::Secret;
use lowtide::runtime::kinds::containers::hook::{HookResult, run_hook};
use lowtide::runtime::kinds::containers::pull::pull;
use lowtide::runtime::kinds::containers::verbs;
use serde_json::json;
use std::time::Duration;

pub(super) fn release(reference: &str, image: &ImageId, digest: Option<&str>) -> Release {
    Release {
        upstream: None,
        run: RunId(ulid::Ulid::generate()),
        images: Images::one(image.clone(), ContentDigest::try_from(image.to_string()).unwrap()),
        commit: Some("0".repeat(40)),
        tag: "t".to_owned(),
        digest: digest.map(|d| d.parse().unwrap()),
        reference: reference.parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn hooks_say_how_they_ended() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let id = stage.run(&[], &["sleep", "1000"]);
    let run = async |script: &str, seconds| {
        let command: Vec<String> = ["sh", "-c", script].map(ToOwned::to_owned).into();
        run_hook(&stage.engine, &id, &command, Duration::from_secs(seconds))
            .await
            .unwrap()
    };
    assert_eq!(run("exit 0", 30).await, HookResult::Passed);
    assert_eq!(run("exit 75", 30).await, HookResult::Busy);
    let failed = HookResult::Failed {
        code: 3,
        output: vec!["out".to_owned(), "err".to_owned()],
    };
    assert_eq!(run("echo out; sleep 0.2; echo err >&2; exit 3", 30).await, failed);
    let late = HookResult::TimedOut {
        output: vec!["begun".to_owned()],
    };
    assert_eq!(run("echo begun; sleep 60", 1).await, late);
    let missing = run_hook(&stage.engine, &id, &["/no/such".to_owned()], Duration::from_secs(30)).await;
    assert!(
        matches!(missing, Ok(HookResult::Failed { code: 126 | 127, .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_start_waits_for_its_port_and_says_why_it_failed() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let blocker = stage.run(&["-p", "127.0.0.1::80"], &["sleep", "1000"]);
    let port = docker(&["port", &blocker, "80/tcp"]);
    let (name, publish) = (format!("{}-late", stage.name), format!("{port}:80"));
    let late = docker(&[
        "create",
        "--name",
        &name,
        "-p",
        &publish,
        &stage.tag("old"),
        "sleep",
        "1000",
    ]);
    let (proxy, responded) = proxy::notifying("/start");
    let started = tokio::spawn({
        let (engine, late) = (proxy.engine(), late.clone());
        async move { verbs::start(&engine, &late).await }
    });
    // The first try has failed: its port is taken.
    responded.notified().await;
    assert_ne!(stage.inspect(&late).await["State"]["Error"], "");
    verbs::stop(&stage.engine, &blocker, Some(jiff::SignedDuration::ZERO))
        .await
        .unwrap();
    started.await.unwrap().unwrap();
    assert_eq!(stage.inspect(&late).await["State"]["Status"], "running");
    verbs::start(&stage.engine, &late).await.unwrap();

    let name = format!("{}-broken", stage.name);
    let broken = docker(&["create", "--name", &name, &stage.tag("old"), "/no/such/command"]);
    let failure = verbs::start(&stage.engine, &broken).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotExecutable);
    assert!(failure.detail.contains("/no/such/command"), "{failure}");
    assert_eq!(
        verbs::start(&stage.engine, "no-such-container").await.unwrap_err().kind,
        FailureKind::Diverged
    );
}

#[tokio::test]
async fn the_end_of_a_log_is_retained() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let id = stage.run(
        &[],
        &[
            "sh",
            "-c",
            "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2; exit 7",
        ],
    );
    wait_for(&stage, &id, "/State/Status", &json!("exited")).await;
    assert_eq!(verbs::log_tail(&stage.engine, &id, 2).await.unwrap().len(), 2);
    assert_eq!(verbs::log_tail(&stage.engine, &id, 100).await.unwrap().len(), 6);
    assert_eq!(verbs::exit_code(&stage.engine, &id).await.unwrap(), 7);
    docker(&["rm", "-fv", &id]);
    let id = stage.run(&["--tty"], &["echo", "on a terminal"]);
    wait_for(&stage, &id, "/State/Status", &json!("exited")).await;
    assert_eq!(verbs::log_tail(&stage.engine, &id, 9).await.unwrap(), ["on a terminal"]);
    docker(&["rm", "-fv", &id]);
    let id = stage.run(&["--log-driver=none"], &["echo", "unheard"]);
    assert_eq!(
        verbs::log_tail(&stage.engine, &id, 9).await.unwrap(),
        Vec::<String>::new()
    );
}

/// Pushes the image to the registry that asks for a password; the digest it has there.
fn push(registry: &str, image: &ImageId, reference: &str) -> String {
    docker(&["tag", image.as_str(), reference]);
    let config = tempfile::tempdir().unwrap();
    let config = config.path().to_str().unwrap();
    let login = [
        "--config",
        config,
        "login",
        "-u",
        "lowtide",
        "--password-stdin",
        registry,
    ];
    docker_in(&login, b"tide-secret");
    docker(&["--config", config, "push", "-q", reference]);
    let pinned = docker(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", reference]);
    pinned.split_once('@').unwrap().1.to_owned()
}

#[tokio::test]
async fn a_release_is_pulled_by_digest_and_must_be_the_tested_image() {
    let stage = Stage::new();
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY_AUTH").unwrap();
    let reference = format!("{registry}/{}:1", stage.name);
    let image = stage.image("old", OLD);
    let other = stage.image("new", NEW);
    quiet(&["rmi", "-f", other.as_str()]);
    let digest = push(&registry, &image, &reference);
    let auth = |password: &str| Credential::Basic {
        username: "lowtide".to_owned(),
        password: Secret::new(password.to_owned()),
    };
    let gone = || quiet(&["rmi", "-f", image.as_str()]);

    gone();
    let unknown = format!("sha256:{}", "0".repeat(64));
    // The containerd image store knows an image by its digest alone, and what has the published digest is the tested one.
    let by_digest = digest == image.as_str();
    let mismatch = if by_digest {
        Ok(image.clone())
    } else {
        Err(FailureKind::DigestMismatch)
    };
    // The tested image is on the host only where a row before has brought it.
    for (tested, digest, shown, expected) in [
        (&image, &digest, None, Err(FailureKind::RegistryDenied)),
        (&image, &digest, Some(auth("wrong")), Err(FailureKind::RegistryDenied)),
        (
            &image,
            &unknown,
            Some(auth("tide-secret")),
            Err(FailureKind::DigestMismatch),
        ),
        (&image, &digest, Some(auth("tide-secret")), Ok(image.clone())),
        (&other, &digest, Some(auth("tide-secret")), mismatch),
    ] {
        let release = release(&reference, tested, Some(digest));
        let pulled = pull(&stage.engine, &release, shown.as_ref()).await;
        assert_eq!(pulled.map_err(|f| f.kind), expected);
    }
    let tagged = docker(&["image", "inspect", "-f", "{{.Id}}", &reference]);
    assert_eq!(tagged, image.as_str());

    // Without a registry it must be there.
    let local = format!("lowtide/{}:1", stage.name);
    assert_eq!(
        pull(&stage.engine, &release(&local, &image, None), None).await.unwrap(),
        image
    );
    gone();
    let missing = pull(&stage.engine, &release(&local, &image, None), None)
        .await
        .unwrap_err();
    assert_eq!(missing.kind, FailureKind::EngineRefused);
}
