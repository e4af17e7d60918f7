//! The old container's writable layer, queried from the engine path by path.

use super::inject::{self, InjectedFile};
use super::json::{flag, id, name, number};
use super::layer::{is_injected, left_behind};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use base64::Engine as _;
use serde_json::Value;

/// Paths of a writable layer that are looked at one by one, per container, and reported. What compose puts in is among
/// the first.
const MAX_PATHS: usize = 1000;
const MAX_REPORTED: usize = 20;

/// What a new container would not have by itself: files to put in again, and lines of what cannot be or will not be there.
#[derive(Default)]
pub(super) struct Layer {
    pub files: Vec<InjectedFile>,
    pub refused: Vec<String>,
    pub warnings: Vec<String>,
}

/// # Errors
/// As the engine fails.
pub(super) async fn read(engine: &Engine, container: &Value) -> Result<Layer, EngineError> {
    let changes = engine
        .raw_get(&format!("/containers/{}/changes", encode(id(container))))
        .await?;
    let paths = left_behind(container, &changes);
    let shown = name(container);
    let mut layer = Layer::default();
    let (mut written, mut size) = (0, 0);
    for path in paths.iter().take(MAX_PATHS) {
        let stat = stat(engine, id(container), &path.path).await?;
        if is_injected(container, &stat) {
            size += u64::try_from(number(&stat, "/size")).unwrap_or_default();
            let file = if size > inject::LIMIT {
                let limit = inject::LIMIT >> 20;
                let why = format!("put in before the start, with the others more than {limit} MiB");
                layer.refused.push(format!("{shown}: {} ({why})", path.path));
                continue;
            } else {
                inject::read(engine, id(container), &path.path).await?
            };
            layer.files.extend(file);
        } else if !path.fleeting {
            written += 1;
            if written <= MAX_REPORTED {
                let path = &path.path;
                let warning = format!("{shown}: {path} was written inside the container and stays behind");
                layer.warnings.push(warning);
            }
        }
    }
    written += paths.iter().skip(MAX_PATHS).filter(|path| !path.fleeting).count();
    if written > MAX_REPORTED {
        layer.warnings.push(format!(
            "{shown}: {} more files were written inside the container and stay behind",
            written - MAX_REPORTED
        ));
    }
    if let (Some(file), true) = (layer.files.first(), flag(container, "/HostConfig/ReadonlyRootfs")) {
        layer.refused.push(format!(
            "{shown}: HostConfig.ReadonlyRootfs ({} was put in before the start, and could not be put in again)",
            file.path
        ));
    }
    Ok(layer)
}

/// The engine's description of one path inside the container; null when it is gone again.
async fn stat(engine: &Engine, container: &str, path: &str) -> Result<Value, EngineError> {
    let url = format!("/containers/{}/archive?path={}", encode(container), encode(path));
    let header = match engine.raw_head(&url, "X-Docker-Container-Path-Stat").await {
        Ok(header) => header.unwrap_or_default(),
        Err(EngineError::NotFound { .. }) => return Ok(Value::Null),
        Err(e) => return Err(e),
    };
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(header)
        .unwrap_or_default();
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}
