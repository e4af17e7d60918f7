//! Files that were put into a container before its start, as compose does with inline and environment `configs` and
//! `secrets` (docker/compose `secrets.go`): they are in no image and no volume, so the new container is given them again.

use super::json::{id, text};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use crate::clients::engine::upload::{Upload, archive};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Read as _;
use std::time::Duration;

/// Bytes of all such files of one container. The engine itself takes no secret or config over 500 kB.
pub(super) const LIMIT: u64 = 8 << 20;

/// A tar has a header and padding for each file.
const OVERHEAD: usize = 64 << 10;

const PATIENCE: Duration = Duration::from_secs(120);

/// One file. Its content may be a secret: it is stored in the sealed snapshot, and shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedFile {
    /// Absolute path inside the container.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Base64.
    content: String,
}

impl InjectedFile {
    /// What is in it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.content).unwrap_or_default()
    }
}

impl std::fmt::Debug for InjectedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InjectedFile({} {:o})", self.path, self.mode)
    }
}

/// Reads one file out of a container, running or not; `None` when it is gone or no regular file.
///
/// # Errors
/// As the engine fails; `Unreadable` when it is larger than [`LIMIT`].
pub(super) async fn read(engine: &Engine, container: &str, path: &str) -> Result<Option<InjectedFile>, EngineError> {
    let url = format!("/containers/{}/archive?path={}", encode(container), encode(path));
    let opened = engine
        .raw_stream(Method::GET, &url, None, HeaderMap::new(), PATIENCE)
        .await;
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(EngineError::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(e),
    };
    let limit = usize::try_from(LIMIT).unwrap_or(usize::MAX);
    let archive = stream.all(limit.saturating_add(OVERHEAD)).await?;
    unpack(path, &archive).map_err(|source| EngineError::Unreadable {
        what: format!("archive of {path}"),
        source: Box::new(source),
    })
}

fn unpack(path: &str, archive: &[u8]) -> Result<Option<InjectedFile>, std::io::Error> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(None);
    };
    let mut entry = entry?;
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(Some(InjectedFile {
        path: path.to_owned(),
        mode: entry.header().mode()? & 0o7777,
        uid: entry.header().uid()?,
        gid: entry.header().gid()?,
        content: STANDARD.encode(bytes),
    }))
}

/// Puts the files into a container that has not started, and reads them back. Doing it again does it over.
///
/// # Errors
/// `PreflightRefused` with the paths the engine did not preserve as they were, or as the engine refuses.
pub(in crate::runtime) async fn upload(
    engine: &Engine,
    container: &Value,
    files: &[InjectedFile],
) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let archive = pack(files, stamp(container))
        .map_err(|e| Failure::local("the files put into the container before its start cannot be packed", &e))?;
    let url = format!("/containers/{}/archive?path=%2F", encode(id(container)));
    engine
        .raw_put(&url, "application/x-tar", archive, PATIENCE)
        .await
        .map_err(|e| Failure::new(e.failure().kind, format!("configs and secrets: {e}")))?;
    let mut lost = Vec::new();
    for file in files {
        let now = read(engine, id(container), &file.path).await.map_err(|e| e.failure())?;
        if now.as_ref() != Some(file) {
            lost.push(file.path.as_str());
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    let detail = format!("the engine did not keep {} as put in", lost.join(", "));
    Err(Failure::new(FailureKind::PreflightRefused, detail))
}

/// The container's creation in whole seconds, by the engine's own clock: so the next preflight sees them for what they are.
fn stamp(container: &Value) -> u64 {
    let created = text(container, "/Created").parse::<Timestamp>();
    created.map_or(0, |created| u64::try_from(created.as_second()).unwrap_or_default())
}

fn pack(files: &[InjectedFile], mtime: u64) -> Result<Vec<u8>, std::io::Error> {
    let upload = |file: &InjectedFile| Upload {
        path: file.path.clone(),
        mode: file.mode,
        uid: file.uid,
        gid: file.gid,
        bytes: file.bytes(),
    };
    archive(&files.iter().map(upload).collect::<Vec<_>>(), mtime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file() -> InjectedFile {
        InjectedFile {
            path: format!("/run/secrets/{}/key", "long".repeat(40)),
            mode: 0o440,
            uid: 1000,
            gid: 20,
            content: STANDARD.encode(b"tide\0\xff"),
        }
    }

    #[test]
    fn a_file_comes_out_of_its_archive_as_it_went_in() {
        let archive = pack(&[file()], 7).unwrap();
        assert_eq!(unpack(&file().path, &archive).unwrap(), Some(file()));
        assert_eq!(
            unpack("/x", &tar::Builder::new(Vec::new()).into_inner().unwrap()).unwrap(),
            None
        );
    }

    #[test]
    fn its_content_is_not_shown() {
        assert!(format!("{:?}", file()).ends_with("/key 440)"));
    }

    #[test]
    fn it_is_stamped_by_the_engines_clock() {
        assert_eq!(stamp(&json!({"Created": "2026-03-01T10:00:00.9Z"})), 1_772_359_200);
    }
}
