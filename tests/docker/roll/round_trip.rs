//! Inspect → create → inspect: nothing is lost, over every field the Engine API describes.

use super::corpus::{NOT_HERE, cases};
use super::described::{fields, is_set, is_set_at, value_at};
use super::stage::*;
use lowtide::runtime::kinds::containers::body::{Mark, NewImage, create_body};
use lowtide::runtime::kinds::containers::name::next;
use lowtide::runtime::kinds::containers::snapshot::Snapshot;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Leaves of `value` that say something, by their path.
fn leaves(at: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(all) if !all.is_empty() => {
            for (key, value) in all {
                leaves(&format!("{at}.{key}"), value, found);
            }
        }
        Value::Array(all) if !all.is_empty() => {
            for (n, value) in all.iter().enumerate() {
                leaves(&format!("{at}.{n}"), value, found);
            }
        }
        // `{"80/tcp": {}}` says something by its keys.
        Value::Object(_) => drop(found.insert(at.to_owned(), json!({}))),
        _ if is_set(value) => drop(found.insert(at.to_owned(), value.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

/// What of an inspect body a new container must have again.
fn said(container: &Value) -> Value {
    let mut config = container["Config"].clone();
    let short = &container["Id"].as_str().unwrap()[..12];
    if config["Hostname"] == short {
        config["Hostname"] = json!("");
    }
    // Checked by the step itself, which needs to know what the reference means.
    config["Image"] = Value::Null;
    if let Some(labels) = config["Labels"].as_object_mut() {
        labels.retain(|key, _| !key.starts_with("io.lowtide."));
    }
    if let Some(env) = config["Env"].as_array_mut() {
        env.sort_by_key(ToString::to_string);
    }
    let mut host = container["HostConfig"].clone();
    // Restored after the switch.
    host["RestartPolicy"] = Value::Null;
    // The engine takes no device without them, so this is what an empty one has always meant.
    for device in host["Devices"].as_array_mut().into_iter().flatten() {
        if device["CgroupPermissions"] == "" {
            device["CgroupPermissions"] = json!("rwm");
        }
    }
    let mut networks = container["NetworkSettings"]["Networks"].clone();
    for (_, endpoint) in networks.as_object_mut().unwrap() {
        if let Some(aliases) = endpoint["Aliases"].as_array_mut() {
            aliases.retain(|a| a != short);
        }
        for key in ["DNSNames", "EndpointID"] {
            endpoint[key] = Value::Null;
        }
    }
    let mut mounted = Map::new();
    for mount in container["Mounts"].as_array().unwrap() {
        let mut mounted_here = mount.clone();
        // A volume asked for by name is shown as "z", one without a name as "": only SELinux reads it, and sees both alike.
        if mount["Type"] == "volume" && mount["Mode"] == "z" {
            mounted_here["Mode"] = json!("");
        }
        // Docker 28.5 does not say the name of a volume that `Binds` asked for without one; its folder has it.
        if mount["Type"] == "volume" && mount["Name"].is_null() {
            let folder = std::path::Path::new(mount["Source"].as_str().unwrap());
            mounted_here["Name"] = json!(folder.parent().unwrap().file_name().unwrap().to_str());
        }
        mounted.insert(mount["Destination"].as_str().unwrap().to_owned(), mounted_here);
    }
    json!({"Config": config, "HostConfig": host, "Networks": networks, "Mounted": mounted})
}

/// Volumes nobody named are named now: in what was asked for, and nowhere in what is mounted.
fn names_volumes(before: &mut Value, after: &Value) {
    let mounted = before["Mounted"].clone();
    let named_before = |target: &str| mounted[target]["Name"].clone();
    if let Some(binds) = before["HostConfig"]["Binds"].as_array_mut() {
        binds.retain(|b| b.as_str().unwrap().contains(':'));
    }
    let mut requested = before["HostConfig"]["Mounts"].as_array().cloned().unwrap_or_default();
    for mount in &mut requested {
        if mount["Type"] == "volume" && mount.get("Source").is_none() {
            mount["Source"] = named_before(mount["Target"].as_str().unwrap());
        }
    }
    for added in after["HostConfig"]["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .skip(requested.len())
    {
        let target = added["Target"].as_str().unwrap();
        assert_eq!(added["Source"], named_before(target), "{target}");
        requested.push(added.clone());
    }
    before["HostConfig"]["Mounts"] = json!(requested);
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "how much was compared is a result")]
async fn every_described_field_comes_through_a_roll_unchanged() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let same = stage.image("new", OLD);
    let (subnet, subnet6) = stage.network("front", true);
    let api = stage.api().await;
    let mut compared = 0;
    let mut lost = Vec::new();
    let mut befores = Vec::new();
    for (case, mut body) in cases(&stage, &subnet, &subnet6) {
        body["Image"] = json!(stage.tag("old"));
        let name = format!("{}-{}", stage.name, case.replace(' ', "-"));
        let id = stage.create(&name, &body).await;
        let found = stage
            .preflight_of(&name)
            .await
            .unwrap_or_else(|e| panic!("{case}: {e}"));
        let candidate = stage
            .candidate(&found, 0, &same)
            .await
            .unwrap_or_else(|e| panic!("{case}: {e}"));
        let (mut before, after) = (said(&stage.inspect(&id).await), said(&stage.inspect(&candidate).await));
        befores.push(before.clone());
        names_volumes(&mut before, &after);
        // A link's path has the holder's own name, which is the candidate's for now.
        if let Some(link) = before.pointer_mut("/HostConfig/Links/0") {
            *link = json!(
                link.as_str()
                    .unwrap()
                    .replace(&format!("/{name}/"), &format!("/{}/", next(&name, &stage.rollout)))
            );
        }
        let (mut was, mut is) = (BTreeMap::new(), BTreeMap::new());
        leaves(case, &before, &mut was);
        leaves(case, &after, &mut is);
        compared += was.len();
        lost.extend(
            was.iter()
                .filter(|(path, value)| is.get(*path) != Some(*value))
                .map(|(path, value)| format!("{path} = {value}")),
        );
        lost.extend(
            is.keys()
                .filter(|path| !was.contains_key(*path))
                .map(|path| format!("{path} (was not there)")),
        );
        // Volumes of both are removed with the second.
        docker(&["rm", "-fv", &candidate, &id]);
    }
    println!("API 1.{api}: {compared} fields compared, {} lost", lost.len());
    assert_eq!(lost, Vec::<String>::new());
    assert_all_are_set(&befores, api);
}

/// What the engine assigns, or derives from the rest.
const ASSIGNED: &[&str] = &[
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "DNSNames",
];

/// Fields the engine itself shows, described or not.
fn shown(befores: &[Value]) -> BTreeSet<String> {
    let parts = ["Config", "HostConfig"];
    let fields = parts.into_iter().flat_map(|part| {
        let all = befores.iter().filter_map(move |before| before[part].as_object());
        all.flat_map(move |fields| fields.keys().map(move |key| format!("{part}.{key}")))
    });
    fields.collect()
}

/// No field is missing from the corpus without a reason, and no reason is given for one that is there.
fn assert_all_are_set(befores: &[Value], api: u32) {
    let mut wrong = Vec::new();
    for field in fields().into_iter().chain(shown(befores)) {
        let assigned = field
            .strip_prefix("Networks.{}.")
            .is_some_and(|key| ASSIGNED.contains(&key));
        // Taken out above: always the tag of the case.
        if assigned
            || field == "Config.Image"
            || field == "HostConfig.RestartPolicy"
            || field.starts_with("HostConfig.RestartPolicy.")
        {
            continue;
        }
        let excused = NOT_HERE
            .iter()
            .any(|(path, since, _)| *path == field && since.is_none_or(|since| api < since));
        if befores.iter().any(|before| is_set_at(before, &field)) == excused {
            wrong.push(field);
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "set by no case, or excused and set");
}

#[test]
fn a_field_no_test_engine_takes_survives_in_the_body() {
    let mark = Mark {
        rollout: ulid_of_nothing(),
        unit: 0,
        instance: "i",
        term: 1,
        role: lowtide::model::rollout::Which::New,
    };
    let id = format!("sha256:{}", "c".repeat(64)).parse().unwrap();
    let image = NewImage {
        reference: "app:2",
        id: &id,
    };
    for (field, _, why) in NOT_HERE {
        // A value's own key in `value_at` is "key": the network's name.
        let given = value_at(field, json!("x"));
        let mut host = json!({"NetworkMode": "key"});
        let fields = given["HostConfig"].as_object().cloned().unwrap_or_default();
        host.as_object_mut().unwrap().extend(fields);
        let container = json!({
            "Id": "0".repeat(64), "Name": "/web", "Mounts": [], "HostConfig": host,
            "Config": given.get("Config").unwrap_or(&json!({})),
            "NetworkSettings": {"Networks": given.get("Networks").unwrap_or(&json!({}))},
        });
        let snapshot = Snapshot {
            container,
            image_config: json!({}),
            files: vec![],
            tag: None,
            api: 41,
            fixed_restart: false,
        };
        let mut body = create_body(&snapshot, &image, &mark).unwrap().body;
        body["Networks"] = body["NetworkingConfig"]["EndpointsConfig"].clone();
        let path = field.strip_prefix("Config.").unwrap_or(field);
        assert!(is_set_at(&body, path), "{field} ({why})");
    }
}

fn ulid_of_nothing() -> lowtide::model::name::RolloutId {
    "01J00000000000000000ABCDEF".parse().unwrap()
}
