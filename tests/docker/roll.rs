//! Rolling plain containers on a real engine: what is made anew is what was there, and the way back is open.

use crate::engine::{engine, unique};
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::target::docker::body::{Mark, NewImage};
use lowtide::clients::target::docker::create::create_candidate;
use lowtide::clients::target::docker::find::find;
use lowtide::clients::target::docker::hook::{HookResult, run_hook};
use lowtide::clients::target::docker::observe::observe;
use lowtide::clients::target::docker::preflight::{Preflight, preflight};
use lowtide::clients::target::docker::pull::{RegistryAuth, pull};
use lowtide::clients::target::docker::{name, verbs};
use lowtide::model::failure::{Failure, FailureKind};
use lowtide::model::fleet::{Ready, ReadyCheck, Select, TargetPolicy};
use lowtide::model::image::{ContentDigest, ImageId};
use lowtide::model::name::{RolloutId, RunId};
use lowtide::model::rollout::{ContainerState, RestartPolicy};
use lowtide::model::secret::Secret;
use lowtide::model::standing::Release;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

const OLD: &str = r#"FROM lowtide-test/busybox:1
ENV GREETING=one COLOUR=blue
LABEL vendor=one
EXPOSE 80
VOLUME /data
WORKDIR /www
STOPSIGNAL SIGINT
HEALTHCHECK --interval=7s --retries=4 CMD true
CMD ["httpd", "-f", "-p", "80"]"#;

const NEW: &str = r#"FROM lowtide-test/busybox:1
ENV GREETING=two COLOUR=green EXTRA=1
LABEL vendor=two
EXPOSE 80
VOLUME /data /more
WORKDIR /srv
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=8s --retries=5 CMD true
CMD ["httpd", "-f", "-v", "-p", "80"]"#;

/// Everything a test made, by one name; gone at its end, also when it fails.
struct Stage {
    engine: Engine,
    name: String,
    rollout: RolloutId,
}

impl Stage {
    fn new() -> Self {
        let rollout = RolloutId(ulid::Ulid::generate());
        Self {
            engine: engine(),
            name: unique("roll"),
            rollout,
        }
    }

    fn image(&self, version: &str, dockerfile: &str) -> ImageId {
        let tag = self.tag(version);
        let unlike_others = format!("{dockerfile}\nLABEL test={}", self.name);
        docker_in(&["build", "-q", "-t", &tag, "-"], unlike_others.as_bytes());
        docker(&["image", "inspect", "-f", "{{.Id}}", &tag]).parse().unwrap()
    }

    fn tag(&self, version: &str) -> String {
        format!("{}:{version}", self.name)
    }

    /// `docker create` with `flags` from the old image, started.
    fn run(&self, flags: &[&str], command: &[&str]) -> String {
        let tag = self.tag("old");
        let all = [&["create", "--init", "--name", &self.name], flags, &[&tag], command].concat();
        let id = docker(&all);
        docker(&["start", &id]);
        id
    }

    async fn inspect(&self, container: &str) -> Value {
        self.engine
            .raw_get(&format!("/containers/{container}/json"))
            .await
            .unwrap()
    }

    async fn preflight(&self) -> Result<Preflight, Failure> {
        preflight(
            &self.engine,
            &target(Select::Container {
                name: self.name.clone(),
            }),
        )
        .await
    }

    async fn candidate(&self, found: &Preflight, unit: usize, image: &ImageId) -> Result<String, Failure> {
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
        };
        create_candidate(&self.engine, &found.units[unit], &found.snapshots[unit], &image, &mark).await
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

fn command(args: &[&str]) -> Command {
    let mut command = Command::new("docker");
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    command.args(args).env("DOCKER_HOST", format!("unix://{socket}"));
    command
}

fn docker(args: &[&str]) -> String {
    docker_in(args, b"")
}

fn docker_in(args: &[&str], input: &[u8]) -> String {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "docker {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// For cleaning up: what is gone is gone.
fn quiet(args: &[&str]) -> String {
    let output = command(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn target(select: Select) -> TargetPolicy {
    TargetPolicy {
        name: "t".parse().unwrap(),
        channel: None,
        host: "h".parse().unwrap(),
        select,
        window: None,
        ready: Ready {
            check: ReadyCheck::Healthcheck,
            timeout: jiff::SignedDuration::from_secs(10),
        },
        before: vec![],
        after: vec![],
        bake: jiff::SignedDuration::ZERO,
        stop_timeout: None,
        irreversible: false,
    }
}

fn no_restart(host: &Value) -> Value {
    let mut host = host.clone();
    host["RestartPolicy"] = Value::Null;
    host
}

/// Lines of `before` and `after` that differ, so that a lost field shows by itself.
fn assert_same(what: &str, before: &Value, after: &Value) {
    let lines = |v: &Value| {
        serde_json::to_string_pretty(v)
            .unwrap()
            .lines()
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    let (before, after) = (lines(before), lines(after));
    let lost: Vec<_> = before.iter().filter(|l| !after.contains(l)).collect();
    let gained: Vec<_> = after.iter().filter(|l| !before.contains(l)).collect();
    assert!(before == after, "{what}: lost {lost:#?}, gained {gained:#?}");
}

async fn wait_for(stage: &Stage, container: &str, pointer: &str, value: &Value) -> Value {
    for _ in 0..200 {
        let now = stage.inspect(container).await;
        if now.pointer(pointer) == Some(value) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{container} did not come to {pointer} = {value}");
}

/// A container with about every option people use. Two networks, the first with a static address.
fn run_rich(stage: &Stage) -> String {
    let n = &stage.name;
    let (front, back, volume) = (format!("{n}-front"), format!("{n}-back"), format!("{n}-named"));
    // A subnet of its own for each test process.
    let net = 16 + std::process::id() % 200;
    docker(&["network", "create", "--subnet", &format!("10.{net}.77.0/24"), &front]);
    docker(&["network", "create", &back]);
    let ip = format!("10.{net}.77.99");
    let env_file = std::env::temp_dir().join(n);
    std::fs::write(&env_file, "FROM_FILE=a b=c\n").unwrap();
    let (bind, named) = ("/tmp:/host:ro".to_owned(), format!("{volume}:/named"));
    let flags = "--network-alias=shop --hostname=shop1 --domainname=example.org --publish=127.0.0.1::80 --env=GREETING=mine --env=TOKEN=s3cret \
        --volume=/anonymous --mount=type=volume,target=/asked --tmpfs=/scratch:size=1m --label=owner=me --label=vendor=mine \
        --ulimit=nofile=1000:2000 --restart=on-failure:3 --log-driver=json-file --log-opt=max-size=1m --log-opt=max-file=2 \
        --sysctl=net.core.somaxconn=512 --cap-add=NET_ADMIN --cap-drop=MKNOD --add-host=db.example.org:10.9.8.7 \
        --health-interval=1s --health-timeout=3s --user=0:0 --workdir=/www --stop-signal=SIGTERM --stop-timeout=4 \
        --memory=64m --cpus=0.5 --cpu-shares=512 --pids-limit=100 --shm-size=8m --dns=10.9.8.6 --dns-search=example.org --dns-option=ndots:2 \
        --device=/dev/null:/dev/nothing:rw --group-add=20 --security-opt=no-new-privileges --oom-score-adj=100 --ipc=shareable \
        --storage-opt=x --userns=host --uts= --pid= --annotation=x";
    // Not on this engine: storage options (overlay2 on xfs only), annotations (API 1.43).
    let flags = flags.split_whitespace().filter(|f| {
        !f.starts_with("--storage-opt")
            && !f.starts_with("--annotation")
            && !f.ends_with('=')
            && !f.starts_with("--userns")
    });
    let (net, ip) = (format!("--network={front}"), format!("--ip={ip}"));
    let (bind, named, env_file_flag) = (
        format!("--volume={bind}"),
        format!("--volume={named}"),
        format!("--env-file={}", env_file.display()),
    );
    let given = [net.as_str(), &ip, &bind, &named, &env_file_flag];
    let all: Vec<&str> = flags.chain(given).collect();
    let id = stage.run(&all, &["sh", "-c", "httpd -p 80; exec sleep 1000"]);
    std::fs::remove_file(env_file).unwrap();
    docker(&["network", "connect", "--alias", "shop-back", &back, &id]);
    for path in ["/data/kept", "/anonymous/kept", "/asked/kept", "/named/kept"] {
        docker(&["exec", &id, "sh", "-c", &format!("echo data > {path}")]);
    }
    id
}

fn forgets_what_moves(networks: &Value) -> Value {
    let mut networks = networks.clone();
    for (_, endpoint) in networks.as_object_mut().unwrap() {
        for key in ["EndpointID", "IPAddress", "MacAddress"] {
            endpoint[key] = Value::Null;
        }
        let aliases = endpoint["Aliases"].as_array().unwrap();
        let given: Vec<_> = aliases
            .iter()
            .filter(|a| a.as_str().unwrap().len() != 12)
            .cloned()
            .collect();
        endpoint["Aliases"] = json!(given);
    }
    networks
}

#[tokio::test]
async fn a_rich_container_rolls_forward_and_back_and_loses_nothing() {
    let stage = Stage::new();
    let engine = &stage.engine;
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let old = run_rich(&stage);
    let before = stage.inspect(&old).await;
    let found = stage.preflight().await.unwrap();
    let unit = &found.units[0];
    assert_eq!(
        (unit.old.as_str(), unit.name.as_str(), unit.was_running),
        (old.as_str(), stage.name.as_str(), true)
    );

    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    let made = stage.inspect(&candidate).await;
    assert_eq!(made["Name"], format!("/{}", name::next(&unit.name, &stage.rollout)));
    assert_eq!(made["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_eq!(
        stage.inspect(&old).await["State"]["Status"],
        "running",
        "create comes first"
    );

    // Forward.
    verbs::stop(engine, &old, None).await.unwrap();
    verbs::set_restart(engine, &old, &RestartPolicy::none()).await.unwrap();
    verbs::start(engine, &candidate).await.unwrap();
    verbs::rename(engine, &old, &name::prev(&unit.name, &stage.rollout))
        .await
        .unwrap();
    verbs::rename(engine, &candidate, &unit.name).await.unwrap();
    verbs::set_restart(engine, &candidate, &unit.restart).await.unwrap();
    let after = wait_for(&stage, &candidate, "/State/Health/Status", &json!("healthy")).await;

    assert_eq!(after["Name"], before["Name"]);
    let mut host = after["HostConfig"].clone();
    // The two volumes nobody named are named now; the new image's own /more is a new one.
    let volume = |target: &str| {
        let mounts = before["Mounts"].as_array().unwrap();
        mounts.iter().find(|m| m["Destination"] == target).unwrap()["Name"].clone()
    };
    let mut named = before["HostConfig"]["Mounts"].clone();
    named[0]["Source"] = volume("/asked");
    for mount in host["Mounts"].as_array().unwrap().iter().skip(1) {
        assert_eq!(mount["Source"], volume(mount["Target"].as_str().unwrap()));
    }
    assert_eq!(host["Mounts"].as_array().unwrap().len(), 3);
    assert_eq!(host["Mounts"][0], named[0]);
    host["Mounts"] = before["HostConfig"]["Mounts"].clone();
    assert_same("HostConfig", &before["HostConfig"], &host);
    let (was, is) = (
        &before["NetworkSettings"]["Networks"],
        &after["NetworkSettings"]["Networks"],
    );
    assert_same("Networks", &forgets_what_moves(was), &forgets_what_moves(is));
    let front = format!("{}-front", stage.name);
    assert_eq!(
        was[&front]["IPAddress"], is[&front]["IPAddress"],
        "the static address moved with it"
    );

    let mut config = before["Config"].clone();
    config["Image"] = json!(stage.tag("new"));
    // Set by the user: kept. Left to the image: the new one's.
    config["Env"] = json!([
        "GREETING=mine",
        "TOKEN=s3cret",
        "FROM_FILE=a b=c",
        "COLOUR=green",
        "EXTRA=1"
    ]);
    config["Healthcheck"]["Retries"] = json!(5);
    config["Volumes"]["/more"] = json!({});
    // The user's words were the old image's defaults, so nobody can tell: the new image's hold.
    config["WorkingDir"] = json!("/srv");
    config["Labels"] = after["Config"]["Labels"].clone();
    let sorted = |v: &Value| {
        let mut v = v.clone();
        v["Env"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        v.sort_all_objects();
        v
    };
    assert_same("Config", &sorted(&config), &sorted(&after["Config"]));
    for (label, value) in [
        ("owner", "me"),
        ("vendor", "mine"),
        ("io.lowtide.unit", "0"),
        ("io.lowtide.term", "1"),
    ] {
        assert_eq!(after["Config"]["Labels"][label], value);
    }
    for path in ["/data/kept", "/anonymous/kept", "/asked/kept", "/named/kept"] {
        assert_eq!(docker(&["exec", &candidate, "cat", path]), "data", "{path}");
    }

    // Back.
    verbs::stop(engine, &candidate, None).await.unwrap();
    verbs::rename(engine, &candidate, &name::failed(&unit.name, &stage.rollout))
        .await
        .unwrap();
    verbs::rename(engine, &old, &unit.name).await.unwrap();
    verbs::set_restart(engine, &candidate, &RestartPolicy::none())
        .await
        .unwrap();
    verbs::start(engine, &old).await.unwrap();
    verbs::set_restart(engine, &old, &unit.restart).await.unwrap();
    let back = stage.inspect(&old).await;
    assert_same(
        "HostConfig after the way back",
        &before["HostConfig"],
        &back["HostConfig"],
    );
    assert_same("Config after the way back", &before["Config"], &back["Config"]);
    assert_eq!(back["State"]["Status"], "running");
    verbs::remove_container(engine, &candidate).await.unwrap();
    verbs::remove_container(engine, &candidate).await.unwrap();
    assert_eq!(
        docker(&["exec", &old, "cat", "/anonymous/kept"]),
        "data",
        "removing keeps volumes"
    );
    // What was set aside by the way back can roll again.
    assert_eq!(stage.preflight().await.unwrap().units[0].old, old);
}

#[tokio::test]
async fn the_default_bridge_and_host_network_need_no_endpoint() {
    for network in ["bridge", "host", "none"] {
        let stage = Stage::new();
        stage.image("old", OLD);
        let new = stage.image("new", NEW);
        let old = stage.run(&["--network", network], &["sleep", "1000"]);
        let before = stage.inspect(&old).await;
        let found = stage.preflight().await.unwrap();
        let candidate = stage.candidate(&found, 0, &new).await.unwrap();
        verbs::stop(&stage.engine, &old, Some(jiff::SignedDuration::from_secs(1)))
            .await
            .unwrap();
        verbs::start(&stage.engine, &candidate).await.unwrap();
        let after = stage.inspect(&candidate).await;
        let mut host = after["HostConfig"].clone();
        host["Mounts"] = Value::Null;
        let mut was = no_restart(&before["HostConfig"]);
        was["Mounts"] = Value::Null;
        let sorted = |mut v: Value| {
            v.sort_all_objects();
            v
        };
        assert_same(network, &sorted(was), &sorted(no_restart(&host)));
        let names = |v: &Value| {
            v["NetworkSettings"]["Networks"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&before), names(&after));
    }
}

#[tokio::test]
async fn a_candidate_is_made_once_and_a_half_made_one_is_finished() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let second = format!("{}-second", stage.name);
    let first = format!("{}-first", stage.name);
    docker(&["network", "create", &first]);
    docker(&["network", "create", &second]);
    let old = stage.run(&["--network", &first], &["sleep", "1000"]);
    docker(&["network", "connect", "--alias", "known", &second, &old]);
    let found = stage.preflight().await.unwrap();

    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    assert_eq!(
        stage.candidate(&found, 0, &new).await.unwrap(),
        candidate,
        "the answer was lost: adopted"
    );
    docker(&["network", "disconnect", &second, &candidate]);
    assert_eq!(
        stage.candidate(&found, 0, &new).await.unwrap(),
        candidate,
        "killed before the connect: finished"
    );
    let aliases = stage.inspect(&candidate).await["NetworkSettings"]["Networks"][&second]["Aliases"].clone();
    assert!(aliases.as_array().unwrap().contains(&json!("known")));
    docker(&["network", "connect", "bridge", &candidate]);
    let again = stage.candidate(&found, 0, &new).await.unwrap();
    assert_ne!(again, candidate, "one that is not the old one's like is made again");

    let observed = observe(&stage.engine, stage.rollout, &found.units).await.unwrap();
    assert_eq!(observed[0].old.as_ref().unwrap().id, old);
    assert_eq!(observed[0].old.as_ref().unwrap().state, ContainerState::Running);
    let seen: Vec<_> = observed[0].candidates.iter().map(|c| (c.id.clone(), c.state)).collect();
    assert_eq!(seen, [(again.clone(), ContainerState::Created)]);
    assert_eq!(observed[0].stranger, None);

    docker(&["rm", "-fv", &old]);
    let stranger = docker(&["create", "--name", &stage.name, "lowtide-test/busybox:1", "true"]);
    let observed = observe(&stage.engine, stage.rollout, &found.units).await.unwrap();
    assert_eq!(
        (observed[0].old.as_ref(), observed[0].stranger.as_ref()),
        (None, Some(&stranger))
    );
    let refused = verbs::rename(&stage.engine, &again, &stage.name).await;
    assert!(
        matches!(
            refused,
            Err(lowtide::clients::engine::error::EngineError::Conflict { .. })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_image_that_is_not_the_tested_one_makes_no_candidate() {
    let stage = Stage::new();
    let old_image = stage.image("old", OLD);
    stage.image("new", NEW);
    stage.run(&[], &["sleep", "1000"]);
    let found = stage.preflight().await.unwrap();
    let failure = stage.candidate(&found, 0, &old_image).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::DigestMismatch);
    let observed = observe(&stage.engine, stage.rollout, &found.units).await.unwrap();
    assert_eq!(observed[0].candidates, []);
}

#[tokio::test]
async fn a_compose_projects_services_are_found_in_order() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let make = |name: &str, service: &str, number: &str, oneoff: &str| {
        let project = &stage.name;
        let labels = [
            format!("com.docker.compose.project={project}"),
            format!("com.docker.compose.service={service}"),
            format!("com.docker.compose.container-number={number}"),
            format!("com.docker.compose.oneoff={oneoff}"),
            "com.docker.compose.config-hash=abc".to_owned(),
            "com.docker.compose.image=sha256:old".to_owned(),
        ];
        let (name, tag) = (format!("{project}-{name}"), stage.tag("old"));
        let mut args = vec!["run", "-d", "--name", &name];
        args.extend(labels.iter().flat_map(|l| ["--label", l]));
        args.extend([tag.as_str(), "sleep", "1000"]);
        docker(&args);
    };
    make("web-2", "web", "2", "False");
    make("web-10", "web", "10", "False");
    make("web-1", "web", "1", "False");
    make("cron-1", "cron", "1", "False");
    make("web-run-1", "web", "1", "True");
    make(&format!("web-1.prev.{}", stage.rollout.short()), "web", "1", "False");
    let select = |services: &[&str]| Select::Compose {
        project: stage.name.clone(),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
    };
    for (services, order) in [
        (vec!["web", "cron"], vec!["web-1", "web-2", "web-10", "cron-1"]),
        (vec!["cron", "web"], vec!["cron-1", "web-1", "web-2", "web-10"]),
        (vec!["cron"], vec!["cron-1"]),
        (vec![], vec!["cron-1", "web-1", "web-2", "web-10"]),
    ] {
        let found = find(&stage.engine, &select(&services)).await.unwrap();
        let prefix = format!("/{}-", stage.name);
        let names: Vec<_> = found
            .iter()
            .map(|c| c["Name"].as_str().unwrap().trim_start_matches(&prefix))
            .collect();
        assert_eq!(names, order, "{services:?}");
    }
    let found = preflight(&stage.engine, &target(select(&["cron"]))).await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    let labels = stage.inspect(&candidate).await["Config"]["Labels"].clone();
    assert_eq!(labels["com.docker.compose.config-hash"], "abc");
    assert_eq!(labels["com.docker.compose.image"], new.as_str());
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_field_name() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let refused = async |field: &str| {
        let failure = stage.preflight().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PreflightRefused, "{failure}");
        assert!(failure.detail.contains(field), "{failure}");
        docker(&["rm", "-fv", &stage.name]);
    };
    stage.run(&["--rm"], &["sleep", "1000"]);
    refused("HostConfig.AutoRemove").await;

    stage.run(&["--label", "com.docker.compose.oneoff=True"], &["sleep", "1000"]);
    refused("Config.Labels.com.docker.compose.oneoff").await;

    let other = format!("{}-other", stage.name);
    for (flag, field) in [("--network", "HostConfig.NetworkMode"), ("--pid", "HostConfig.PidMode")] {
        stage.run(&[], &["sleep", "1000"]);
        let to = format!("{flag}=container:{}", stage.name);
        docker(&["create", "--name", &other, &to, "lowtide-test/busybox:1", "true"]);
        refused(field).await;
        docker(&["rm", &other]);
    }
    stage.run(&[], &["sleep", "1000"]);
    docker(&[
        "create",
        "--name",
        &other,
        "--volumes-from",
        &stage.name,
        "lowtide-test/busybox:1",
        "true",
    ]);
    refused("HostConfig.VolumesFrom").await;
}

#[tokio::test]
async fn files_put_in_before_the_start_are_refused_and_written_ones_told() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let tag = stage.tag("old");
    let id = docker(&[
        "create",
        "--name",
        &stage.name,
        &tag,
        "sh",
        "-c",
        "echo x > /etc/made; echo 1 > /run/a.pid; exec sleep 1000",
    ]);
    // As compose does it: a tar, stamped now in whole seconds.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mtime(now);
    header.set_size(3);
    header.set_mode(0o440);
    archive.append_data(&mut header, "etc/app.conf", &b"a=b"[..]).unwrap();
    let archive = archive.into_inner().unwrap();
    docker_in(&["cp", "-", &format!("{id}:/")], &archive);
    docker(&["start", &id]);
    let failure = stage.preflight().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PreflightRefused);
    assert!(failure.detail.contains("configs (/etc/app.conf"), "{failure}");
    docker(&["rm", "-fv", &id]);

    let id = stage.run(
        &[],
        &["sh", "-c", "echo x > /etc/made; echo 1 > /run/a.pid; exec sleep 1000"],
    );
    while quiet(&["exec", &id, "cat", "/run/a.pid"]) != "1" {}
    let found = stage.preflight().await.unwrap();
    let told = format!(
        "{}: /etc/made was written inside the container and stays behind",
        stage.name
    );
    assert_eq!(found.warnings, [told]);
}

#[tokio::test]
async fn a_sick_or_missing_target_is_no_baseline() {
    let stage = Stage::new();
    stage.image("old", OLD);
    assert_eq!(stage.preflight().await.unwrap_err().kind, FailureKind::TargetMissing);
    let id = stage.run(&[], &["sleep", "1000"]);
    docker(&["pause", &id]);
    assert_eq!(stage.preflight().await.unwrap_err().kind, FailureKind::TargetSick);
    docker(&["rm", "-fv", &id]);
    let id = stage.run(
        &["--health-cmd=false", "--health-interval=100ms", "--health-retries=1"],
        &["sleep", "1000"],
    );
    wait_for(&stage, &id, "/State/Health/Status", &json!("unhealthy")).await;
    assert_eq!(stage.preflight().await.unwrap_err().kind, FailureKind::TargetSick);
    docker(&["rm", "-fv", &id]);
    // Not running is no sickness: it is made anew and not started.
    docker(&["create", "--name", &stage.name, &stage.tag("old")]);
    assert!(!stage.preflight().await.unwrap().units[0].was_running);
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
    let started = tokio::spawn({
        let (engine, late) = (stage.engine.clone(), late.clone());
        async move { verbs::start(&engine, &late).await }
    });
    // The first try has failed once the engine has written the reason down.
    for _ in 0..200 {
        if stage.inspect(&late).await["State"]["Error"] != "" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    verbs::stop(&stage.engine, &blocker, Some(jiff::SignedDuration::ZERO))
        .await
        .unwrap();
    started.await.unwrap().unwrap();
    assert_eq!(stage.inspect(&late).await["State"]["Status"], "running");
    verbs::start(&stage.engine, &late).await.unwrap();

    let name = format!("{}-broken", stage.name);
    let broken = docker(&["create", "--name", &name, &stage.tag("old"), "/no/such/command"]);
    let failure = verbs::start(&stage.engine, &broken).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::StartFailed);
    assert!(failure.detail.contains("/no/such/command"), "{failure}");
    assert_eq!(
        verbs::start(&stage.engine, "no-such-container").await.unwrap_err().kind,
        FailureKind::Diverged
    );
}

#[tokio::test]
async fn the_end_of_a_log_is_kept() {
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

fn release(reference: &str, image: &ImageId, digest: Option<&str>) -> Release {
    Release {
        run: RunId(ulid::Ulid::generate()),
        image: image.clone(),
        content: ContentDigest::try_from(image.to_string()).unwrap(),
        commit: "0".repeat(40),
        tag: "t".to_owned(),
        digest: digest.map(|d| d.parse().unwrap()),
        reference: reference.parse().unwrap(),
        change: None,
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn a_release_is_pulled_by_digest_and_must_be_the_tested_image() {
    let stage = Stage::new();
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY_AUTH").unwrap();
    let reference = format!("{registry}/{}:1", stage.name);
    let image = stage.image("old", OLD);
    let other = stage.image("new", NEW);
    docker(&["tag", image.as_str(), &reference]);
    let config = tempfile::tempdir().unwrap();
    let config = config.path().to_str().unwrap().to_owned();
    docker_in(
        &[
            "--config",
            &config,
            "login",
            "-u",
            "lowtide",
            "--password-stdin",
            &registry,
        ],
        b"tide-secret",
    );
    docker(&["--config", &config, "push", "-q", &reference]);
    let pinned = docker(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", &reference]);
    let digest = pinned.split_once('@').unwrap().1.to_owned();
    let auth = |password: &str| RegistryAuth {
        username: "lowtide".to_owned(),
        password: Secret::new(password.to_owned()),
    };
    let gone = || quiet(&["rmi", "-f", image.as_str()]);

    gone();
    let denied = pull(&stage.engine, &release(&reference, &image, Some(&digest)), None)
        .await
        .unwrap_err();
    assert_eq!(denied.kind, FailureKind::RegistryDenied, "{denied}");
    let denied = pull(
        &stage.engine,
        &release(&reference, &image, Some(&digest)),
        Some(&auth("wrong")),
    )
    .await
    .unwrap_err();
    assert_eq!(denied.kind, FailureKind::RegistryDenied, "{denied}");
    let pulled = pull(
        &stage.engine,
        &release(&reference, &image, Some(&digest)),
        Some(&auth("tide-secret")),
    )
    .await;
    assert_eq!(pulled.unwrap(), image);
    assert_eq!(
        docker(&["image", "inspect", "-f", "{{.Id}}", &reference]),
        image.as_str(),
        "tagged"
    );

    // The registry holds an image, and it is not the tested one.
    quiet(&["rmi", "-f", other.as_str()]);
    let wrong = pull(
        &stage.engine,
        &release(&reference, &other, Some(&digest)),
        Some(&auth("tide-secret")),
    )
    .await;
    assert_eq!(wrong.unwrap_err().kind, FailureKind::DigestMismatch);
    let unknown = format!("sha256:{}", "0".repeat(64));
    let unknown = pull(
        &stage.engine,
        &release(&reference, &other, Some(&unknown)),
        Some(&auth("tide-secret")),
    )
    .await;
    assert_eq!(unknown.unwrap_err().kind, FailureKind::DigestMismatch);

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
