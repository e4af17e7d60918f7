//! The repository's `.dockerignore`: anyone who can push writes it, so it is read within bounds.

use super::build::local_file;
use crate::clients::engine::context::{Ignore, Verdict};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_packages::dockerignore::{self, IgnoreError};
use rustix::io::Errno;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a `.dockerignore`. The longest that people write have some thousand lines.
const MOST: u64 = 512 << 10;

/// Reads the file of a checked-out context; none is none. Blocks.
///
/// # Errors
/// `IgnoreInvalid` for one that cannot be used, `SourceTooLarge`, or as our own disk fails.
pub(super) fn read(context: &Path, dockerfile: &str) -> Result<Ignore, Failure> {
    // Docker prefers `<Dockerfile>.dockerignore` over the one at the context's root.
    let own = format!("{dockerfile}.dockerignore");
    let name = if context.join(&own).is_file() {
        own.as_str()
    } else {
        ".dockerignore"
    };
    let text = match inside(context, name)? {
        Some(path) => text(&path, name)?,
        None => String::new(),
    };
    let rules = dockerignore::Ignore::parse(&text).map_err(|error| {
        let kind = match &error {
            IgnoreError::Pattern { .. } => FailureKind::IgnoreInvalid,
            IgnoreError::TooMany { .. } => FailureKind::SourceTooLarge,
        };
        Failure::new(kind, format!("{name}: {error}"))
    })?;
    Ok(Arc::new(move |path: &str, directory: bool| {
        if !rules.excluded(path, directory) {
            Verdict::Include
        } else if directory && rules.skips(path) {
            Verdict::Prune
        } else {
            Verdict::Ignore
        }
    }))
}

/// Resolves the path of the file. A link is allowed if it leads to a file inside the context.
fn inside(context: &Path, name: &str) -> Result<Option<PathBuf>, Failure> {
    let unusable = |why: &str| Failure::new(FailureKind::IgnoreInvalid, format!("{name} {why}"));
    let place = context.join(name);
    let path = match place.canonicalize() {
        Ok(path) => path,
        // A link to nothing is no file either.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if Errno::from_io_error(&e) == Some(Errno::LOOP) => return Err(unusable("is a link to itself")),
        Err(e) if e.kind() == ErrorKind::NotADirectory => return Err(unusable("is a link to no file")),
        Err(e) => return Err(local_file(&place, &e)),
    };
    let root = context.canonicalize().map_err(|e| local_file(context, &e))?;
    if !path.starts_with(&root) {
        return Err(unusable("is a link that leads out of the build context"));
    }
    let found = path.metadata().map_err(|e| local_file(&path, &e))?;
    if found.is_dir() {
        return Err(unusable("is a directory"));
    }
    if !found.is_file() {
        return Err(unusable("is no file"));
    }
    Ok(Some(path))
}

fn text(path: &Path, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    read.map_err(|e| local_file(path, &e))?;
    if bytes.len() as u64 > MOST {
        let detail = format!("{name} is larger than {MOST} bytes");
        return Err(Failure::new(FailureKind::SourceTooLarge, detail));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(FailureKind::IgnoreInvalid, format!("{name} is not UTF-8 text")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::failure::Fault;
    use std::os::unix::fs::symlink;

    /// What becomes of a context that `make` filled.
    fn failure_of(make: impl FnOnce(&Path)) -> String {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        match read(dir.path(), "Dockerfile") {
            Ok(_) => "used".to_owned(),
            Err(failure) => {
                assert_eq!(failure.fault(), Fault::Repo, "{failure}");
                failure.to_string()
            }
        }
    }

    #[test]
    fn a_dockerignore_that_cannot_be_used_is_the_repositorys_fault() {
        let put = |bytes: Vec<u8>| move |dir: &Path| std::fs::write(dir.join(".dockerignore"), bytes).unwrap();
        insta::assert_snapshot!(
            [
                failure_of(|_| {}),
                failure_of(put(b"*.log\n!keep.log\n".to_vec())),
                failure_of(|dir| std::fs::create_dir(dir.join(".dockerignore")).unwrap()),
                failure_of(put(vec![b'a', 0xff, b'\n'])),
                failure_of(|dir| symlink("/dev/zero", dir.join(".dockerignore")).unwrap()),
                failure_of(|dir| symlink(".dockerignore", dir.join(".dockerignore")).unwrap()),
                failure_of(|dir| symlink("nothing", dir.join(".dockerignore")).unwrap()),
                failure_of(put(b"[".to_vec())),
                failure_of(put(vec![b'a'; 36 << 20])),
                failure_of(put(b"some-name*.log\n".repeat(9_000))),
                failure_of(put(b"a\n".repeat(100_000))),
            ]
            .join("\n"),
            @r#"
        used
        used
        the .dockerignore cannot be used: .dockerignore is a directory
        the .dockerignore cannot be used: .dockerignore is not UTF-8 text
        the .dockerignore cannot be used: .dockerignore is a link that leads out of the build context
        the .dockerignore cannot be used: .dockerignore is a link to itself
        used
        the .dockerignore cannot be used: .dockerignore: line 1: "[" is not a pattern
        the repository is larger than its limit: .dockerignore is larger than 524288 bytes
        the repository is larger than its limit: .dockerignore: it has more than 65536 characters in patterns with wildcards
        the repository is larger than its limit: .dockerignore: it has more than 10000 patterns
        "#
        );
    }
}
