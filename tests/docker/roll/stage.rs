//! What the tests of rolling make, and remove again.

use crate::engine::{engine, unique};
use lowtide::clients::engine::connect::Engine;
use lowtide::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use lowtide::kinds::kind::TargetSettings;
use lowtide::model::failure::Failure;
use lowtide::model::image::ImageId;
use lowtide::model::name::RolloutId;
use lowtide::model::policy::{Ready, ReadyCheck, Unhealthy};
use lowtide::model::rollout::Which;
use lowtide::runtime::kinds::containers::body::{Mark, NewImage};
use lowtide::runtime::kinds::containers::create::{Circumstances, create_candidate};
use lowtide::runtime::kinds::containers::preflight::{Preflight, preflight};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Tests of one process run side by side.
static SUBNETS: AtomicU32 = AtomicU32::new(0);

pub(crate) const OLD: &str = r#"FROM lowtide-test/busybox:1
ENV GREETING=one COLOUR=blue
LABEL vendor=one
EXPOSE 80
VOLUME /data
WORKDIR /www
STOPSIGNAL SIGINT
HEALTHCHECK --interval=7s --retries=4 CMD true
CMD ["httpd", "-f", "-p", "80"]"#;

pub(crate) const NEW: &str = r#"FROM lowtide-test/busybox:1
ENV GREETING=two COLOUR=green EXTRA=1
LABEL vendor=two
EXPOSE 80
VOLUME /data /more
WORKDIR /srv
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=8s --retries=5 CMD true
CMD ["httpd", "-f", "-v", "-p", "80"]"#;

/// Everything a test made, by one name; gone at its end, also when it fails.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) name: String,
    pub(crate) rollout: RolloutId,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let rollout = RolloutId(ulid::Ulid::generate());
        Self {
            engine: engine(),
            name: unique("roll"),
            rollout,
        }
    }

    pub(crate) fn image(&self, version: &str, dockerfile: &str) -> ImageId {
        let tag = self.tag(version);
        // First, so that no test shares a layer that another removes.
        let unlike_others = dockerfile.replacen("\n", &format!("\nLABEL test={}\n", self.name), 1);
        docker_in(&["build", "-q", "-t", &tag, "-"], unlike_others.as_bytes());
        docker(&["image", "inspect", "-f", "{{.Id}}", &tag]).parse().unwrap()
    }

    pub(crate) fn tag(&self, version: &str) -> String {
        format!("{}:{version}", self.name)
    }

    /// `docker create` with `flags` from the old image, started.
    pub(crate) fn run(&self, flags: &[&str], command: &[&str]) -> String {
        let tag = self.tag("old");
        let all = [&["create", "--init", "--name", &self.name], flags, &[&tag], command].concat();
        let id = docker(&all);
        docker(&["start", &id]);
        id
    }

    /// `POST /containers/create` with this very body.
    pub(crate) async fn create(&self, name: &str, body: &Value) -> String {
        let path = format!("/containers/create?name={name}");
        let made = self.engine.raw_post(&path, Some(body), Duration::from_secs(60)).await;
        let made = made.unwrap_or_else(|e| panic!("{name}: {e}"));
        made["Id"].as_str().unwrap().to_owned()
    }

    /// A network `<stage>-<name>` with a subnet of its own: the beginnings of its IPv4 and IPv6 addresses.
    pub(crate) fn network(&self, name: &str, ipv6: bool) -> (String, String) {
        let (high, low) = (
            16 + SUBNETS.fetch_add(1, Ordering::Relaxed) % 16,
            std::process::id() % 200,
        );
        let (v4, v6) = (format!("10.{low}.{high}"), format!("fd00:{low:x}:{high:x}::"));
        let full = format!("{}-{name}", self.name);
        let (subnet, subnet6) = (format!("--subnet={v4}.0/24"), format!("--subnet={v6}/64"));
        let mut args = vec!["network", "create", &subnet];
        if ipv6 {
            args.extend(["--ipv6", &subnet6]);
        }
        args.push(&full);
        docker(&args);
        (v4, v6)
    }

    /// Minor number of the engine's newest API version.
    pub(crate) async fn api(&self) -> u32 {
        let version = self.engine.version().await.unwrap();
        version.api.strip_prefix("1.").unwrap().parse().unwrap()
    }

    pub(crate) async fn inspect(&self, container: &str) -> Value {
        self.engine
            .raw_get(&format!("/containers/{container}/json"))
            .await
            .unwrap()
    }

    pub(crate) async fn inspect_image(&self, image: &ImageId) -> Value {
        self.engine.raw_get(&format!("/images/{image}/json")).await.unwrap()
    }

    pub(crate) async fn preflight(&self) -> Result<Preflight, Failure> {
        self.preflight_of(&self.name).await
    }

    pub(crate) async fn preflight_of(&self, name: &str) -> Result<Preflight, Failure> {
        let select = ContainerSelect::Name { name: name.to_owned() };
        preflight(&self.engine, &settings(), &ContainersPolicy::of(select)).await
    }

    pub(crate) async fn candidate(&self, found: &Preflight, unit: usize, image: &ImageId) -> Result<String, Failure> {
        let tag = self.tag("new");
        let image = NewImage {
            reference: &tag,
            id: image,
        };
        let mark = Mark {
            rollout: self.rollout,
            unit,
            instance: "test",
            term: 1,
            role: Which::New,
        };
        create_candidate(
            &self.engine,
            &found.units[unit],
            &found.snapshots[unit],
            &image,
            &mark,
            &Circumstances::default(),
        )
        .await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let name = &self.name;
        let list = |args: &[&str]| {
            quiet(args)
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        };
        for id in list(&["ps", "-aq", "--filter", &format!("name={name}")]) {
            quiet(&["rm", "-fv", &id]);
        }
        for id in list(&["network", "ls", "-q", "--filter", &format!("name={name}")]) {
            quiet(&["network", "rm", &id]);
        }
        for id in list(&["volume", "ls", "-q", "--filter", &format!("name={name}")]) {
            quiet(&["volume", "rm", &id]);
        }
        for id in list(&["images", "-q", "--filter", &format!("label=test={name}")]) {
            quiet(&["rmi", "-f", &id]);
        }
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new("docker");
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    command.args(args).env("DOCKER_HOST", format!("unix://{socket}"));
    command
}

pub(crate) fn docker(args: &[&str]) -> String {
    docker_in(args, b"")
}

pub(crate) fn docker_in(args: &[&str], input: &[u8]) -> String {
    let output = crate::support::engine::or_again(|| {
        let mut child = command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    });
    assert!(
        output.status.success(),
        "docker {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// For cleaning up: what is gone is gone.
pub(crate) fn quiet(args: &[&str]) -> String {
    let output = command(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn settings() -> TargetSettings {
    TargetSettings {
        name: "t".parse().unwrap(),
        channel: None,
        host: "h".parse().unwrap(),
        window: None,
        ready: Ready {
            check: ReadyCheck::Healthcheck,
            timeout: jiff::SignedDuration::from_secs(10),
        },
        bake: jiff::SignedDuration::ZERO,
        irreversible: false,
        unhealthy: Unhealthy::Refuse,
    }
}

/// Looks at the container whenever the engine tells something of it, beginning with what it told before.
pub(crate) async fn wait_for(stage: &Stage, container: &str, pointer: &str, value: &Value) -> Value {
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    let mut events = tokio::process::Command::new("docker")
        .args([
            "events",
            "--since",
            "10m",
            "--filter",
            &format!("container={container}"),
        ])
        .env("DOCKER_HOST", format!("unix://{socket}"))
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    let seen = async {
        while lines.next_line().await.unwrap().is_some() {
            let now = stage.inspect(container).await;
            if now.pointer(pointer) == Some(value) {
                return now;
            }
        }
        panic!("the engine's events ended");
    };
    let came = tokio::time::timeout(Duration::from_secs(30), seen).await;
    came.unwrap_or_else(|_| panic!("{container} did not come to {pointer} = {value}"))
}

/// What the client says when it is refused.
pub(crate) fn quiet_failure(args: &[&str]) -> String {
    let output = command(args).output().unwrap();
    assert!(!output.status.success(), "docker {args:?} was not refused");
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
