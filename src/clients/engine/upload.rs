//! Files that are put into a container of ours.

use super::connect::Engine;
use super::context::Context;
use super::error::EngineError;
use super::raw::RESPONSE_LIMIT;
use super::sweep::percent;
use reqwest::header::CONTENT_TYPE;
use std::sync::Arc;
use std::time::Duration;

/// The longest an engine may take for a piece of an archive: it writes to a disk that others use, too.
const SILENCE: Duration = Duration::from_secs(10 * 60);

/// A file with owner and mode.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    /// Absolute path inside the container.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub bytes: Vec<u8>,
}

impl Engine {
    /// Unpacks a folder's content at `path` of a container, which need not run. Volumes that it mounts there are written to.
    ///
    /// # Errors
    /// As the engine refuses; a file that changed or is gone, as `Unreadable`.
    pub async fn upload_folder(&self, id: &str, path: &str, content: Context) -> Result<(), EngineError> {
        let (chunks, broken) = Arc::new(content).stream();
        let sent = self.put_archive(id, path, reqwest::Body::wrap_stream(chunks)).await;
        match broken.take() {
            Some(error) => Err(EngineError::Unreadable {
                what: format!("the folder for {path}"),
                source: Box::new(error),
            }),
            None => sent,
        }
    }

    /// Puts files into a container, which need not run. Folders on the way are made.
    ///
    /// # Errors
    /// As the engine refuses, for example into a read-only root.
    pub async fn upload_files(&self, id: &str, files: &[Upload]) -> Result<(), EngineError> {
        let archive = archive(files, 0).map_err(|source| EngineError::Unreadable {
            what: "files for a container".to_owned(),
            source: Box::new(source),
        })?;
        self.put_archive(id, "/", archive.into()).await
    }

    /// Makes a folder in a container, which need not run, unless it is there.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn ensure_folder(&self, id: &str, path: &str) -> Result<(), EngineError> {
        let empty = tar::Builder::new(Vec::new()).into_inner().unwrap_or_default();
        match self.put_archive(id, path, empty.into()).await {
            // Only where it is not there: unpacking a folder's entry changes the owner and mode of one that is.
            Err(EngineError::NotFound { .. }) => {
                let mut tar = tar::Builder::new(Vec::new());
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                header.set_mode(0o755);
                let name = path.trim_start_matches('/');
                let made = tar.append_data(&mut header, name, std::io::empty());
                let archive = made.and_then(|()| tar.into_inner());
                let archive = archive.map_err(|source| EngineError::Unreadable {
                    what: format!("the folder {path}"),
                    source: Box::new(source),
                })?;
                self.put_archive(id, "/", archive.into()).await
            }
            done => done,
        }
    }

    async fn put_archive(&self, id: &str, path: &str, body: reqwest::Body) -> Result<(), EngineError> {
        let address = format!("http://engine/containers/{id}/archive?path={}", percent(path));
        let request = self.http.put(address).header(CONTENT_TYPE, "application/x-tar");
        let what = format!("PUT /containers/{id}/archive");
        let mut stream = self.sent(request.body(body), what, SILENCE).await?;
        stream.all(RESPONSE_LIMIT).await.map(drop)
    }
}

/// The files as a tar archive for `/`; `mtime` in seconds since 1970.
///
/// # Errors
/// A path that no archive can have.
pub fn archive(files: &[Upload], mtime: u64) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(file.bytes.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_mtime(mtime);
        let path = file.path.trim_start_matches('/');
        tar.append_data(&mut header, path, file.bytes.as_slice())?;
    }
    tar.into_inner()
}
