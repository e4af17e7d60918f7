//! The ground all trials stand on, and the small world of each: a repository, two running containers, a configuration.

use crate::bot::Start;
use crate::support::mail::Server;
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::engine::raw::encode;
use lowtide::model::policy::EngineAddress;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// On the containers that lowtide rolls; the value is the trial's id.
pub(crate) const LABEL: &str = "org.lowtide.crash";
/// Which of them it is.
pub(crate) const UNIT: &str = "org.lowtide.crash.unit";
pub(crate) const UNITS: [&str; 2] = ["a", "b"];
const CALL: Duration = Duration::from_secs(60);

/// Made once.
pub(crate) struct Ground {
    pub(crate) socket: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) registry: String,
    pub(crate) mail: Server,
    /// Part of every name.
    pub(crate) mark: String,
    /// Image of the containers before the roll.
    old: String,
    /// Two, so that a candidate has to be connected after it was made.
    networks: [String; 2],
    bystander: String,
    bystander_before: Value,
    ports: AtomicU16,
    directory: TempDir,
}

impl Ground {
    pub(crate) async fn prepare() -> Self {
        let socket: PathBuf = std::env::var("LOWTIDE_TEST_ENGINE")
            .expect("LOWTIDE_TEST_ENGINE is not set: run `scripts/test crash`, which starts a private engine")
            .into();
        let registry = std::env::var("LOWTIDE_TEST_REGISTRY").expect("LOWTIDE_TEST_REGISTRY is not set");
        let engine = Engine::connect(&EngineAddress::Unix(socket.clone())).unwrap();
        let mark = format!(
            "crash{}",
            &ulid::Ulid::generate().to_string().to_ascii_lowercase()[20..]
        );
        let directory = tempfile::tempdir().unwrap();
        let old = format!("{mark}/old:1");
        write_source(directory.path(), "lowtide-test/busybox:1", "old");
        let build = ["build", "--quiet", "--tag", &old, directory.path().to_str().unwrap()];
        let built = Command::new("docker")
            .args(build)
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("DOCKER_BUILDKIT", "0")
            .output()
            .await
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let networks = [format!("{mark}-front"), format!("{mark}-back")];
        for name in &networks {
            post(
                &engine,
                "/networks/create",
                &json!({"Name": name, "CheckDuplicate": true}),
            )
            .await;
        }
        let bystander = create(&engine, &format!("{mark}-bystander"), &json!({"Image": old})).await;
        let mut ground = Self {
            socket,
            registry,
            mail: Server::start("plain"),
            mark,
            old,
            networks,
            bystander,
            bystander_before: Value::Null,
            // Below the range the kernel takes from by itself; another run of these tests has another part of it.
            ports: AtomicU16::new(20_000 + u16::try_from(std::process::id() % 40).unwrap() * 250),
            directory,
            engine,
        };
        ground.bystander_before = ground.bystander_now().await;
        ground
    }

    async fn bystander_now(&self) -> Value {
        let seen = self
            .engine
            .raw_get(&format!("/containers/{}/json", self.bystander))
            .await;
        let seen = seen.unwrap_or_default();
        json!([
            seen["Id"],
            seen["Name"],
            seen["State"]["StartedAt"],
            seen["State"]["Running"],
            seen["RestartCount"]
        ])
    }

    pub(crate) async fn bystander_untouched(&self) -> bool {
        self.bystander_now().await == self.bystander_before
    }

    /// Everything of ours goes.
    pub(crate) async fn remove(self) {
        let _ = self
            .engine
            .raw_delete(&format!("/containers/{}?force=1", self.bystander))
            .await;
        for name in &self.networks {
            let _ = self.engine.raw_delete(&format!("/networks/{name}")).await;
        }
        let _ = self.engine.raw_delete(&format!("/images/{}?force=1", self.old)).await;
        drop(self.directory);
    }
}

async fn post(engine: &Engine, path: &str, body: &Value) -> Value {
    engine.raw_post(path, Some(body), CALL).await.unwrap()
}

async fn create(engine: &Engine, name: &str, body: &Value) -> String {
    let made = post(engine, &format!("/containers/create?name={}", encode(name)), body).await;
    let id = made["Id"].as_str().unwrap().to_owned();
    engine
        .raw_post(&format!("/containers/{id}/start"), None, CALL)
        .await
        .unwrap();
    id
}

/// A web server that ends when asked to, and whose health is known within a second.
fn write_source(directory: &Path, base: &str, text: &str) {
    let dockerfile = format!(
        "FROM {base}\n\
         RUN mkdir -p /www /results && echo {text} >/www/index.html && sleep 0.5\n\
         COPY serve check /\n\
         HEALTHCHECK --interval=300ms --timeout=5s --retries=30 CMD wget -q -O /dev/null http://127.0.0.1:8080/\n\
         CMD [\"/serve\"]\n"
    );
    std::fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    let serve = "#!/bin/sh\ntrap 'kill $p; exit 0' TERM\nhttpd -f -p 8080 -h /www &\np=$!\nwait $p\n";
    let check = "#!/bin/sh\nwget -q -O - http://127.0.0.1:8080/ && sleep 0.3\n";
    for (name, script) in [("serve", serve), ("check", check)] {
        let path = directory.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// One container that lowtide rolls, as it was before.
pub(crate) struct Old {
    pub(crate) unit: &'static str,
    pub(crate) name: String,
    pub(crate) id: String,
    /// Networks, restart policy, published ports: what must be the same afterwards.
    pub(crate) shape: Value,
}

pub(crate) struct World {
    pub(crate) id: String,
    pub(crate) directory: TempDir,
    pub(crate) olds: Vec<Old>,
}

impl World {
    pub(crate) async fn new(ground: &Ground) -> Self {
        let short = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        let id = format!("{}-{}", ground.mark, &short[short.len() - 10..]);
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("state")).unwrap();
        let mut world = Self {
            id,
            directory,
            olds: Vec::new(),
        };
        world.commit(ground).await;
        for unit in UNITS {
            let old = world.run_old(ground, unit).await;
            world.olds.push(old);
        }
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn repository(&self, ground: &Ground) -> String {
        format!("{}/{}/app", ground.registry, self.id)
    }

    pub(crate) fn address(&self) -> String {
        format!("dev-{}@example.org", self.id)
    }

    async fn commit(&self, ground: &Ground) {
        let source = self.path().join("source");
        std::fs::create_dir(&source).unwrap();
        write_source(&source, &format!("{}/base/busybox:1", ground.registry), &self.id);
        let git: [&[&str]; 3] = [
            &["init", "--quiet", "--initial-branch=main"],
            &["add", "-A"],
            &[
                "-c",
                "user.name=Dev",
                "-c",
                "user.email=dev@example.org",
                "commit",
                "--quiet",
                "-m",
                "A web server",
            ],
        ];
        for arguments in git {
            let done = Command::new("git")
                .args(arguments)
                .current_dir(&source)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .stdin(Stdio::null())
                .status()
                .await;
            assert!(done.unwrap().success(), "git {arguments:?}");
        }
    }

    async fn run_old(&self, ground: &Ground, unit: &'static str) -> Old {
        let name = format!("{}-{unit}", self.id);
        let port = ground.ports.fetch_add(1, Ordering::Relaxed);
        let first = unit == UNITS[0];
        let body = json!({
            "Image": ground.old,
            "Labels": {LABEL: self.id, UNIT: unit},
            "Env": [format!("TRIAL={}", self.id)],
            "ExposedPorts": {"8080/tcp": {}},
            "HostConfig": {
                "RestartPolicy": {"Name": if first { "unless-stopped" } else { "on-failure" }, "MaximumRetryCount": if first { 0 } else { 3 }},
                "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]},
                "NetworkMode": ground.networks[0],
            },
        });
        let made = post(&ground.engine, &format!("/containers/create?name={name}"), &body).await;
        let id = made["Id"].as_str().unwrap().to_owned();
        if first {
            let connect = json!({"Container": id, "EndpointConfig": {"Aliases": [format!("alias-{}", self.id)]}});
            post(
                &ground.engine,
                &format!("/networks/{}/connect", ground.networks[1]),
                &connect,
            )
            .await;
        }
        let start = format!("/containers/{id}/start");
        ground.engine.raw_post(&start, None, CALL).await.unwrap();
        let seen = ground.engine.raw_get(&format!("/containers/{id}/json")).await.unwrap();
        Old {
            unit,
            name,
            id,
            shape: preserved(&seen),
        }
    }

    /// The configuration and how lowtide is started with it.
    pub(crate) fn start(&self, engine: &Path, smtp: u16, ground: &Ground, path: std::ffi::OsString) -> Start {
        let text = format!(
            r#"version: 1
timezone: UTC
mode: active
hosts:
  here: {{ docker: "unix://{engine}" }}
limits: {{ min_free_disk: 1MiB }}
notify:
  email: {{ smtp: "smtp+plain://127.0.0.1:{smtp}", from: lowtide@example.org, operators: [{operator}], daily_report: "{daily_report}", rolled_out: at_once }}
apps:
  {id}:
    source: {{ repo: "file://{source}", branch: main }}
    maintainers: [{address}]
    schedule: never
    test:
      env: {{ TESTING: "TRUE" }}
      ready: {{ healthcheck: true, timeout: 60s }}
      steps: [ {{ exec: [/check] }} ]
    ready: {{ healthcheck: true, timeout: 60s }}
    publish: {{ image: "{repository}" }}
    rollout:
      - label: {{ host: here, key: {LABEL}, value: "{id}" }}
        bake: 1s
        stop_timeout: 5s
        before: [ {{ exec: ["true"] }} ]
        after: [ {{ exec: ["true"] }} ]
"#,
            engine = engine.display(),
            operator = format_args!("ops-{}@example.org", self.id),
            daily_report = half_a_day_away(),
            id = self.id,
            source = self.path().join("source").display(),
            address = self.address(),
            repository = self.repository(ground),
        );
        std::fs::write(self.path().join("lowtide.yml"), text).unwrap();
        Start {
            directory: self.path().to_owned(),
            path,
        }
    }

    /// Everything of this trial goes.
    pub(crate) async fn remove(self, ground: &Ground) {
        let engine = &ground.engine;
        let instance = std::fs::read_to_string(self.path().join("state/instance")).unwrap_or_default();
        let ours = [
            format!("{LABEL}={}", self.id),
            format!("io.lowtide.instance={}", instance.trim()),
        ];
        for label in ours {
            for one in list(engine, "/containers/json?all=1", &label).await {
                let id = one["Id"].as_str().unwrap_or_default();
                let _ = engine.raw_delete(&format!("/containers/{id}?force=1&v=1")).await;
            }
            for one in list(engine, "/networks?", &label).await {
                let id = one["Id"].as_str().unwrap_or_default();
                let _ = engine.raw_delete(&format!("/networks/{id}")).await;
            }
        }
        for one in list(engine, "/images/json?all=0", &format!("io.lowtide.app={}", self.id)).await {
            let id = one["Id"].as_str().unwrap_or_default();
            let _ = engine.raw_delete(&format!("/images/{id}?force=1")).await;
        }
    }
}

/// What a roll must keep.
pub(crate) fn preserved(container: &Value) -> Value {
    let networks = container["NetworkSettings"]["Networks"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut names: Vec<&String> = networks.keys().collect();
    names.sort();
    json!([
        names,
        container["HostConfig"]["RestartPolicy"],
        container["HostConfig"]["PortBindings"],
        container["Config"]["Env"],
    ])
}

/// What carries `label`.
pub(crate) async fn list(engine: &Engine, path: &str, label: &str) -> Vec<Value> {
    let filters = encode(&json!({"label": [label]}).to_string());
    let found = engine
        .raw_get(&format!("{path}&filters={filters}"))
        .await
        .unwrap_or_default();
    found.as_array().cloned().unwrap_or_default()
}

/// The daily report is no part of this.
fn half_a_day_away() -> String {
    let now = lowtide::clients::clock::now();
    let then = now + jiff::SignedDuration::from_hours(12);
    then.strftime("%H:00").to_string()
}
