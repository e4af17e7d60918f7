//! Is the new container what the old one was? Checked in the engine's own response, before the old one is touched.

use super::body::{is_own_hostname, limit_name};
use super::config;
use super::dependencies::link_for_create;
use super::json::{is_zero, list, object, short_id, text};
use super::network;
use super::snapshot::Snapshot;
use serde_json::Value;

/// Names of the fields whose user-set value the candidate does not have. Empty: nothing was lost.
///
/// Id, name, image, time, restart policy (restored after the switch), lowtide's labels and compose's image label differ by
/// design; volumes nobody named are now named.
#[must_use]
pub(super) fn lost_fields(snapshot: &Snapshot, candidate: &Value) -> Vec<String> {
    let mut lost = Vec::new();
    lost_config(snapshot, candidate, &mut lost);
    lost_host(&snapshot.container, candidate, &mut lost);
    lost.extend(lost_networks(snapshot, candidate));
    lost_mounts(&snapshot.container, candidate, &mut lost);
    lost
}

fn lost_config(snapshot: &Snapshot, candidate: &Value, lost: &mut Vec<String>) {
    let old = snapshot.container.get("Config").unwrap_or(&Value::Null);
    for (key, value) in config::user_set(old, &snapshot.image_config) {
        let path = format!("Config.{key}");
        let now = candidate.pointer(&format!("/Config/{key}")).unwrap_or(&Value::Null);
        match key.as_str() {
            "Env" => {
                let own = |entry: &&Value| is_own_hostname(entry, &snapshot.container);
                let given = list(&value, "").iter().filter(|entry| !own(entry));
                for entry in given.filter(|e| !list(now, "").contains(e)) {
                    // The name only: values may be secrets.
                    let name = entry.as_str().and_then(|e| e.split('=').next()).unwrap_or_default();
                    lost.push(format!("{path}.{name}"));
                }
            }
            "Labels" => {
                for (label, value) in value.as_object().into_iter().flatten() {
                    let ours = label.starts_with("io.lowtide.")
                        || matches!(
                            label.as_str(),
                            "com.docker.compose.image" | "com.docker.compose.replace"
                        );
                    if !ours && now.get(label) != Some(value) {
                        lost.push(format!("{path}.{label}"));
                    }
                }
            }
            // `{"80/tcp": {}}` means by its keys alone.
            "ExposedPorts" | "Volumes" => {
                let missing = value.as_object().into_iter().flatten().map(|(key, _)| key);
                let missing = missing.filter(|key| now.get(key.as_str()).is_none());
                lost.extend(missing.map(|key| format!("{path}.{key}")));
            }
            "Healthcheck" => differ(&path, &value, now, true, lost),
            // `[""]` asks for none, which then shows as null.
            "Entrypoint" if value == serde_json::json!([""]) => differ(&path, &Value::Null, now, false, lost),
            _ => differ(&path, &value, now, false, lost),
        }
    }
    let hostname = text(&snapshot.container, "/Config/Hostname");
    if hostname != short_id(&snapshot.container)
        && text(candidate, "/Config/Hostname") != hostname
        && text(candidate, "/HostConfig/UTSMode") != "host"
        // In another's network it has the other's name.
        && !text(candidate, "/HostConfig/NetworkMode").starts_with("container:")
    {
        lost.push("Config.Hostname".to_owned());
    }
}

fn lost_host(old: &Value, candidate: &Value, lost: &mut Vec<String>) {
    for (key, value) in object(old, "/HostConfig").into_iter().flatten() {
        let now = candidate.pointer(&format!("/HostConfig/{key}")).unwrap_or(&Value::Null);
        let path = format!("HostConfig.{key}");
        match key.as_str() {
            // Compared as what is really mounted.
            "RestartPolicy" | "Mounts" | "Binds" => {}
            // `/other:/me/alias`: `me` has another name for now.
            "Links" => {
                let plain = |links: &Value| -> Vec<String> {
                    let links = list(links, "").iter().filter_map(Value::as_str);
                    links.map(link_for_create).collect()
                };
                if plain(value) != plain(now) {
                    lost.push(path);
                }
            }
            "Devices" => {
                let mut given = value.clone();
                for device in given.as_array_mut().into_iter().flatten() {
                    if text(device, "/CgroupPermissions").is_empty() {
                        device["CgroupPermissions"] = serde_json::json!("rwm");
                    }
                }
                differ(&path, &given, now, false, lost);
            }
            "Ulimits" => {
                let named = |limits: &Value| {
                    let mut limits = limits.clone();
                    for limit in limits.as_array_mut().into_iter().flatten() {
                        limit["Name"] = serde_json::json!(limit_name(text(limit, "/Name")));
                    }
                    limits
                };
                differ(&path, &named(value), &named(now), false, lost);
            }
            _ => differ(&path, value, now, false, lost),
        }
    }
}

/// The part of [`lost_fields`] that is known only once it is connected everywhere.
pub(super) fn lost_networks(snapshot: &Snapshot, candidate: &Value) -> Vec<String> {
    let mut lost = Vec::new();
    let now = network::endpoints(candidate, snapshot.api);
    let before = network::endpoints(&snapshot.container, snapshot.api);
    for (name, endpoint) in &before {
        let path = format!("NetworkSettings.Networks.{name}");
        let Some((_, now)) = now.iter().find(|(n, _)| n == name) else {
            lost.push(path);
            continue;
        };
        for (key, value) in endpoint.as_object().into_iter().flatten() {
            let current = now.get(key).unwrap_or(&Value::Null);
            let path = format!("{path}.{key}");
            if key == "Aliases" {
                if !list(value, "").iter().all(|a| list(current, "").contains(a)) {
                    lost.push(path);
                }
            } else {
                differ(&path, value, current, false, &mut lost);
            }
        }
    }
    for (name, _) in now.iter().filter(|(n, _)| before.iter().all(|(b, _)| b != n)) {
        lost.push(format!("NetworkSettings.Networks.{name} (was not connected)"));
    }
    lost
}

fn lost_mounts(old: &Value, candidate: &Value, lost: &mut Vec<String>) {
    for mount in list(old, "/Mounts") {
        let target = text(mount, "/Destination");
        let now = list(candidate, "/Mounts")
            .iter()
            .find(|m| text(m, "/Destination") == target);
        let same = |key: &str| now.is_some_and(|n| n.get(key) == mount.get(key));
        if !["Type", "Name", "Source", "RW", "Propagation"].into_iter().all(same) {
            lost.push(format!("Mounts.{target}"));
        }
    }
}

/// Adds the paths at which `now` does not have what `before` had. With `more_is_fine`, keys only `now` has are no loss.
fn differ(path: &str, before: &Value, now: &Value, more_is_fine: bool, lost: &mut Vec<String>) {
    if before == now || (is_zero(before) && is_zero(now)) {
        return;
    }
    if let (Some(b), Some(n)) = (before.as_object(), now.as_object()) {
        for (key, value) in b {
            let current = n.get(key).unwrap_or(&Value::Null);
            differ(&format!("{path}.{key}"), value, current, more_is_fine, lost);
        }
        if !more_is_fine {
            for (key, value) in n.iter().filter(|(k, v)| !b.contains_key(*k) && !is_zero(v)) {
                differ(&format!("{path}.{key}"), &Value::Null, value, false, lost);
            }
        }
        return;
    }
    lost.push(path.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot() -> Snapshot {
        Snapshot {
            container: json!({
                "Id": "0123456789abcdef", "Name": "/web",
                "Config": {"Hostname": "0123456789ab", "Env": ["TOKEN=secret", "PATH=/bin"], "User": "app", "Volumes": {"/x": {}},
                    "Labels": {"team": "shop", "io.lowtide.instance": "i"}},
                "HostConfig": {"NetworkMode": "a", "Future": {"Deep": [1]}, "RestartPolicy": {"Name": "always"}, "Memory": 0},
                "Mounts": [{"Type": "volume", "Name": "v", "Source": "/v", "Destination": "/x", "RW": true}],
                "NetworkSettings": {"Networks": {"a": {"Aliases": ["web", "0123456789ab"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}},
            }),
            image_config: json!({"Env": ["PATH=/bin"]}),
            files: vec![],
            tag: None,
            api: 41,
            fixed_restart: false,
        }
    }

    #[test]
    fn the_container_itself_has_lost_nothing() {
        assert_eq!(lost_fields(&snapshot(), &snapshot().container), Vec::<String>::new());
    }

    #[test]
    fn each_loss_is_named_and_no_value_is_shown() {
        let mut now = snapshot().container;
        now["Config"]["Env"] = json!(["PATH=/bin"]);
        now["Config"]["User"] = json!("");
        now["Config"]["Labels"] = json!({"team": "other"});
        now["Config"]["Volumes"] = Value::Null;
        now["HostConfig"]["Future"]["Deep"] = json!([2]);
        now["HostConfig"]["Memory"] = json!(5);
        now["Mounts"][0]["Name"] = json!("w");
        now["NetworkSettings"]["Networks"] = json!({"a": {"Aliases": ["x"]}, "b": {}});
        insta::assert_snapshot!(lost_fields(&snapshot(), &now).join("\n"), @r"
        Config.Env.TOKEN
        Config.User
        Config.Volumes./x
        Config.Labels.team
        HostConfig.Future.Deep
        HostConfig.Memory
        NetworkSettings.Networks.a.Aliases
        NetworkSettings.Networks.a.IPAMConfig
        NetworkSettings.Networks.b (was not connected)
        Mounts./x
        ");
    }

    #[test]
    fn another_word_for_the_same_limit_is_no_loss() {
        let mut before = snapshot();
        before.container["HostConfig"]["Ulimits"] = json!([{"Name": "RLIMIT_NOFILE", "Soft": 1, "Hard": 2}]);
        before.container["Config"]["Env"] = json!(["HOSTNAME=0123456789ab"]);
        let mut now = before.container.clone();
        now["Config"]["Env"] = json!([]);
        now["HostConfig"]["Ulimits"] = json!([{"Name": "nofile", "Soft": 1, "Hard": 2}]);
        assert_eq!(lost_fields(&before, &now), Vec::<String>::new());
        now["HostConfig"]["Ulimits"][0]["Soft"] = json!(3);
        assert_eq!(lost_fields(&before, &now).len(), 1);
    }
}
