//! Tokens: let in, never shown, offered to their own server only.

use super::{World, run, source};
use crate::support::git_http as http;
use lowtide::model::failure::FailureKind;
use lowtide::model::policy::Source;
use lowtide::model::secret::SecretRef;
use std::sync::{Arc, Mutex};

const CANARY: &str = "canary-7f3a/9+secret";

fn with_token(world: &World, repo: String, token: &str) -> Source {
    std::fs::write(world.path("token"), format!("{token}\n")).unwrap();
    Source {
        username: Some(http::USER.into()),
        token: Some(SecretRef::File(world.path("token"))),
        ..source(&repo)
    }
}

/// Every argument of every process of this machine.
fn all_arguments() -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn a_token_opens_the_door_and_is_seen_nowhere() {
    let world = World::new();
    world.write("app/Dockerfile", "FROM scratch\n");
    let id = world.push("app", "First");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let recorded = seen.clone();
    let url = http::serve(&world.path("srv"), Some(CANARY), move |_| {
        recorded.lock().unwrap().push(all_arguments())
    });
    let source = with_token(&world, format!("{url}/app.git"), CANARY);
    assert_eq!(world.git.resolve(&source).await.unwrap().id, id);
    world.git.checkout(&source, &id, &world.path("out")).await.unwrap();

    let seen = seen.lock().unwrap();
    assert!(
        seen.iter().any(|all| all.contains("git") && all.contains(&url)),
        "we did look while git ran"
    );
    assert!(seen.iter().all(|all| !all.contains("canary-7f3a")));
    let mut open = vec![world.path("mirrors"), world.path("out")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
                assert!(!text.contains("canary-7f3a"), "{}", entry.path().display());
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_token_is_denied_and_not_shown() {
    let world = World::new();
    world.push("app", "First");
    let url = http::serve(&world.path("srv"), Some("right"), |_| {});
    let wrong = with_token(&world, format!("{url}/app.git"), CANARY);
    let none = source(&format!("{url}/app.git"));
    let nowhere = Source {
        token: Some(SecretRef::File(world.path("nowhere"))),
        ..none.clone()
    };
    let elsewhere = with_token(&world, "http://git.example.org/app.git".into(), CANARY);
    for (source, kind) in [
        (&wrong, FailureKind::SourceDenied),
        (&none, FailureKind::SourceDenied),
        (&nowhere, FailureKind::SecretMissing),
        (&elsewhere, FailureKind::SourceDenied),
    ] {
        let error = world.git.resolve(source).await.unwrap_err();
        assert_eq!(error.failure().kind, kind, "{error}");
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        assert!(!error.retryable());
    }
    let (_, detail) = world.failure(&wrong).await;
    insta::assert_snapshot!(detail.replace(&url, "URL"), @"URL/app.git refuses us: fatal: Authentication failed for 'URL/app.git/'");
}

/// A submodule elsewhere is asked for without our token, even when it demands one.
#[tokio::test]
async fn a_token_is_for_its_own_server_only() {
    let world = World::new();
    world.repository("lib");
    world.push("lib", "Lib");
    let requests = Arc::new(Mutex::new(0));
    let count = requests.clone();
    // The same password: were it offered, it would be let in.
    let theirs = http::serve(&world.path("srv"), Some(CANARY), move |_| *count.lock().unwrap() += 1);
    let lib = run(&world.path("lib"), &["rev-parse", "HEAD"]);
    world.write(
        "app/.gitmodules",
        &format!("[submodule \"lib\"]\n\tpath = lib\n\turl = {theirs}/lib.git\n"),
    );
    run(
        &world.path("app"),
        &["update-index", "--add", "--cacheinfo", &format!("160000,{lib},lib")],
    );
    run(&world.path("app"), &["add", ".gitmodules"]);
    run(&world.path("app"), &["commit", "-q", "-m", "App"]);
    run(&world.path("app"), &["push", "-q", "origin", "HEAD"]);
    let id = run(&world.path("app"), &["rev-parse", "HEAD"]);
    let ours = http::serve(&world.path("srv"), Some(CANARY), |_| {});
    let source = Source {
        submodules: true,
        ..with_token(&world, format!("{ours}/app.git"), CANARY)
    };
    let error = world.git.checkout(&source, &id, &world.path("out")).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::SourceDenied, "{error}");
    assert_eq!(*requests.lock().unwrap(), 0);
}
