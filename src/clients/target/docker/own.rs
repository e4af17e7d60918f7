//! The container this process runs in.

use super::find::inspect;
use super::json::{flag, list, name, text};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use serde_json::Value;
use std::path::Path;

/// Id of the container this process runs in: the engine mounts `/etc/hostname` from the container's own directory.
#[must_use]
pub fn own_id() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    container_of(&mounts)
}

/// Its inspect body; `None`: this process runs in no container of this engine.
pub(super) async fn own(engine: &Engine) -> Result<Option<Value>, EngineError> {
    let Some(id) = own_id() else { return Ok(None) };
    Ok(inspect(engine, &id).await?.filter(runs_lowtide))
}

/// Whether the container runs lowtide, possibly behind an init or a shell. With `--network container:…`,
/// `/etc/hostname` belongs to the other container, so the id found may be that one's.
fn runs_lowtide(container: &Value) -> bool {
    let arguments = list(container, "/Args").iter().filter_map(Value::as_str);
    std::iter::once(text(container, "/Path"))
        .chain(arguments)
        .any(|word| Path::new(word).file_name().is_some_and(|program| program == "lowtide"))
}

/// Why lowtide's own container cannot be replaced by what it leads. `state`: its state directory, as seen inside.
#[must_use]
pub fn refusals(container: &Value, state: &Path) -> Vec<String> {
    let told = name(container);
    let mut refused = Vec::new();
    let shared = list(container, "/Mounts").iter().any(|mount| {
        matches!(text(mount, "/Type"), "volume" | "bind")
            && mount.get("RW") != Some(&Value::Bool(false))
            && state.starts_with(text(mount, "/Destination"))
    });
    if !shared {
        refused.push(format!(
            "{told}: Mounts (the state directory {} is in no volume or directory of the host: the new lowtide would begin \
             without it)",
            state.display()
        ));
    }
    if flag(container, "/HostConfig/AutoRemove") {
        refused.push(format!(
            "{told}: HostConfig.AutoRemove (`--rm` would delete it on the way)"
        ));
    }
    if text(container, "/State/Status") != "running" {
        refused.push(format!("{told}: State (it does not run)"));
    }
    refused
}

fn container_of(mountinfo: &str) -> Option<String> {
    let line = mountinfo
        .lines()
        .find(|l| l.split(' ').nth(4) == Some("/etc/hostname"))?;
    line.split('/')
        .find(|part| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lowtide_knows_the_container_it_runs_in() {
        let id = "ab".repeat(32);
        let inside = format!(
            "1 2 0:1 / / rw - overlay overlay rw\n3 1 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda rw\n"
        );
        assert_eq!(container_of(&inside), Some(id));
        assert_eq!(container_of("1 2 0:1 / / rw - ext4 /dev/sda rw\n"), None);
    }

    #[test]
    fn a_container_of_another_program_is_not_ours() {
        let runs = |path: &str, args: &[&str]| runs_lowtide(&json!({"Path": path, "Args": args}));
        assert!(runs("/usr/local/bin/lowtide", &["serve"]));
        assert!(runs("tini", &["--", "lowtide", "serve"]));
        assert!(!runs("/pause", &[]));
        assert!(!runs("web", &["--name=lowtide"]));
    }

    #[test]
    fn what_cannot_be_replaced_is_named() {
        let container = |kind: &str, rw: bool, remove: bool| {
            json!({
                "Name": "/lowtide",
                "State": {"Status": "running"},
                "HostConfig": {"AutoRemove": remove},
                "Mounts": [{"Type": kind, "RW": rw, "Destination": "/var/lib/lowtide"}],
            })
        };
        let state = Path::new("/var/lib/lowtide/state");
        assert!(refusals(&container("volume", true, false), state).is_empty());
        assert!(refusals(&container("bind", true, false), state).is_empty());
        insta::assert_snapshot!(refusals(&container("tmpfs", true, true), state).join("\n"), @"
        lowtide: Mounts (the state directory /var/lib/lowtide/state is in no volume or directory of the host: the new lowtide would begin without it)
        lowtide: HostConfig.AutoRemove (`--rm` would delete it on the way)
        ");
        assert_eq!(refusals(&container("volume", false, false), state).len(), 1);
        assert_eq!(
            refusals(&container("volume", true, false), Path::new("/state")).len(),
            1
        );
    }
}
