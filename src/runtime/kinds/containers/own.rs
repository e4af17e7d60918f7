//! The container this process runs in.

use super::find::inspect;
use super::json::{list, text};
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
}
