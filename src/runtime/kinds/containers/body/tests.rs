use super::*;
use lowtide_model::rollout::Which;
use proptest::prelude::*;

const OLD_ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A plain container of `web`, changed by `change`: pointers and their values.
fn made(change: &[(&str, Value)]) -> Result<CreateBody, Vec<Refusal>> {
    let mut container = json!({
        "Id": OLD_ID, "Name": "/web", "Mounts": [],
        "Config": {"Hostname": "0123456789ab", "Image": "app:1", "Labels": {}},
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
        "NetworkSettings": {"Networks": {"bridge": {"Aliases": null, "IPAddress": "172.17.0.2", "MacAddress": "02:42:ac:11:00:02"}}},
    });
    for (pointer, value) in change {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        container.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    let snapshot = Snapshot {
        container,
        image_config: json!({"Env": ["PATH=/bin"], "Volumes": {"/data": {}}}),
        files: vec![],
        tag: None,
        api: 41,
        fixed_restart: false,
    };
    let id: ImageId = format!("sha256:{}", "c".repeat(64)).parse().unwrap();
    let mark = Mark {
        rollout: "01J00000000000000000ABCDEF".parse().unwrap(),
        unit: 2,
        instance: "i1",
        term: 7,
        role: Which::New,
    };
    create_body(
        &snapshot,
        &NewImage {
            reference: "registry.example.org/app:2",
            id: &id,
        },
        &mark,
    )
}

fn at(change: &[(&str, Value)], pointer: &str) -> Value {
    made(change)
        .unwrap()
        .body
        .pointer(pointer)
        .cloned()
        .unwrap_or(Value::Null)
}

#[test]
fn a_plain_container_stays_plain() {
    let made = made(&[]).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&made.body).unwrap(), @r#"
    {
      "Image": "registry.example.org/app:2",
      "Labels": {
        "io.lowtide.rollout": "01J00000000000000000ABCDEF",
        "io.lowtide.unit": "2",
        "io.lowtide.instance": "i1",
        "io.lowtide.term": "7"
      },
      "HostConfig": {
        "NetworkMode": "default",
        "RestartPolicy": {
          "Name": "no",
          "MaximumRetryCount": 0
        }
      }
    }
    "#);
    assert_eq!((made.name.as_str(), made.extra_networks), ("web.next.00abcdef", vec![]));
}

#[test]
fn host_config_is_preserved_but_for_the_restart_policy() {
    let host = json!({
        "NetworkMode": "default", "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "FutureField": {"Deep": [1, null]},
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "Binds": ["/srv:/srv:ro", "named:/named"],
        "Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": ""}],
    });
    let mut expected = host.clone();
    expected["RestartPolicy"] = json!({"Name": "no", "MaximumRetryCount": 0});
    expected["Devices"][0]["CgroupPermissions"] = json!("rwm");
    assert_eq!(at(&[("/HostConfig", host)], "/HostConfig"), expected);
}

#[test]
fn volumes_nobody_named_are_carried_over_by_name() {
    let volume = |name: &str, target: &str, rw: bool| json!({"Type": "volume", "Name": name, "Source": "/v", "Destination": target, "Driver": "local", "RW": rw});
    let host = json!({
        "NetworkMode": "default", "Binds": ["mine:/named:ro", "/alone"],
        "Mounts": [{"Type": "volume", "Target": "/asked", "Future": 1}, {"Type": "volume", "Source": "own", "Target": "/own/"}],
    });
    let mut other = volume("e", "/other", true);
    other["Driver"] = json!("nfs");
    let mounts = json!([
        volume("a", "/data", true), volume("mine", "/named", false), volume("b", "/asked", true), volume("own", "/own", true),
        volume("c", "/alone", true), volume("d", "/readonly", false), other,
        {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
    ]);
    let host = at(&[("/HostConfig", host), ("/Mounts", mounts)], "/HostConfig");
    assert_eq!(host["Binds"], json!(["mine:/named:ro"]));
    assert_eq!(
        host["Mounts"],
        json!([
            {"Type": "volume", "Target": "/asked", "Future": 1, "Source": "b"},
            {"Type": "volume", "Source": "own", "Target": "/own/"},
            {"Type": "volume", "Source": "a", "Target": "/data"},
            {"Type": "volume", "Source": "c", "Target": "/alone"},
            {"Type": "volume", "Source": "d", "Target": "/readonly", "ReadOnly": true},
            {"Type": "volume", "Source": "e", "Target": "/other", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}},
        ])
    );
}

#[test]
fn a_hostname_is_preserved_where_the_user_gave_one() {
    for (change, hostname) in [
        (vec![], Value::Null),
        (vec![("/Config/Hostname", json!("db1"))], json!("db1")),
        (
            vec![
                ("/Config/Hostname", json!("db1")),
                ("/HostConfig/UTSMode", json!("host")),
            ],
            Value::Null,
        ),
        (
            vec![
                ("/Config/Hostname", json!("db1")),
                ("/HostConfig/NetworkMode", json!("container:x")),
            ],
            Value::Null,
        ),
    ] {
        assert_eq!(at(&change, "/Hostname"), hostname, "{change:?}");
    }
}

#[test]
fn every_endpoint_is_preserved_without_what_the_engine_assigned() {
    let networks = json!({
        "back": {"Aliases": ["db", "0123456789ab"], "NetworkID": "n1", "IPAddress": "10.0.0.5", "DriverOpts": {"o": "1"}, "GwPriority": 5},
        "front": {
            "IPAMConfig": {"IPv4Address": "10.1.0.9"}, "Aliases": ["web", "0123456789ab"], "Links": null,
            "IPAddress": "10.1.0.9", "MacAddress": "02:42:0a:01:00:09", "DNSNames": ["web"], "EndpointID": "e",
        },
    });
    let change = [
        ("/HostConfig/NetworkMode", json!("front")),
        ("/NetworkSettings/Networks", networks),
    ];
    assert_eq!(
        at(&change, "/NetworkingConfig"),
        json!({"EndpointsConfig": {"front": {"IPAMConfig": {"IPv4Address": "10.1.0.9"}, "Aliases": ["web"]}}})
    );
    assert_eq!(
        made(&change).unwrap().extra_networks,
        [(
            "back".to_owned(),
            json!({"Aliases": ["db"], "DriverOpts": {"o": "1"}, "GwPriority": 5})
        )]
    );
}

#[test]
fn modes_without_endpoints_send_none() {
    for mode in ["host", "none", "container:abc"] {
        let change = [
            ("/HostConfig/NetworkMode", json!(mode)),
            ("/NetworkSettings/Networks", json!({mode: {"Aliases": ["x"]}})),
        ];
        assert_eq!(at(&change, "/NetworkingConfig"), Value::Null, "{mode}");
    }
}

#[test]
fn a_network_named_by_id_is_still_the_first() {
    let networks = json!({"a": {"NetworkID": "1".repeat(64), "Aliases": ["x"]}, "b": {"NetworkID": "2".repeat(64), "Aliases": ["y"]}});
    let change = [
        ("/HostConfig/NetworkMode", json!("2".repeat(64))),
        ("/NetworkSettings/Networks", networks),
    ];
    assert_eq!(
        at(&change, "/NetworkingConfig/EndpointsConfig"),
        json!({"b": {"Aliases": ["y"]}})
    );
}

#[test]
fn a_mac_address_is_preserved_only_where_the_user_set_it() {
    let set = [("/Config/MacAddress", json!("02:11:22:33:44:55"))];
    assert_eq!(
        at(&set, "/NetworkingConfig/EndpointsConfig/bridge"),
        json!({"MacAddress": "02:11:22:33:44:55"})
    );
    assert_eq!(at(&[], "/NetworkingConfig"), Value::Null);
}

#[test]
fn compose_still_knows_it() {
    let labels = json!({
        "com.docker.compose.project": "p", "com.docker.compose.config-hash": "h", "com.docker.compose.image": "sha256:old",
        "com.docker.compose.replace": "x", "io.lowtide.rollout": "an earlier one",
    });
    let labels = at(&[("/Config/Labels", labels)], "/Labels");
    insta::assert_snapshot!(serde_json::to_string_pretty(&labels).unwrap(), @r#"
    {
      "com.docker.compose.project": "p",
      "com.docker.compose.config-hash": "h",
      "com.docker.compose.image": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
      "io.lowtide.rollout": "01J00000000000000000ABCDEF",
      "io.lowtide.unit": "2",
      "io.lowtide.instance": "i1",
      "io.lowtide.term": "7"
    }
    "#);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|m| m.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn what_nobody_knows_yet_stays_in_the_body(key in "Zz[A-Za-z]{0,6}", of_config in any_json(), of_host in any_json(), of_endpoint in any_json()) {
        let networks = json!({"n": {&key: of_endpoint}});
        let change = [
            (format!("/Config/{key}"), of_config.clone()),
            (format!("/HostConfig/{key}"), of_host.clone()),
            ("/HostConfig/NetworkMode".to_owned(), json!("n")),
            ("/NetworkSettings/Networks".to_owned(), networks),
        ];
        let change: Vec<(&str, Value)> = change.iter().map(|(at, value)| (at.as_str(), value.clone())).collect();
        let body = made(&change).unwrap().body;
        prop_assert_eq!(&body[&key], &of_config);
        prop_assert_eq!(&body["HostConfig"][&key], &of_host);
        if !is_zero(&of_endpoint) {
            prop_assert_eq!(&body["NetworkingConfig"]["EndpointsConfig"]["n"][&key], &of_endpoint);
        }
    }
}

#[test]
fn what_cannot_be_preserved_is_refused_by_its_name() {
    for (pointer, value, field) in [
        (
            "/Config/Labels",
            json!({"com.docker.swarm.task.id": "t"}),
            "Config.Labels.com.docker.swarm.task.id",
        ),
        (
            "/Config/Labels",
            json!({"io.kubernetes.pod.name": "p"}),
            "Config.Labels.io.kubernetes.pod.name",
        ),
        (
            "/Config/Labels",
            json!({"com.docker.compose.oneoff": "True"}),
            "Config.Labels.com.docker.compose.oneoff",
        ),
        ("/HostConfig", Value::Null, "Config"),
    ] {
        let refused = made(&[(pointer, value)]).unwrap_err();
        assert_eq!(refused.iter().map(|r| r.field.as_str()).collect::<Vec<_>>(), [field]);
    }
}

#[test]
fn what_podman_shows_in_its_own_words_is_said_in_the_apis() {
    let limits = json!([{"Name": "RLIMIT_NOFILE", "Soft": 1024, "Hard": 1024}, {"Name": "core", "Soft": 0, "Hard": 0}]);
    let env = json!(["HOSTNAME=0123456789ab", "A=b", "HOSTNAME=mine"]);
    let change = [("/HostConfig/Ulimits", limits), ("/Config/Env", env)];
    assert_eq!(at(&change, "/HostConfig/Ulimits/0/Name"), json!("nofile"));
    assert_eq!(at(&change, "/HostConfig/Ulimits/1/Name"), json!("core"));
    assert_eq!(at(&change, "/Env"), json!(["A=b", "HOSTNAME=mine"]));
}
