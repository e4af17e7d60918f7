//! Whether lowtide's own container can be replaced at all.

use crate::runtime::kinds::containers::json::{flag, list, name, text};
use serde_json::Value;
use std::path::Path;

/// Why lowtide's own container cannot be replaced by what it leads. `state`: its state directory, as seen inside.
#[must_use]
pub(super) fn refusals(container: &Value, state: &Path) -> Vec<String> {
    let shown = name(container);
    let mut refused = Vec::new();
    let shared = list(container, "/Mounts").iter().any(|mount| {
        matches!(text(mount, "/Type"), "volume" | "bind")
            && mount.get("RW") != Some(&Value::Bool(false))
            && state.starts_with(text(mount, "/Destination"))
    });
    if !shared {
        refused.push(format!(
            "{shown}: Mounts (the state directory {} is in no volume or directory of the host: the new lowtide would begin \
             without it)",
            state.display()
        ));
    }
    if flag(container, "/HostConfig/AutoRemove") {
        refused.push(format!(
            "{shown}: HostConfig.AutoRemove (`--rm` would delete it on the way)"
        ));
    }
    if text(container, "/State/Status") != "running" {
        refused.push(format!("{shown}: State (it does not run)"));
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
