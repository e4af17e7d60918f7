//! Where this process runs: on the engine's machine, or in a container of it.

use super::bot::InForce;
use crate::clients::engine::http;
use crate::clients::engine::probe::ProbePath;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tracing::warn;

/// Name of this lowtide, made once per state directory: labels everything of ours.
///
/// # Errors
/// When the state directory cannot be read or written.
pub fn instance(state: &Path) -> std::io::Result<String> {
    let path = state.join("instance");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => make(&path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => make(&path),
        Err(e) => Err(e),
    }
}

fn make(path: &Path) -> std::io::Result<String> {
    let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
    let name = format!("lowtide-{}", &id[id.len() - 10..]);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{name}")?;
    file.sync_all()?;
    Ok(name)
}

/// How HTTP questions reach containers. Inside a container of the same engine, the host's view is not ours, unless we share
/// its network: a probe of our own image joins the other's network instead.
pub async fn probe_path(fleet: &InForce, instance: &str) -> ProbePath {
    let Some((_, engine)) = fleet.engines().next() else {
        return ProbePath::HostView;
    };
    if !Path::new("/.dockerenv").exists() {
        return ProbePath::HostView;
    }
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let places = [
        read("/etc/hostname"),
        read("/proc/self/cgroup"),
        read("/proc/self/mountinfo"),
    ];
    for id in candidates(&places) {
        let Ok(found) = engine.raw_get(&format!("/containers/{id}/json")).await else {
            continue;
        };
        match Own::of(&found) {
            Some(Own::OnHostNetwork) => return ProbePath::HostView,
            Some(Own::Image(image)) => {
                return ProbePath::InContainer {
                    image,
                    labels: BTreeMap::from([("io.lowtide.instance".to_owned(), instance.to_owned())]),
                };
            }
            None => {}
        }
    }
    // Lowtide runs in another engine's container. Addresses of this engine's containers may or may not be routed to us;
    // there is no better way.
    warn!("the engine does not know the container lowtide runs in; HTTP readiness is checked from here");
    ProbePath::HostView
}

/// What an engine says about the container we run in.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    OnHostNetwork,
    Image(String),
}

impl Own {
    /// `None`: not us. In another's network (`--network container:…`) hostname and mounts name that other.
    fn of(inspected: &serde_json::Value) -> Option<Self> {
        let program = Path::new(inspected["Path"].as_str()?).file_name()?.to_str()?;
        if program != "lowtide" {
            return None;
        }
        if inspected["HostConfig"]["NetworkMode"].as_str() == Some("host") {
            return Some(Own::OnHostNetwork);
        }
        Some(Own::Image(inspected["Image"].as_str()?.to_owned()))
    }
}

/// Container ids that a container's own files name, likelier ones first: the hostname is the short id unless someone set
/// another; cgroup paths (version 1) and the engine's own mounts hold the full id.
fn candidates(places: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let words = places
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_hexdigit()));
    // Only lower case, and only the two lengths that ids have.
    for id in words.filter(|word| matches!(word.len(), 12 | 64) && !word.bytes().any(|b| b.is_ascii_uppercase())) {
        if !found.iter().any(|known| known == id) {
            found.push(id.to_owned());
        }
    }
    found.truncate(CANDIDATES);
    found
}

/// How many candidates are inspected at most: each costs a request to the engine.
const CANDIDATES: usize = 8;

/// One GET; its status code and text.
///
/// # Errors
/// Why there is none.
pub async fn http_text(host: IpAddr, port: u16, path: &str) -> Result<(u16, String), String> {
    http::http_text(host, port, path).await
}

/// One GET; its status code.
///
/// # Errors
/// Why there is none.
pub async fn http_status(host: IpAddr, port: u16, path: &str) -> Result<u16, String> {
    http::http_status(host, port, path).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on must panic")]

    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_found_in_a_containers_own_files() {
        let id = "0123456789abcdef".repeat(4);
        let other = "f".repeat(64);
        let places = [
            "0123456789ab\n".to_owned(),
            format!("4:memory:/docker/{id}\n0::/\n"),
            format!(
                "631 620 254:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw\n1 2 0:1 /x/{other} /y rw\n"
            ),
        ];
        assert_eq!(candidates(&places), ["0123456789ab".to_owned(), id, other]);
        assert!(candidates(&["fleet-bot\n".to_owned(), "0::/\n".to_owned()]).is_empty());
    }

    #[test]
    fn only_a_container_that_runs_lowtide_is_our_own() {
        let seen = |path: &str, network: &str| {
            Own::of(&json!({ "Path": path, "Image": "sha256:1", "HostConfig": { "NetworkMode": network } }))
        };
        assert_eq!(seen("lowtide", "default"), Some(Own::Image("sha256:1".to_owned())));
        assert_eq!(seen("/usr/local/bin/lowtide", "host"), Some(Own::OnHostNetwork));
        assert_eq!(seen("/pause", "default"), None);
        assert_eq!(Own::of(&json!({})), None);
    }
}
