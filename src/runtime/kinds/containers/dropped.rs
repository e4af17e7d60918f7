//! What a new image lacks that containers of the old one rely on. What the user set on the container itself counts for
//! nothing here: it is preserved.

use super::json::{list, object, text};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use lowtide_model::dropped::Dropped;
use lowtide_model::image::ImageId;
use serde_json::{Map, Value};

/// Of the image `new` on the host, for containers with these snapshots; each thing once.
///
/// # Errors
/// As the engine fails; `NotFound` when the image is gone.
pub async fn dropped(
    engine: &Engine,
    new: &ImageId,
    snapshots: &[super::snapshot::Snapshot],
) -> Result<Vec<Dropped>, EngineError> {
    let image = engine
        .raw_get(&format!("/images/{}/json", encode(new.as_str())))
        .await?;
    let config = image.get("Config").unwrap_or(&Value::Null);
    let mut all: Vec<Dropped> = snapshots
        .iter()
        .flat_map(|snapshot| between(&snapshot.container, &snapshot.image_config, config))
        .collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// `container`: inspect body; `old`, `new`: `Config` of the images.
fn between(container: &Value, old: &Value, new: &Value) -> Vec<Dropped> {
    let mut found = Vec::new();
    found.extend(gone(old, new, "/Volumes").map(|path| Dropped::Volume { path }));
    let (was, now) = (text(old, "/User"), text(new, "/User"));
    if !was.is_empty() && was != now && text(container, "/Config/User") == was {
        found.push(Dropped::User {
            was: was.to_owned(),
            now: now.to_owned(),
        });
    }
    found.extend(gone(old, new, "/ExposedPorts").map(|port| Dropped::Port { port }));
    let (was, now) = (words(old, "/Entrypoint"), words(new, "/Entrypoint"));
    let own_command = words(container, "/Config/Cmd") != words(old, "/Cmd");
    // Without a command of the user's, entrypoint and command of the new image belong together, and were tested so.
    if was != now && own_command && words(container, "/Config/Entrypoint") == was {
        found.push(Dropped::Entrypoint { was, now });
    }
    let checks = |image: &Value| {
        let test = words(image, "/Healthcheck/Test");
        test.first().is_some_and(|word| word != "NONE")
    };
    if checks(old) && !checks(new) {
        found.push(Dropped::Healthcheck);
    }
    found
}

/// Keys of the old image's map that the new one lacks.
fn gone<'a>(old: &'a Value, new: &'a Value, pointer: &str) -> impl Iterator<Item = String> + use<'a> {
    let now = object(new, pointer);
    let was = object(old, pointer).into_iter().flat_map(Map::keys);
    was.filter(move |key| now.is_none_or(|now| !now.contains_key(*key)))
        .cloned()
}

fn words(value: &Value, pointer: &str) -> Vec<String> {
    let words = list(value, pointer).iter().filter_map(Value::as_str);
    words.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(container: &Value, new: &Value) -> String {
        let old = json!({
            "User": "app", "Entrypoint": ["/entry"], "Cmd": ["serve"], "Volumes": {"/data": {}, "/cache": {}},
            "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["CMD", "check"]},
        });
        let found = between(container, &old, new);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_a_new_image_drops_is_reported() {
        let plain = json!({"Config": {"User": "app", "Entrypoint": ["/entry"], "Cmd": ["serve"]}});
        insta::assert_snapshot!(rendered(&plain, &json!({"Volumes": {"/cache": {}}, "Healthcheck": {"Test": ["NONE"]}})), @"
        it declares the volume /data no more; the data stays mounted there
        it runs as root, not as app
        it exposes port 80/tcp no more
        it has no health check any more
        ");
        let same = json!({
            "User": "app", "Entrypoint": ["/new"], "Cmd": ["go"], "Volumes": {"/data": {}, "/cache": {}, "/more": {}},
            "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["CMD", "other"]},
        });
        assert_eq!(rendered(&plain, &same), "");
        // A command of the user's was written for the old entrypoint; a user of the user's stays.
        let own = json!({"Config": {"User": "1000", "Entrypoint": ["/entry"], "Cmd": ["serve", "--fast"]}});
        let mut other = same.clone();
        other["User"] = json!("root");
        insta::assert_snapshot!(rendered(&own, &other), @"its entrypoint is /new, not /entry");
    }
}
