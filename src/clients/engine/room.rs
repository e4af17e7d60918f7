//! Free disk space where an engine keeps images and containers, if it can be determined. No engine call returns it;
//! only a process that shares a file system with the engine can measure it.

use super::connect::Engine;
use super::error::EngineError;
use super::probe::ProbePath;
use std::path::Path;

impl Engine {
    /// Bytes free where this engine keeps its data; `None`: that cannot be determined from here.
    ///
    /// # Errors
    /// When the engine does not respond.
    pub async fn free_space(&self, via: &ProbePath) -> Result<Option<u64>, EngineError> {
        if self.is_remote() {
            return Ok(None);
        }
        let root = match via {
            // A container's own root lies on the data root of the engine that runs it (overlayfs reports the room of
            // its upper layer), and the engine whose socket is handed into a container is that one.
            ProbePath::InContainer { .. } => "/".to_owned(),
            ProbePath::HostView => {
                let info = self.raw_get("/info").await?;
                info["DockerRootDir"].as_str().unwrap_or_default().to_owned()
            }
        };
        Ok(free(Path::new(&root)))
    }

    /// Bytes that a container has written into its own layer, volumes left out; `None`: the engine does not report it.
    ///
    /// # Errors
    /// `NotFound` when the container is gone, or when the engine does not respond.
    pub async fn written(&self, id: &str) -> Result<Option<u64>, EngineError> {
        let body = self.raw_get(&format!("/containers/{id}/json?size=1")).await?;
        Ok(body["SizeRw"].as_u64())
    }
}

fn free(root: &Path) -> Option<u64> {
    if !root.is_absolute() {
        return None;
    }
    let stat = rustix::fs::statvfs(root).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_reported_only_where_it_can_be_seen() {
        assert!(free(Path::new("/")).is_some_and(|bytes| bytes > 0));
        assert_eq!(free(Path::new("")), None, "an engine that names no root");
        assert_eq!(
            free(Path::new("/no/such/root")),
            None,
            "a root in another mount namespace"
        );
    }
}
