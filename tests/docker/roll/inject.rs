//! Files that compose puts into a container before its start are in the new one too, and are never told.

use super::stage::*;
use lowtide::model::failure::FailureKind;
use lowtide::runtime::kinds::containers::snapshot::Snapshot;
use lowtide::runtime::kinds::containers::verbs;
use std::time::{SystemTime, UNIX_EPOCH};

struct Put<'a> {
    path: &'a str,
    mode: u32,
    ids: (u64, u64),
    content: &'a [u8],
}

const SECRET: &str = "tide-secret-in-a-file";

const PUT: &[Put<'static>] = &[
    Put {
        path: "run/secrets/password",
        mode: 0o440,
        ids: (1000, 20),
        content: b"tide-secret-in-a-file\n",
    },
    Put {
        path: "etc/app/inline.conf",
        mode: 0o4755,
        ids: (0, 7),
        content: b"a=b",
    },
    Put {
        path: "tmp/empty",
        mode: 0o600,
        ids: (0, 0),
        content: b"",
    },
];

/// As compose does it: a tar, stamped now in whole seconds, into the created container.
fn put(container: &str, files: &[Put<'_>]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(now);
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.ids.0);
        header.set_gid(file.ids.1);
        archive.append_data(&mut header, file.path, file.content).unwrap();
    }
    docker_in(
        &["cp", "--archive", "-", &format!("{container}:/")],
        &archive.into_inner().unwrap(),
    );
}

/// Mode, owner and content as a process inside sees them.
fn seen(container: &str) -> Vec<String> {
    let look = |file: &Put<'_>| {
        let path = format!("/{}", file.path);
        let stat = docker(&["exec", container, "busybox", "stat", "-c", "%a %u:%g", &path]);
        let content = docker(&["exec", container, "cat", &path]);
        format!("{path} {stat} {content}")
    };
    PUT.iter().map(look).collect()
}

const SERVE: &[&str] = &[
    "sh",
    "-c",
    "mkdir -p /run; echo 1 > /run/a.pid; echo x > /etc/made; exec sleep 1000",
];

fn create(stage: &Stage, flags: &[&str]) -> String {
    let tag = stage.tag("old");
    docker(&[&["create", "--init", "--name", &stage.name], flags, &[&tag], SERVE].concat())
}

fn started(id: &str) {
    docker(&["start", id]);
    let ready = "for i in $(seq 200); do test -s /etc/made && exit; sleep 0.05; done; exit 1";
    docker(&["exec", id, "sh", "-c", ready]);
}

#[tokio::test]
async fn configs_and_secrets_of_compose_are_put_into_the_new_container_with_owner_and_mode() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let id = create(&stage, &[]);
    put(&id, PUT);
    started(&id);
    let found = stage.preflight().await.unwrap();
    let expected = format!(
        "{}: /etc/made was written inside the container and stays behind",
        stage.name
    );
    assert_eq!(found.warnings, [expected], "written by the container, not put in");

    let snapshot = Snapshot::from_bytes(&found.snapshots[0]).unwrap();
    assert_eq!(snapshot.files.len(), PUT.len());
    assert!(!format!("{snapshot:?} {:?}", snapshot.files).contains(SECRET));
    let hidden: Vec<_> = snapshot.secrets().iter().map(|s| s.expose().to_owned()).collect();
    assert!(hidden.contains(&SECRET.to_owned()), "what it logs of it is hidden");

    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    // Killed in the middle of the upload: one is missing, one is another.
    docker_in(&["cp", "-", &format!("{candidate}:/")], &half());
    assert_eq!(stage.candidate(&found, 0, &new).await.unwrap(), candidate, "adopted");
    verbs::start(&stage.engine, &candidate).await.unwrap();
    assert_eq!(seen(&candidate), seen(&id));
    let expected = [
        "/run/secrets/password 440 1000:20 tide-secret-in-a-file",
        "/etc/app/inline.conf 4755 0:7 a=b",
        "/tmp/empty 600 0:0 ",
    ];
    assert_eq!(seen(&id), expected);

    // The roll after this one finds them again.
    docker(&["rm", "-fv", &id]);
    verbs::rename(&stage.engine, &candidate, &stage.name).await.unwrap();
    let again = stage.preflight().await.unwrap();
    let mut files = Snapshot::from_bytes(&again.snapshots[0]).unwrap().files;
    let mut before = snapshot.files;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    before.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(files, before);
}

fn half() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o777);
    archive
        .append_data(&mut header, "etc/app/inline.conf", &b"half"[..])
        .unwrap();
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn files_larger_than_the_bound_are_refused_by_name() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let id = create(&stage, &[]);
    let large = vec![b'x'; 5 << 20];
    let file = |path| Put {
        path,
        mode: 0o444,
        ids: (0, 0),
        content: &large,
    };
    put(&id, &[file("etc/first"), file("etc/second")]);
    let failure = stage.preflight().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PreflightRefused);
    let expected = format!(
        "{}: /etc/second (put in before the start, with the others more than 8 MiB)",
        stage.name
    );
    assert_eq!(failure.detail, expected);
}

#[tokio::test]
async fn an_engine_puts_nothing_into_a_read_only_root() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let id = create(&stage, &["--read-only"]);
    // So no container has both: compose itself refuses to make one.
    let refused = quiet_failure(&["cp", "/etc/hostname", &format!("{id}:/etc/x")]);
    assert!(refused.contains("read-only"), "{refused}");
}
