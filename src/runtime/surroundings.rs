//! Where this process runs: on the engine's machine, or in a container of it.

use super::bot::InForce;
use crate::clients::engine::probe::{self, ProbePath};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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

/// How HTTP questions reach containers. Inside a container of the same engine, the host's view is not ours: a probe of our
/// own image joins the other's network instead.
pub async fn probe_path(fleet: &InForce, instance: &str) -> ProbePath {
    let Some((_, engine)) = fleet.engines().next() else {
        return ProbePath::HostView;
    };
    if !Path::new("/.dockerenv").exists() {
        return ProbePath::HostView;
    }
    // A container's hostname is its short id unless somebody set another.
    let Ok(hostname) = std::fs::read_to_string("/etc/hostname") else {
        return ProbePath::HostView;
    };
    match engine.raw_get(&format!("/containers/{}/json", hostname.trim())).await {
        Ok(own) => match own["Image"].as_str() {
            Some(image) => ProbePath::InContainer {
                image: image.to_owned(),
                labels: BTreeMap::from([("io.lowtide.instance".to_owned(), instance.to_owned())]),
            },
            None => ProbePath::HostView,
        },
        // Another engine's container: its addresses are routed to us or not; there is no better way.
        Err(_) => ProbePath::HostView,
    }
}

/// One GET; its status code.
///
/// # Errors
/// Why there is none.
pub async fn http_status(host: IpAddr, port: u16, path: &str) -> Result<u16, String> {
    probe::http_status(host, port, path).await
}
