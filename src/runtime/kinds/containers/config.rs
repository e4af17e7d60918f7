//! What the user set of a container's `Config`: the container's minus what its image brought.
//!
//! The rule is the reverse of the engine's own (moby `daemon/commit.go`, `merge`): the engine fills an unset field, key or
//! healthcheck part from the image. A value that equals the image's old default counts as default, so the new image's
//! default replaces it.

use super::json::{is_zero, list};
use serde_json::{Map, Value, json};

/// Fields of `Config` to send on create, `Image` and `Hostname` left out.
pub(super) fn user_set(container: &Value, image: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in container.as_object().into_iter().flatten() {
        let default = image.get(key).unwrap_or(&Value::Null);
        let own = match key.as_str() {
            "Image" | "Hostname" | "Entrypoint" | "Cmd" | "ArgsEscaped" => None,
            "Env" => list_minus(value, default),
            "Labels" | "ExposedPorts" | "Volumes" => map_minus(value, default),
            "Healthcheck" => healthcheck(value, default),
            "WorkingDir" if value.as_str() == Some("/") && is_zero(default) => None,
            "User" | "WorkingDir" | "StopSignal" | "StopTimeout" | "Shell" => (value != default).then(|| value.clone()),
            _ => Some(value.clone()),
        };
        if let Some(own) = own {
            out.insert(key.clone(), own);
        }
    }
    command(container, image, &mut out);
    out
}

/// Cmd counts as default only if Entrypoint is default too: the engine drops the image's Cmd under a user's Entrypoint.
fn command(container: &Value, image: &Value, out: &mut Map<String, Value>) {
    let (entrypoint, cmd) = (list(container, "/Entrypoint"), list(container, "/Cmd"));
    // An Entrypoint given with the image's own text still shows: it took the image's Cmd away.
    let took_cmd_away = cmd.is_empty() && !list(image, "/Cmd").is_empty();
    let entrypoint_is_default = entrypoint == list(image, "/Entrypoint") && !took_cmd_away;
    if entrypoint_is_default && cmd == list(image, "/Cmd") {
        return;
    }
    if !entrypoint_is_default {
        // moby reads `[""]` as "none, not even the image's" and then shows null.
        let sent = if entrypoint.is_empty() {
            json!([""])
        } else {
            json!(entrypoint)
        };
        out.insert("Entrypoint".to_owned(), sent);
    }
    if !cmd.is_empty() {
        out.insert("Cmd".to_owned(), json!(cmd));
    }
    if let Some(escaped) = container.get("ArgsEscaped") {
        out.insert("ArgsEscaped".to_owned(), escaped.clone());
    }
}

fn list_minus(value: &Value, default: &Value) -> Option<Value> {
    let defaults = list(default, "");
    let remaining: Vec<&Value> = list(value, "").iter().filter(|v| !defaults.contains(v)).collect();
    (!remaining.is_empty()).then(|| json!(remaining))
}

fn map_minus(value: &Value, default: &Value) -> Option<Value> {
    let remaining: Map<String, Value> = value
        .as_object()?
        .iter()
        .filter(|(k, v)| default.get(k.as_str()) != Some(v))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    (!remaining.is_empty()).then_some(Value::Object(remaining))
}

fn healthcheck(value: &Value, default: &Value) -> Option<Value> {
    if value.is_null() {
        return (!is_zero(default)).then(|| json!({"Test": ["NONE"]}));
    }
    map_minus(value, default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image() -> Value {
        json!({
            "Env": ["PATH=/bin", "MODE=plain"], "Entrypoint": ["/entry"], "Cmd": ["serve"], "User": "app",
            "WorkingDir": "/app", "Labels": {"vendor": "x"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}},
            "StopSignal": "SIGQUIT", "Healthcheck": {"Test": ["CMD", "check"], "Interval": 5},
        })
    }

    /// `image` as a container made from it without any option, changed by `change`.
    fn sent_config(change: &Value) -> Value {
        let mut container = image();
        for (key, value) in change.as_object().unwrap() {
            container[key] = value.clone();
        }
        Value::Object(user_set(&container, &image()))
    }

    #[test]
    fn nothing_set_means_nothing_sent() {
        assert_eq!(sent_config(&json!({})), json!({}));
    }

    #[test]
    fn only_what_the_user_set_is_sent() {
        for (change, sent) in [
            (
                json!({"Env": ["A=1", "PATH=/bin", "MODE=plain"]}),
                json!({"Env": ["A=1"]}),
            ),
            (
                json!({"Env": ["MODE=fast", "PATH=/bin"]}),
                json!({"Env": ["MODE=fast"]}),
            ),
            (json!({"Env": ["MODE", "PATH=/bin"]}), json!({"Env": ["MODE"]})),
            (
                json!({"Labels": {"vendor": "x", "mine": "1"}}),
                json!({"Labels": {"mine": "1"}}),
            ),
            (json!({"Labels": {"vendor": "me"}}), json!({"Labels": {"vendor": "me"}})),
            (
                json!({"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}}),
                json!({"ExposedPorts": {"81/tcp": {}}}),
            ),
            (
                json!({"Volumes": {"/data": {}, "/more": {}}}),
                json!({"Volumes": {"/more": {}}}),
            ),
            (json!({"User": "root"}), json!({"User": "root"})),
            (json!({"WorkingDir": "/srv"}), json!({"WorkingDir": "/srv"})),
            (
                json!({"StopSignal": "SIGINT", "StopTimeout": 3}),
                json!({"StopSignal": "SIGINT", "StopTimeout": 3}),
            ),
            (
                json!({"Tty": true, "FutureField": {"a": [1]}}),
                json!({"Tty": true, "FutureField": {"a": [1]}}),
            ),
            (json!({"Image": "x:1", "Hostname": "h"}), json!({})),
        ] {
            assert_eq!(sent_config(&change), sent, "{change}");
        }
    }

    #[test]
    fn cmd_is_default_only_under_the_default_entrypoint() {
        for (change, sent) in [
            (json!({"Cmd": ["other"]}), json!({"Cmd": ["other"]})),
            (
                json!({"Entrypoint": ["/mine"], "Cmd": ["serve"]}),
                json!({"Entrypoint": ["/mine"], "Cmd": ["serve"]}),
            ),
            (
                json!({"Entrypoint": ["/mine"], "Cmd": null}),
                json!({"Entrypoint": ["/mine"]}),
            ),
            (
                json!({"Entrypoint": ["/entry"], "Cmd": null}),
                json!({"Entrypoint": ["/entry"]}),
            ),
            (
                json!({"Entrypoint": null, "Cmd": ["serve"]}),
                json!({"Entrypoint": [""], "Cmd": ["serve"]}),
            ),
        ] {
            assert_eq!(sent_config(&change), sent, "{change}");
        }
    }

    #[test]
    fn healthcheck_is_compared_part_by_part() {
        for (check, sent) in [
            (
                json!({"Test": ["CMD", "check"], "Interval": 9}),
                json!({"Healthcheck": {"Interval": 9}}),
            ),
            (
                json!({"Test": ["NONE"], "Interval": 5}),
                json!({"Healthcheck": {"Test": ["NONE"]}}),
            ),
            (
                json!({"Test": ["CMD", "check"], "Interval": 5, "Retries": 2}),
                json!({"Healthcheck": {"Retries": 2}}),
            ),
            (Value::Null, json!({"Healthcheck": {"Test": ["NONE"]}})),
        ] {
            assert_eq!(sent_config(&json!({"Healthcheck": check})), sent);
        }
    }

    /// The engine's side of the bargain, for env and labels: fill what is unset from the image.
    fn merged(user: &Map<String, Value>, image: &Value) -> (Vec<String>, Map<String, Value>) {
        let strings = |v: &[Value]| v.iter().map(|s| s.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let mut env = strings(user.get("Env").map_or(&[], |e| list(e, "")));
        for entry in strings(list(image, "/Env")) {
            let key = |e: &str| e.split('=').next().unwrap().to_owned();
            if !env.iter().any(|e| key(e) == key(&entry)) {
                env.push(entry);
            }
        }
        env.sort();
        let mut labels = user
            .get("Labels")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        for (k, v) in image["Labels"].as_object().unwrap() {
            labels.entry(k.clone()).or_insert_with(|| v.clone());
        }
        labels.sort_keys();
        (env, labels)
    }

    proptest! {
        #[test]
        fn made_again_on_its_own_image_a_container_is_the_same(
            image in proptest::collection::btree_map("[A-D]", "[0-2]", 0..4),
            user in proptest::collection::btree_map("[A-F]", "[0-2]", 0..6),
        ) {
            let env = |m: &std::collections::BTreeMap<String, String>| m.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
            let image = json!({"Env": env(&image), "Labels": image});
            let given = json!({"Env": env(&user), "Labels": user});
            let (env, labels) = merged(given.as_object().unwrap(), &image);
            let container = json!({"Env": env, "Labels": labels});
            let again = merged(&user_set(&container, &image), &image);
            prop_assert_eq!((env, labels), again);
        }
    }
}
