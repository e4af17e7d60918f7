//! `lowtide outdated` on images of a real engine, beside what the package manager inside them says.

use super::engine::{docker, unique};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// Images from the release suite alone: what happens to them before the security suite is known to them, and after.
const HISTORIES: &[(&str, (&str, &str))] = &[
    ("behind", ("", "")),
    ("held", ("", "RUN apt-mark hold libc6 libc-bin")),
    (
        "pinned",
        (
            "",
            "RUN printf 'Package: *\\nPin: release l=Debian-Security\\nPin-Priority: -1\\n' > /etc/apt/preferences.d/none",
        ),
    ),
    ("current", ("", "RUN apt-get update && apt-get -y dist-upgrade")),
];

fn outdated(state: &Path, images: &[&str]) -> (Value, Output) {
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
    let output = command
        .args(["outdated", "--json"])
        .args(images)
        .env("DOCKER_HOST", format!("unix://{socket}"))
        .env("XDG_CACHE_HOME", state)
        .output();
    let output = output.unwrap();
    let json = serde_json::from_slice(&output.stdout);
    (json.unwrap_or_else(|e| panic!("{e}: {output:?}")), output)
}

/// Containers of the test, gone at its end.
struct Started(Vec<String>);

impl Drop for Started {
    fn drop(&mut self) {
        for name in &self.0 {
            docker(&["rm", "-f", name]);
        }
    }
}

#[test]
fn what_running_containers_lack_is_what_their_images_lack() {
    let state = tempfile::tempdir().unwrap();
    // The image has a name in no registry, and loses even its tag while a container runs it.
    let tag = format!("{}:t", unique("lowtide-test/running"));
    let context = tempfile::tempdir().unwrap();
    let security = std::env::var("LOWTIDE_TEST_SECURITY").unwrap();
    let text =
        format!("FROM lowtide-test/debian:behind\nRUN echo '{security}' >/etc/apt/sources.list.d/security.list\n");
    std::fs::write(context.path().join("Dockerfile"), text).unwrap();
    docker(&["build", "-q", "-t", &tag, context.path().to_str().unwrap()]);
    let names: Vec<String> = ["a", "b", "gone"].map(|name| unique(&format!("running-{name}"))).into();
    for name in &names {
        docker(&["run", "-d", "--name", name, "--entrypoint", "sleep", &tag, "600"]);
    }
    let started = Started(names.clone());
    docker(&["kill", &names[2]]);
    let simulated = simulated(&tag);
    docker(&["rmi", "--force", &tag]);
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_lowtide"))
            .args(["outdated", "--running"])
            .args(arguments)
            .env("DOCKER_HOST", "unix:///nowhere.sock")
            .env("XDG_CACHE_HOME", state.path())
            .output()
            .unwrap()
    };
    let output = run(&["--json", "-H", &format!("unix://{socket}")]);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours: Vec<&Value> = json["containers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| names.iter().any(|name| it["container"] == *name))
        .collect();
    assert_eq!(
        ours.iter()
            .map(|it| it["container"].as_str().unwrap())
            .collect::<Vec<_>>(),
        names[..2]
    );
    let id = ours[0]["image_id"].as_str().unwrap();
    assert_eq!(ours[1]["image_id"], id);
    let images = json["images"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["digest"] == id)
        .collect::<Vec<_>>();
    assert_eq!(images.len(), 1, "one image, judged once");
    assert!(!simulated.is_empty());
    assert_eq!(said(images[0]), simulated);
    // Without -H the engine is that of DOCKER_HOST, and an engine that is needed must be there.
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    drop(started);
}

/// Package → (installed, candidate), as apt's simulation lists them: `Inst libc6 [2.36-9] (2.36-10 Debian:12/…)`.
fn simulated(image: &str) -> BTreeMap<String, (Option<String>, String)> {
    let script = "apt-get update -qq && apt-get --simulate dist-upgrade";
    let text = String::from_utf8(docker(&["run", "--rm", "--entrypoint", "sh", image, "-c", script])).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("Inst "));
    let inst = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap();
        let (installed, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((installed, rest)) => (Some(installed.to_owned()), rest),
            None => (None, rest),
        };
        let candidate = rest.trim_start_matches('(').split(' ').next().unwrap();
        (name.to_owned(), (installed, candidate.to_owned()))
    };
    lines.map(inst).collect()
}

fn said(image: &Value) -> BTreeMap<String, (Option<String>, String)> {
    let pending = image["pending"].as_array().unwrap().iter();
    let one = |it: &Value| {
        let text = |key: &str| it[key].as_str().map(ToOwned::to_owned);
        let name = match it["architecture"].as_str().unwrap() {
            "amd64" | "all" => text("package").unwrap(),
            foreign => format!("{}:{foreign}", text("package").unwrap()),
        };
        (name, (text("installed"), text("candidate").unwrap()))
    };
    pending.map(one).collect()
}

#[test]
fn what_is_pending_is_what_apt_would_do_inside() {
    let state = tempfile::tempdir().unwrap();
    let mut images = Vec::new();
    for (name, steps) in HISTORIES {
        let tag = format!("{}:t", unique(&format!("lowtide-test/{name}")));
        let context = tempfile::tempdir().unwrap();
        let security = std::env::var("LOWTIDE_TEST_SECURITY").unwrap();
        let security = format!("RUN echo '{security}' >/etc/apt/sources.list.d/security.list");
        let (before, after) = steps;
        let text = format!("FROM lowtide-test/debian:behind\n{before}\n{security}\n{after}\n");
        std::fs::write(context.path().join("Dockerfile"), text).unwrap();
        docker(&["build", "-q", "-t", &tag, context.path().to_str().unwrap()]);
        images.push(tag);
    }
    let names: Vec<&str> = images.iter().map(String::as_str).collect();
    let (json, output) = outdated(state.path(), &names);
    assert_eq!(json["version"], 1);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let mut any = 0;
    for (image, found) in names.iter().zip(json["images"].as_array().unwrap()) {
        assert_eq!(found["unknown"], serde_json::json!([]), "{image}");
        assert_eq!(said(found), simulated(image), "{image}");
        any += said(found).len();
        assert_eq!(found["image"], *image);
    }
    assert!(any > 0);
    // An image that was read is not read again: no layer is looked at.
    let tables = state.path().join("lowtide/layers");
    for entry in std::fs::read_dir(&tables).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("packages-") {
            std::fs::remove_file(tables.join(name)).unwrap();
        }
    }
    let (again, _) = outdated(state.path(), &names);
    assert_eq!(again, json);
    assert_eq!(std::fs::read_dir(&tables).unwrap().count(), names.len());
    for image in &names {
        docker(&["rmi", image]);
    }
    let (json, output) = outdated(state.path(), &["engine:lowtide-test/nowhere:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json["images"][0]["unknown"][0]["source"], "the image");
}
