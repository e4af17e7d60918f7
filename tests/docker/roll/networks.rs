//! Addresses, aliases and networks of a rolled container.

use super::stage::*;
use lowtide::model::failure::FailureKind;
use lowtide::runtime::kinds::containers::verbs;
use serde_json::{Value, json};

async fn endpoint(stage: &Stage, container: &str, network: &str) -> Value {
    let name = format!("{}-{network}", stage.name);
    stage.inspect(container).await["NetworkSettings"]["Networks"][name].clone()
}

async fn create(stage: &Stage, mac: Option<&str>, first: &str, endpoints: Value) -> String {
    let mut body = json!({
        "Image": stage.tag("old"), "Cmd": ["sleep", "1000"], "StopTimeout": 0,
        "HostConfig": {"NetworkMode": first}, "NetworkingConfig": {"EndpointsConfig": endpoints},
    });
    if let Some(mac) = mac {
        body["MacAddress"] = json!(mac);
    }
    stage.create(&stage.name, &body).await
}

#[tokio::test]
async fn static_addresses_and_a_given_mac_move_with_the_container_and_are_taken_at_the_start_only() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let (v4, v6) = stage.network("front", true);
    let front = format!("{}-front", stage.name);
    let mac = "02:11:22:33:44:55";
    let addresses = json!({"IPv4Address": format!("{v4}.99"), "IPv6Address": format!("{v6}99")});
    let endpoints = json!({&front: {"IPAMConfig": addresses, "MacAddress": mac}});
    let old = create(&stage, Some(mac), &front, endpoints).await;
    docker(&["start", &old]);
    let found = stage.preflight().await.unwrap();
    // Made beside the running one, with the same addresses.
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    let failure = verbs::start(&stage.engine, &candidate).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::StartFailed);
    assert!(failure.detail.contains("Address already in use"), "{failure}");

    verbs::stop(&stage.engine, &old, None).await.unwrap();
    verbs::start(&stage.engine, &candidate).await.unwrap();
    let now = endpoint(&stage, &candidate, "front").await;
    for (key, value) in [
        ("IPAddress", format!("{v4}.99")),
        ("GlobalIPv6Address", format!("{v6}99")),
        ("MacAddress", mac.to_owned()),
    ] {
        assert_eq!(now[key], value, "{key}");
    }
    // And back.
    verbs::stop(&stage.engine, &candidate, None).await.unwrap();
    verbs::start(&stage.engine, &old).await.unwrap();
    assert_eq!(endpoint(&stage, &old, "front").await["IPAddress"], format!("{v4}.99"));
}

#[tokio::test]
async fn a_generated_mac_is_generated_anew() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    stage.network("front", false);
    let front = format!("{}-front", stage.name);
    let old = create(&stage, None, &front, json!({})).await;
    docker(&["start", &old]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    // Both run: no two may have one address.
    verbs::start(&stage.engine, &candidate).await.unwrap();
    let (was, is) = (
        endpoint(&stage, &old, "front").await,
        endpoint(&stage, &candidate, "front").await,
    );
    assert_ne!(was["IPAddress"], is["IPAddress"]);
    assert_ne!(was["MacAddress"], is["MacAddress"]);
    assert_ne!(is["MacAddress"], "");
}

#[tokio::test]
async fn several_networks_keep_aliases_addresses_and_each_mac_the_engine_honours() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let all_at_create = stage.api().await >= 44;
    stage.network("a-front", false);
    let (v4, _) = stage.network("b-back", false);
    stage.network("c-side", false);
    let [front, back, side] = ["a-front", "b-back", "c-side"].map(|n| format!("{}-{n}", stage.name));
    let mac = "02:aa:bb:cc:dd:ee";
    let of_back = json!({"IPAMConfig": {"IPv4Address": format!("{v4}.77")}, "Aliases": ["db"], "MacAddress": mac});
    let endpoints = if all_at_create {
        json!({&front: {"Aliases": ["shop"]}, &back: of_back})
    } else {
        json!({&front: {"Aliases": ["shop"]}})
    };
    // The first network is not the first by name.
    let old = create(&stage, None, &front, endpoints).await;
    if !all_at_create {
        docker(&[
            "network",
            "connect",
            "--alias",
            "db",
            "--ip",
            &format!("{v4}.77"),
            &back,
            &old,
        ]);
    }
    docker(&["start", &old]);
    docker(&["network", "connect", "--alias", "late", &side, &old]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    verbs::stop(&stage.engine, &old, None).await.unwrap();
    verbs::start(&stage.engine, &candidate).await.unwrap();
    for (network, alias) in [("a-front", "shop"), ("b-back", "db"), ("c-side", "late")] {
        let aliases = endpoint(&stage, &candidate, network).await["Aliases"].clone();
        assert!(
            aliases.as_array().unwrap().contains(&json!(alias)),
            "{network}: {aliases}"
        );
    }
    let now = endpoint(&stage, &candidate, "b-back").await;
    assert_eq!(now["IPAddress"], format!("{v4}.77"));
    // Engines before API 1.44 have one MAC address for a container, of its first network. From API 1.48 on (Docker 28) they make up
    // others at random, and do not say which ones were given (docs/roadmap.md).
    let passed_on = all_at_create && stage.api().await < 48;
    assert_eq!(now["MacAddress"] == mac, passed_on);
}

#[tokio::test]
async fn a_network_made_again_under_its_name_is_found_by_name_though_the_container_says_its_id() {
    for by_id in [false, true] {
        let stage = Stage::new();
        stage.image("old", OLD);
        let new = stage.image("new", NEW);
        stage.network("front", false);
        let front = format!("{}-front", stage.name);
        let network = docker(&["network", "inspect", "-f", "{{.Id}}", &front]);
        let mode = if by_id { &network } else { &front };
        let flags = ["--network", mode, "--network-alias", "shop"];
        let tag = stage.tag("old");
        let old = docker(&[&["create", "--name", &stage.name], &flags[..], &[&tag, "sleep", "1000"]].concat());
        docker(&["start", &old]);
        let preflight = stage.preflight().await.unwrap();
        let candidate = stage.candidate(&preflight, 0, &new).await.unwrap();
        assert_eq!(
            &stage.inspect(&candidate).await["HostConfig"]["NetworkMode"],
            mode,
            "an id that means something stays"
        );
        docker(&["rm", "-fv", &candidate]);

        docker(&["stop", "-t", "0", &old]);
        docker(&["network", "rm", &front]);
        stage.network("front", false);
        let refused = verbs::start(&stage.engine, &old).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::StartFailed);
        assert!(refused.detail.contains("not found"), "{refused}");
        let found = stage.preflight().await.unwrap();
        let candidate = stage.candidate(&found, 0, &new).await.unwrap();
        verbs::start(&stage.engine, &candidate).await.unwrap();
        let now = endpoint(&stage, &candidate, "front").await;
        assert_ne!(now["NetworkID"], network);
        assert!(now["Aliases"].as_array().unwrap().contains(&json!("shop")));
    }
}
