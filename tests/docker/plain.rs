//! Whole cycles by the binary over a plain container: build, test, publish, roll, bake, roll back and revert, on whatever engine
//! this is. `scripts/test podman` runs them on Podman.

use crate::engine::{docker, unique};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What a commit is like.
enum Version {
    Good,
    /// Passes its tests, and dies where its predecessor serves.
    Dying,
}

struct Place {
    folder: TempDir,
    name: String,
    registry: String,
    commits: usize,
}

impl Place {
    /// A repository, a configuration with this target, and a container from an image of someone's own.
    fn new(target: &str) -> Self {
        let name = unique("plain");
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            registry: std::env::var("LOWTIDE_TEST_REGISTRY").unwrap(),
            name,
            commits: 0,
        };
        std::fs::create_dir(place.path("web")).unwrap();
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        let (name, registry) = (&place.name, &place.registry);
        let text = format!(
            r#"version: 1
mode: active
hosts: {{ here: {{ docker: "unix://{socket}" }} }}
registries: {{ "{registry}": {{ plain_http: true }} }}
limits: {{ min_free_disk: 1MiB }}
apps:
  {name}:
    source: {{ repo: "file://{repo}", branch: main }}
    schedule: never
    test:
      env: {{ TESTING: "TRUE" }}
      sidecars:
        db: {{ image: "{registry}/base/busybox:1", command: [sh, -c, "echo ok >/tmp/index.html; exec httpd -f -p 81 -h /tmp"], ready: {{ http: {{ port: 81, path: / }}, timeout: 1m }} }}
      ready: {{ http: {{ port: 8080, path: / }}, timeout: 1m }}
      steps: [ {{ exec: [/check] }}, {{ restart: {{}} }}, {{ http: {{ port: 8080, path: / }} }} ]
      junit: /results/*.xml
    ready: {{ http: {{ port: 8080, path: / }}, timeout: 1m }}
    publish: {{ image: "{registry}/{name}" }}
    rollout: [ {target} ]
"#,
            socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap(),
            repo = place.path("web").display(),
        );
        std::fs::write(place.path("lowtide.yml"), text.replace("NAME", name)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, args: &[&str]) {
        let done = Command::new("git")
            .args(["-c", "user.name=Dev", "-c", "user.email=dev@example.org"])
            .args(args)
            .current_dir(self.path("web"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn commit(&mut self, version: Version) {
        self.commits += 1;
        let at_start = match version {
            Version::Good => "",
            Version::Dying => "[ -z \"$SERVING\" ] || { echo 'no way'; exit 3; }\n",
        };
        let files = [
            (
                "Dockerfile",
                format!(
                    "FROM {}/base/busybox:1\nCOPY serve check /\nCMD [\"/serve\"]\n",
                    self.registry
                ),
            ),
            (
                "serve",
                format!(
                    "#!/bin/sh\n# {} {}\n{at_start}mkdir -p /www\necho hello >/www/index.html\nexec httpd -f -p 8080 -h /www\n",
                    self.name, self.commits
                ),
            ),
            (
                "check",
                "#!/bin/sh\nwget -q -O /dev/null http://127.0.0.1:8080/ || exit 1\n\
                 wget -q -O /dev/null http://db:81/ || exit 2\nmkdir -p /results\n\
                 echo '<testsuite tests=\"1\"><testcase classname=\"a\" name=\"b\"/></testsuite>' >/results/a.xml\n"
                    .to_owned(),
            ),
        ];
        for (name, text) in files {
            use std::os::unix::fs::PermissionsExt;
            let path = self.path("web").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", "Next"]);
    }

    fn start_old(&self) {
        let old = self.path("old");
        std::fs::create_dir(&old).unwrap();
        let text = format!(
            "FROM lowtide-test/busybox:1\nLABEL test={}\nRUN echo old >/www/index.html\n\
             CMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
            self.name
        );
        std::fs::write(old.join("Dockerfile"), text).unwrap();
        let image = self.old_image();
        docker(&["build", "-q", "-t", &image, &old.display().to_string()]);
        docker(&[
            "run",
            "-d",
            "--name",
            &self.name,
            "--env",
            "SERVING=yes",
            "--label",
            "keep=me",
            "--restart",
            "no",
            "--volume",
            "/kept",
            &image,
        ]);
    }

    fn old_image(&self) -> String {
        format!("lowtide-test/{}:old", self.name)
    }

    fn lowtide(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lowtide"))
            .args(["--config", &self.path("lowtide.yml").display().to_string()])
            .args(["--state", &self.path("state").display().to_string()])
            .args(args)
            .env("HOME", self.folder.path())
            .output()
            .unwrap()
    }

    fn night(&self) -> (bool, String) {
        let done = self.lowtide(&["run", &self.name, "--now"]);
        (done.status.success(), said(&done))
    }

    fn container(&self) -> Value {
        let out = docker(&["inspect", &self.name]);
        let mut found: Value = serde_json::from_slice(&out).unwrap();
        found[0].take()
    }

    fn names(&self) -> Vec<String> {
        let out = docker(&[
            "ps",
            "-a",
            "--filter",
            &format!("name={}", self.name),
            "--format",
            "{{.Names}}",
        ]);
        String::from_utf8(out).unwrap().lines().map(ToOwned::to_owned).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for name in self.names() {
            let _ = Command::new("docker").args(["rm", "-fv", &name]).output();
        }
        let listed = Command::new("docker")
            .args([
                "images",
                "-q",
                "--filter",
                &format!("label=io.lowtide.app={}", self.name),
            ])
            .output()
            .unwrap();
        for id in String::from_utf8_lossy(&listed.stdout)
            .lines()
            .chain([self.old_image().as_str()])
        {
            let _ = Command::new("docker").args(["rmi", "-f", id]).output();
        }
    }
}

fn said(done: &Output) -> String {
    [&done.stdout, &done.stderr]
        .map(|text| String::from_utf8_lossy(text))
        .concat()
}

fn text(container: &Value, at: &str) -> String {
    container
        .pointer(at)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

const CONTAINER: &str = "{ container: { host: here, name: NAME }, bake: 1s, stop_timeout: 5s }";

#[test]
#[ignore = "whole cycles take minutes: scripts/test podman"]
fn a_plain_container_is_rolled_rolled_back_and_reverted() {
    let mut place = Place::new(CONTAINER);
    place.commit(Version::Good);
    place.start_old();
    let old = place.container();

    // A good release: built, tested beside a sidecar, published, rolled and baked.
    let (good, words) = place.night();
    assert!(good, "{words}");
    let first = place.container();
    assert_ne!(text(&first, "/Id"), text(&old, "/Id"), "{words}");
    assert_eq!(first.pointer("/State/Running"), Some(&Value::Bool(true)));
    assert_eq!(text(&first, "/Config/Labels/keep"), "me");
    assert_eq!(text(&first, "/HostConfig/RestartPolicy/Name"), "no");
    // Its anonymous volume came along.
    assert_eq!(text(&first, "/Mounts/0/Name"), text(&old, "/Mounts/0/Name"));
    assert!(
        text(&first, "/Config/Image").starts_with(&format!("{}/{}", place.registry, place.name)),
        "{first}"
    );
    assert_eq!(place.names(), [place.name.clone()]);

    // Nothing has moved: nothing happens.
    let (good, words) = place.night();
    assert!(good && words.contains("unchanged"), "{words}");
    assert_eq!(text(&place.container(), "/Id"), text(&first, "/Id"));

    // A second good one, so that there is something to go back to.
    place.commit(Version::Good);
    let (good, words) = place.night();
    assert!(good, "{words}");
    let second = place.container();
    assert_ne!(text(&second, "/Id"), text(&first, "/Id"));

    // A bad one passes its tests, dies where it is to serve, and the old container serves again.
    place.commit(Version::Dying);
    let (good, words) = place.night();
    assert!(!good, "{words}");
    let incident = said(&place.lowtide(&["incident", &place.name]));
    let back = place.container();
    assert_eq!(text(&back, "/Id"), text(&second, "/Id"), "{words}");
    let state = &back["State"];
    assert_eq!(state["Running"], true, "{state} {incident} {words}");
    assert_eq!(text(&back, "/HostConfig/RestartPolicy/Name"), "no");
    assert_eq!(place.names(), [place.name.clone()]);

    // By hand to the release before.
    let reverted = place.lowtide(&["revert", &place.name, "--reason", "it is slow"]);
    assert!(reverted.status.success(), "{}", said(&reverted));
    let now = place.container();
    assert_eq!(text(&now, "/Image"), text(&first, "/Image"));
    assert_eq!(now.pointer("/State/Running"), Some(&Value::Bool(true)));
    assert_eq!(place.names(), [place.name.clone()]);
}

/// Nothing is left of a cycle but its images: no container, network or volume of ours.
#[test]
#[ignore = "whole cycles take minutes: scripts/test podman"]
fn a_cycle_leaves_nothing_but_the_service() {
    let mut place = Place::new(CONTAINER);
    place.commit(Version::Good);
    place.start_old();
    let (good, words) = place.night();
    assert!(good, "{words}");
    let app = format!("label=io.lowtide.app={}", place.name);
    for list in [&["ps", "-aq"][..], &["network", "ls", "-q"], &["volume", "ls", "-q"]] {
        let left = String::from_utf8(docker(&[list, &["--filter", &app]].concat())).unwrap();
        let own = usize::from(list[0] == "ps");
        assert!(left.lines().count() <= own, "{list:?}: {left}");
    }
    assert!(Path::new(&place.path("state")).is_dir());
}

#[test]
#[ignore = "only an engine without Swarm can refuse it: scripts/test podman"]
fn what_the_engine_has_not_is_refused_by_name() {
    let mut place = Place::new("{ service: { host: here, name: NAME } }");
    place.commit(Version::Good);
    let (good, words) = place.night();
    assert!(!good, "{words}");
    assert!(words.contains("Swarm") && words.contains("Podman"), "{words}");
}
