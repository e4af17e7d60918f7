//! From the old container to the new one and back.

use super::stage::*;
use lowtide::kinds::containers::model::RestartPolicy;
use lowtide::model::container::ContainerState;
use lowtide::model::failure::FailureKind;
use lowtide::runtime::kinds::containers::observe::observe;
use lowtide::runtime::kinds::containers::{name, verbs};
use serde_json::{Value, json};

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
    let (bind, named) = ("/srv:/host:ro".to_owned(), format!("{volume}:/named"));
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
        for key in ["EndpointID", "IPAddress", "MacAddress", "DNSNames"] {
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

/// Everything of the host side and the networks is as it was.
fn assert_host_is_preserved(before: &Value, after: &Value) {
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
    let front = format!("{}-front", before["Name"].as_str().unwrap().trim_start_matches('/'));
    assert_eq!(
        was[&front]["IPAddress"], is[&front]["IPAddress"],
        "the static address moved with it"
    );
}

/// What the user set is as it was; what was left to the image is the new one's.
fn assert_config_is_three_way(before: &Value, after: &Value, image: &Value, tag: &str) {
    let mut config = before["Config"].clone();
    config["Image"] = json!(tag);
    // Set by the user: kept. Left to the image: the new one's.
    let brought = image["Config"]["Env"].clone();
    assert!(brought.as_array().unwrap().contains(&json!("COLOUR=green")));
    let brought = brought.as_array().unwrap().iter().filter(|e| **e != "GREETING=two");
    let set = ["GREETING=mine", "TOKEN=s3cret", "FROM_FILE=a b=c"].map(Value::from);
    config["Env"] = brought.cloned().chain(set).collect();
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

    assert_host_is_preserved(&before, &after);
    let image = stage.inspect_image(&new).await;
    assert_config_is_three_way(&before, &after, &image, &stage.tag("new"));
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
