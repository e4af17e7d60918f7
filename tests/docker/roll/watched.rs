//! What `run --now` shows of a roll of two replicas, and what `plan` tells of it, by the real binary on a real engine.

use crate::engine::{docker, unique};
use regex::Regex;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const KEY: &str = "org.lowtide.watched";
const SERVES: &str =
    "HEALTHCHECK --interval=1s CMD true\nSTOPSIGNAL SIGKILL\nCMD [\"httpd\", \"-f\", \"-p\", \"80\"]\n";

/// An app with two containers, and its repository.
struct Place {
    folder: TempDir,
    base: String,
    name: String,
}

impl Place {
    fn new() -> Self {
        let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            base: format!("{registry}/{}:1", unique("base/watched")),
            name: unique("watched"),
        };
        docker(&["tag", "lowtide-test/busybox:1", &place.base]);
        docker(&["push", "-q", &place.base]);
        git(place.folder.path(), &["init", "-q", "-b", "main", "work"]);
        let work = place.path("work");
        std::fs::write(work.join("Dockerfile"), format!("FROM {}\n{SERVES}", place.base)).unwrap();
        git(&work, &["add", "-A"]);
        let author = ["-c", "user.name=Dev", "-c", "user.email=dev@example.org"];
        git(&work, &[&author[..], &["commit", "-q", "-m", "serves"]].concat());
        let label = format!("{KEY}={}", place.name);
        for n in 1..=2 {
            let name = format!("{}-{n}", place.name);
            let old = ["httpd", "-f", "-p", "80"];
            let run = ["run", "-d", "--init", "--name", &name, "--label", &label, &place.base];
            docker(&[&run[..], &old].concat());
        }
        let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
        let config = format!(
            "version: 1\nmode: active\nhosts: {{ here: {{ docker: \"unix://{socket}\" }} }}\nlimits: {{ min_free_disk: 1MiB }}\n\
             apps:\n  web:\n    source: {{ repo: \"file://{}\" }}\n    schedule: never\n    ready: {{ healthcheck: true }}\n    \
             rollout: [ {{ name: front, label: {{ key: {KEY}, value: {} }}, bake: 1s }} ]\n",
            work.display(),
            place.name
        );
        std::fs::write(place.path("lowtide.yml"), config).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lowtide(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        command.arg("--config").arg(self.path("lowtide.yml"));
        command.arg("--state").arg(self.path("state")).args(arguments);
        command
            .env("HOME", self.folder.path())
            .env("COLUMNS", "200")
            .output()
            .unwrap()
    }

    /// Without what is another in each run: names, ids, tags, times.
    fn masked(&self, text: &str) -> String {
        let plain = text.replace(&self.name, "web");
        let masks = [
            (r"rollout [0-9a-z]{8}\b", "rollout ID"),
            (r"(prev|next)\.[0-9a-z]{8}", "$1.ID"),
            (r"\d{8}\.[0-9a-z-]+", "TAG"),
            (r"\b[0-9a-f]{12}\b", "IMAGE"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d", "MOMENT"),
            (r"\b(\d+ min )?\d+ s\b", "N s"),
        ];
        masks.iter().fold(plain, |text, (pattern, with)| {
            Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let filter = format!("label={KEY}={}", self.name);
        let socket = format!("unix://{}", std::env::var("LOWTIDE_TEST_ENGINE").unwrap());
        let docker = |arguments: &[&str]| {
            let mut command = Command::new("docker");
            command.args(arguments).env("DOCKER_HOST", &socket).output()
        };
        let ids = docker(&["ps", "-aq", "--filter", &filter]).map(|listed| text(&listed.stdout));
        let ids = ids.unwrap_or_default();
        let left: Vec<&str> = ids.split_whitespace().collect();
        let _ = docker(&[&["rm", "-fv"], &left[..]].concat());
        let _ = docker(&["rmi", "-f", &self.base]);
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(directory);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the rollout said. How often the health check answered before it was good is the machine's to say.
fn story(said: &str) -> String {
    let ours = |line: &&str| ["  front:", "  web-"].iter().any(|start| line.starts_with(start));
    let lines = said.lines().filter(ours).filter(|line| !line.contains("not ready yet"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn two_replicas_are_watched() {
    let place = Place::new();
    // Released, and then it waits for someone: there is no window.
    let released = place.lowtide(&["run", "web"]);
    assert!(released.status.success(), "{released:?}");
    let plan = place.masked(&text(&place.lowtide(&["plan", "web"]).stdout));
    let target = plan.find("  front").unwrap()..plan.find("\neffective settings").unwrap();
    insta::assert_snapshot!(&plan[target], @"
      front       rollout ID of TAG: has no window: `lowtide run APP --now` starts it
                  what it finds is moved to TAG, stop-first (no router would pick up a new container)
                  it may need N s, including bake (N s) and rollback, by the target's limits

    rollout ID to front, step by step; each container or service that preflight finds takes them in turn
         preflight
         pull
      N  create new container
         stop old container
         set restart policy no
         start new container
         wait until new container is ready
         rename to N.prev.ID
         rename to N
         set restart policy as before
         bake, N s
      N  remove old container
    ");

    let rolled = place.lowtide(&["run", "web", "--now"]);
    assert!(rolled.status.success(), "{rolled:?}");
    let said = place.masked(&text(&rolled.stderr));
    assert!(said.contains("not ready yet: its health check is starting"), "{said}");
    insta::assert_snapshot!(story(&said), @"
    front: preflight
    web-1: IMAGE → TAG, stop-first (no router would pick up a new container)
    web-2: IMAGE → TAG, stop-first (no router would pick up a new container)
    front: pull
    web-1: create new container
    web-1: stop old container
    web-1: start new container
    web-1: wait until new container is ready
    web-1: ready after N s
    web-1: rename to web-1.prev.ID
    web-1: rename to web-1
    web-2: create new container
    web-2: stop old container
    web-2: start new container
    web-2: wait until new container is ready
    web-2: ready after N s
    web-2: rename to web-2.prev.ID
    web-2: rename to web-2
    front: is being watched until MOMENT UTC
    web-2: remove old container
    web-1: remove old container
    ");
    // The cycle and the rollout go on side by side.
    let printed = place.masked(&text(&rolled.stdout));
    let mut printed: Vec<&str> = printed.lines().collect();
    printed.sort_unstable();
    insta::assert_snapshot!(printed.join("\n"), @"
    web on front: done
    web: unchanged: no changes that a rebuild could pick up
    ");
    let json: Value = serde_json::from_slice(&place.lowtide(&["plan", "--json"]).stdout).unwrap();
    let target = &json["apps"][0]["targets"][0];
    assert_eq!(
        (&target["rollout"], &target["needs_by"]),
        (&Value::Null, &"history".into())
    );
}
