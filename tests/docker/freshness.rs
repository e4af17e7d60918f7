//! A build that leaves a fix behind, and one that does not, by the real binary on a real engine and registry.

use super::engine::{docker, unique};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// One app on a Debian base whose package lists are older than its package sources.
struct Yard {
    folder: TempDir,
    base: String,
    socket: String,
}

impl Yard {
    fn new() -> Self {
        let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
        let security = std::env::var("LOWTIDE_TEST_SECURITY").unwrap();
        let yard = Self {
            folder: tempfile::tempdir().unwrap(),
            base: format!("{registry}/{}:1", unique("base/lists")),
            socket: std::env::var("LOWTIDE_TEST_ENGINE").unwrap(),
        };
        let dockerfile = format!(
            "FROM lowtide-test/debian:behind\nRUN apt-get update\nRUN echo '{security}' >/etc/apt/sources.list.d/security.list\n"
        );
        std::fs::create_dir(yard.path("base")).unwrap();
        std::fs::write(yard.path("base/Dockerfile"), dockerfile).unwrap();
        docker(&["build", "-q", "-t", &yard.base, yard.path("base").to_str().unwrap()]);
        docker(&["push", "-q", &yard.base]);
        git(yard.folder.path(), &["init", "-q", "--bare", "-b", "main", "web.git"]);
        git(yard.folder.path(), &["init", "-q", "-b", "main", "work"]);
        let config = format!(
            "version: 1\nmode: active\nhosts: {{ here: {{ docker: \"unix://{}\" }} }}\nlimits: {{ min_free_disk: 1MiB }}\n\
             apps:\n  web:\n    source: {{ repo: \"file://{}\" }}\n    schedule: never\n",
            yard.socket,
            yard.path("web.git").display()
        );
        std::fs::write(yard.path("lowtide.yml"), config).unwrap();
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn commit(&self, step: &str) {
        let work = self.path("work");
        let dockerfile = format!("FROM {}\nRUN {step}\nCMD [\"sleep\", \"infinity\"]\n", self.base);
        std::fs::write(work.join("Dockerfile"), dockerfile).unwrap();
        git(&work, &["add", "-A"]);
        let author = ["-c", "user.name=Dev", "-c", "user.email=dev@example.org"];
        git(&work, &[&author[..], &["commit", "-q", "-m", step]].concat());
        let bare = self.path("web.git").display().to_string();
        git(&work, &["push", "-q", &bare, "HEAD:main"]);
    }

    fn lowtide(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        command.arg("--config").arg(self.path("lowtide.yml"));
        command.arg("--state").arg(self.path("state"));
        command
            .args(arguments)
            .env("HOME", self.folder.path())
            .output()
            .unwrap()
    }

    /// The app's runs, newest first.
    fn runs(&self) -> Vec<Value> {
        let said = self.lowtide(&["history", "web", "--json"]);
        let json: Value = serde_json::from_slice(&said.stdout).unwrap();
        json["runs"].as_array().unwrap().clone()
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

fn pending(said: &Output) -> Vec<(String, Value)> {
    let json: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(json["images"][0]["unknown"], serde_json::json!([]));
    let pending = json["images"][0]["pending"].as_array().unwrap().iter();
    let one = |it: &Value| (it["package"].as_str().unwrap().to_owned(), it["fixable"].clone());
    pending.map(one).collect()
}

#[test]
fn what_an_old_list_installs_is_a_stale_build_and_a_new_list_mends_it() {
    let yard = Yard::new();
    yard.commit("apt-get install -y --no-install-recommends xz-utils");
    let said = yard.lowtide(&["run", "web"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let run = &yard.runs()[0]["conclusion"];
    assert_eq!(run["stage"], "inspect", "{run}");
    assert_eq!(run["failure"]["kind"], "stale_build", "{run}");
    let detail = run["failure"]["detail"].as_str().unwrap();
    // The base of three layers, then ours.
    assert!(
        detail.starts_with("xz-utils ") && detail.contains("layer 4 brought"),
        "{detail}"
    );

    yard.commit("apt-get update && apt-get install -y --no-install-recommends xz-utils");
    let said = yard.lowtide(&["run", "web"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(yard.runs()[0]["conclusion"]["conclusion"], "released");

    // What is left is the base's to bring, and no reason to build.
    let said = yard.lowtide(&["outdated", "--all", "--json"]);
    assert_eq!(said.status.code(), Some(10));
    let left = pending(&said);
    assert!(
        !left.is_empty() && left.iter().all(|(_, fixable)| *fixable == false),
        "{left:?}"
    );
    let said = yard.lowtide(&["run", "web"]);
    assert!(said.status.success(), "{said:?}");
    let run = yard.runs().remove(0);
    assert_eq!(run["conclusion"]["why"]["reason"], "nothing_to_gain", "{run}");
    assert_eq!(run["conclusion"]["why"]["out_of_reach"], left.len(), "{run}");

    let said = yard.lowtide(&["run", "web", "--rebuild"]);
    assert!(said.status.success(), "{said:?}");
    let run = yard.runs().remove(0);
    assert_eq!(run["conclusion"]["why"]["reason"], "same_content", "{run}");
    docker(&["rmi", "-f", &yard.base]);
}

/// `perl` may do anything, so a rebuild may bring the base's packages. The build shows that it does not.
#[test]
fn what_a_step_that_may_do_anything_does_not_bring_is_no_reason_to_build_again() {
    let yard = Yard::new();
    yard.commit("apt-get update && apt-get install -y --no-install-recommends xz-utils && perl -e 1");
    let said = yard.lowtide(&["run", "web"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(yard.runs()[0]["conclusion"]["conclusion"], "released");

    let said = yard.lowtide(&["outdated", "--all", "--json"]);
    let left = pending(&said);
    assert!(!left.is_empty(), "{said:?}");
    let said = yard.lowtide(&["run", "web"]);
    assert!(said.status.success(), "{said:?}");
    let run = yard.runs().remove(0);
    assert_eq!(run["conclusion"]["why"]["reason"], "nothing_to_gain", "{run}");
    assert_eq!(run["conclusion"]["why"]["out_of_reach"], left.len(), "{run}");
    docker(&["rmi", "-f", &yard.base]);
}
