//! `.lowtide.yml` at the commit that is built, and `lowtide test`, by the binary on a real engine.

use crate::engine::{docker, unique};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a maintainer writes: the image needs a build argument, and its tests a variable.
const OWN: &str = "version: 1
build: { args: { GREETING: hello } }
ready: { http: { port: 8080, path: / } }
test:
  env: { TESTING: \"yes\" }
  steps: [ { exec: [/check] } ]
  junit: /results/*.xml
";
const CHECK: &str = "#!/bin/sh
[ \"$TESTING\" = yes ] || exit 1
wget -q -O - http://127.0.0.1:8080/ | grep -q hello || exit 2
mkdir -p /results
echo '<testsuite tests=\"1\"><testcase classname=\"a\" name=\"b\"/></testsuite>' >/results/a.xml
";

struct Maintainer {
    folder: TempDir,
    /// Of the repository's folder, so of the app.
    name: String,
}

impl Maintainer {
    fn new() -> Self {
        let it = Self {
            folder: tempfile::tempdir().unwrap(),
            name: unique("own"),
        };
        std::fs::create_dir(it.repository()).unwrap();
        it.git(&["init", "--quiet", "--initial-branch=main"]);
        let base = format!("{}/base/busybox:1", std::env::var("LOWTIDE_TEST_REGISTRY").unwrap());
        it.write(
            "Dockerfile",
            &format!("FROM {base}\nARG GREETING=nothing\nRUN mkdir -p /www && echo $GREETING >/www/index.html\nCOPY --chmod=755 check /\n\
             CMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n"),
        );
        it.write("check", CHECK);
        it.write(".lowtide.yml", OWN);
        it
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.repository().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let done = Command::new("git")
            .args(["-c", "user.name=Dev", "-c", "user.email=dev@example.org"])
            .args(args)
            .current_dir(self.repository())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(done.status.success(), "{args:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", "Next"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The fleet's configuration.
    fn fleet(&self, allow: &str) -> PathBuf {
        let path = self.folder.path().join("config.yml");
        let text = format!(
            "version: 1
hosts: {{ here: {{ docker: \"unix://{socket}\" }} }}
limits: {{ min_free_disk: 1MiB }}
apps:
  {name}:
    source: {{ repo: \"file://{repository}\" }}
    schedule: never
    repository_file: {{ allow: {allow} }}
",
            socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap(),
            name = self.name,
            repository = self.repository().display(),
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Ids of the images that were built for it.
    fn images(&self) -> String {
        let filter = format!("label=io.lowtide.app={}", self.name);
        String::from_utf8(docker(&["images", "-q", "--filter", &filter])).unwrap()
    }

    fn lowtide(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        command
            .args(args)
            .current_dir(self.repository())
            .env("HOME", self.folder.path())
            .env("LOWTIDE_STATE", self.folder.path().join("state"))
            .env(
                "DOCKER_HOST",
                format!("unix://{}", std::env::var("LOWTIDE_TEST_ENGINE").unwrap()),
            );
        command
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        for image in self.images().lines() {
            let _ = Command::new("docker").args(["rmi", "-f", image]).output();
        }
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

#[test]
fn a_maintainer_tests_a_commit_without_any_configuration() {
    let maintainer = Maintainer::new();
    let good = maintainer.commit();
    let done = maintainer.lowtide(&["test"]);
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(maintainer.images(), "");

    // The failing stack of a run, reproduced; what is only in the work tree does not count.
    maintainer.write("check", &CHECK.replace("grep -q hello", "grep -q goodbye"));
    let bad = maintainer.commit();
    maintainer.write("check", CHECK);
    let kept = maintainer.folder.path().join("kept");
    let done = maintainer.lowtide(&["test", "--commit", &bad[..12], "--keep", &kept.display().to_string()]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("exec /check exited with 2"), "{}", said(&done));
    assert!(!is_empty(&kept.join("logs")), "no logs were kept");
    let done = maintainer.lowtide(&["test", "--repo", ".", "--commit", &good]);
    assert!(done.status.success(), "{}", said(&done));
    let done = maintainer.lowtide(&["test", "--commit", "nowhere"]);
    assert!(said(&done).contains("the commit nowhere is not in"), "{}", said(&done));
}

#[test]
fn a_run_takes_from_the_file_what_the_fleet_allows() {
    let maintainer = Maintainer::new();
    maintainer.commit();
    let config = maintainer.fleet("[build, test, ready]").display().to_string();
    let run = ["--config", &config, "run", &maintainer.name];
    let done = maintainer.lowtide(&run);
    assert!(done.status.success(), "{}", said(&done));
    assert!(
        said(&done).contains(".lowtide.yml sets how it is built and tested"),
        "{}",
        said(&done)
    );

    // It is read at the commit: what asks for more fails there, and says so as `check` does.
    maintainer.write(".lowtide.yml", &format!("{OWN}  timeout: 9h\n"));
    let check = ["--config", &config, "check", "--repo", ".", "--app", &maintainer.name];
    let done = maintainer.lowtide(&check);
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    let refused = "`test.timeout` is not allowed in this file";
    assert!(said(&done).contains(refused), "{}", said(&done));
    assert!(maintainer.lowtide(&["check", "--repo", "."]).status.success());
    maintainer.commit();
    let done = maintainer.lowtide(&run);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains(refused), "{}", said(&done));

    // The same commit, as soon as the fleet allows it.
    maintainer.fleet("[build, test, test.timeout, ready]");
    let done = maintainer.lowtide(&run);
    assert!(done.status.success(), "{}", said(&done));
}

/// Nobody continues it later, so nothing may wait for that on the engine.
#[test]
fn an_interrupted_test_leaves_nothing() {
    let maintainer = Maintainer::new();
    maintainer.write("check", "#!/bin/sh\nexec sleep 1000\n");
    maintainer.commit();
    let mut child = maintainer
        .command(&["test"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("exec /check")), "the step never began");
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.contains("the test has no result")),
        "{rest:?}"
    );
    let filter = format!("label=io.lowtide.app={}", maintainer.name);
    let containers = docker(&["ps", "-aq", "--filter", &filter]);
    assert_eq!(String::from_utf8_lossy(&containers), "");
    assert_eq!(maintainer.images(), "");
}
