//! Anonymous volumes: the old container's are carried over and never removed; those made for a candidate are removed
//! with it.

use super::find::inspect;
use super::json::{list, text};
use super::verbs;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use serde_json::Value;

/// Removes a candidate that does not run, and with it the volumes that the engine made for it alone: those of the new
/// image's `VOLUME`s which the container with id `old` does not have. One that is gone is removed.
///
/// The engine itself removes no volume that has been given by name, and none that any container still uses (moby
/// `daemon/mounts.go`); where the old container is gone, nobody can tell, and all volumes stay.
///
/// # Errors
/// `Conflict` when it runs.
pub async fn remove_candidate(engine: &Engine, candidate: &str, old: &str) -> Result<(), EngineError> {
    let (Some(made), Some(old)) = (inspect(engine, candidate).await?, inspect(engine, old).await?) else {
        return verbs::remove_container(engine, candidate).await;
    };
    if !only_its_own(&made, &old) {
        return verbs::remove_container(engine, candidate).await;
    }
    verbs::gone(
        engine
            .raw_delete(&format!("/containers/{}?v=1&force=0", encode(candidate)))
            .await,
    )
}

/// Is every volume that would go with the candidate one the engine named for it, and none of the old container's?
fn only_its_own(made: &Value, old: &Value) -> bool {
    volumes(made)
        .filter(|mount| !is_given(made, mount))
        .map(|mount| text(mount, "/Name"))
        .all(|name| {
            let anonymous = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
            anonymous && volumes(old).all(|of_old| text(of_old, "/Name") != name)
        })
}

fn volumes(container: &Value) -> impl Iterator<Item = &Value> {
    list(container, "/Mounts")
        .iter()
        .filter(|mount| text(mount, "/Type") == "volume")
}

/// Was this volume asked for by its name?
fn is_given(container: &Value, mount: &Value) -> bool {
    let name = text(mount, "/Name");
    let by_mount = list(container, "/HostConfig/Mounts")
        .iter()
        .any(|requested| text(requested, "/Source") == name);
    let by_bind = list(container, "/HostConfig/Binds")
        .iter()
        .filter_map(Value::as_str)
        .any(|bind| bind.split_once(':').is_some_and(|(source, _)| source == name));
    by_mount || by_bind
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_go_with_a_candidate_only_where_all_are_its_own() {
        let (own, olds) = ("a".repeat(64), "b".repeat(64));
        let container = |names: &[&str], mounts: &[&str], binds: &[&str]| {
            let volume = |name: &&str| json!({"Type": "volume", "Name": name});
            let source = |name: &&str| json!({"Type": "volume", "Source": name});
            json!({
                "Mounts": names.iter().map(volume).chain([json!({"Type": "bind"})]).collect::<Vec<_>>(),
                "HostConfig": {"Mounts": mounts.iter().map(source).collect::<Vec<_>>(), "Binds": binds},
            })
        };
        let old = container(&[&olds], &[], &[]);
        for (made, own_only) in [
            (container(&[], &[], &[]), true),
            (container(&[&own], &[], &[]), true),
            (container(&[&own, &olds], &[&olds], &[]), true),
            (container(&[&own, &olds], &[], &[&format!("{olds}:/data")]), true),
            (container(&[&own, "named"], &[], &["named:/data:ro"]), true),
            (container(&[&own, &olds], &[], &[]), false),
            (container(&["plugin-made"], &[], &[]), false),
        ] {
            assert_eq!(only_its_own(&made, &old), own_only, "{made}");
        }
    }
}
