//! Paths inside a work tree. Anyone who can push can add a link, so no link is followed out of the tree.

use lowtide_model::failure::{Failure, FailureKind};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

pub(super) enum Found {
    Nothing,
    File(PathBuf),
    Folder(PathBuf),
}

/// What is at a path of the repository. Blocks.
///
/// # Errors
/// `ComposeRefused` for a link that leads out, or as our own disk fails.
pub(super) fn find(tree: &Path, path: &str) -> Result<Found, Failure> {
    let local = |at: &Path, e: &std::io::Error| Failure::local(at.display(), e);
    let root = tree.canonicalize().map_err(|e| local(tree, &e))?;
    let real = match root.join(path).canonicalize() {
        Ok(real) => real,
        // Nothing, a dangling link, or a way through a file.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Found::Nothing),
        Err(e) => return Err(local(&root.join(path), &e)),
    };
    if !real.starts_with(&root) {
        let detail = format!("{path} leads out of the repository by a link");
        return Err(Failure::new(FailureKind::ComposeRefused, detail));
    }
    let kind = real.metadata().map_err(|e| local(&real, &e))?;
    Ok(if kind.is_dir() {
        Found::Folder(real)
    } else {
        Found::File(real)
    })
}

/// A file's bytes, as many as `limit` and one more; `None`: there is none. Blocks.
///
/// # Errors
/// As [`find`].
pub(super) fn bytes(tree: &Path, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    let Found::File(real) = find(tree, path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let read = File::open(&real).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|e| Failure::local(real.display(), &e))?;
    Ok(Some(bytes))
}
