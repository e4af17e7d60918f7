//! The encrypted secrets that stand beside a configuration, read where it was read: in its folder, or at its commit.

use crate::clients::git::error::GitError;
use crate::clients::git::remote::Git;
use lowtide_core::yaml::age::{self, Beside};
use lowtide_model::failure::Failure;
use lowtide_model::policy::Source;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::Path;

/// Bytes of all of them together: a configuration may name many.
const MAX_TOGETHER: usize = 16 << 20;

pub(super) fn of_file(config: &Path, text: &[u8]) -> Beside {
    let folder = config.parent().unwrap_or(Path::new(""));
    let mut room = MAX_TOGETHER;
    age::named(text)
        .into_iter()
        .map(|path| {
            let found = bounded(&folder.join(&path)).map_err(|error| why(&error));
            let found = found.and_then(|bytes| counted(bytes, &mut room));
            (path, found)
        })
        .collect()
}

/// # Errors
/// As git fails; what is wrong with one file alone is in its place.
pub(super) async fn of_commit(
    git: &Git,
    source: &Source,
    commit: &str,
    config: &str,
    text: &[u8],
) -> Result<Beside, Failure> {
    let named = age::named(text);
    if named.is_empty() {
        return Ok(Beside::new());
    }
    let folder = config.rsplit_once('/').map_or("", |(folder, _)| folder);
    let paths: Vec<String> = named
        .iter()
        .map(|path| format!("{folder}/{path}").trim_start_matches('/').to_owned())
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let blobs = git.read_files(source, commit, &paths).await.map_err(|e| e.failure())?;
    let mut room = MAX_TOGETHER;
    let found = blobs.into_iter().map(|blob| match blob {
        Ok(Some(bytes)) => counted(bytes, &mut room),
        Ok(None) => Err("is not in the commit of the configuration".to_owned()),
        Err(error) => Err(unusable(&error)),
    });
    Ok(named.into_iter().zip(found).collect())
}

fn unusable(error: &GitError) -> String {
    format!("cannot be used: {error}")
}

/// A revision is all that was read. Without encrypted secrets it is the hash of the text alone.
pub(super) fn revision(text: &[u8], beside: &Beside) -> String {
    let mut hash = Sha256::new();
    hash.update(text);
    for (path, found) in beside {
        let (kind, content) = match found {
            Ok(bytes) => (b'+', bytes.as_slice()),
            Err(why) => (b'-', why.as_bytes()),
        };
        // Each part by the hash of its own, so that none can pass for a piece of the next one.
        hash.update([kind]);
        hash.update(Sha256::digest(path));
        hash.update(Sha256::digest(content));
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A byte more than is allowed, at most: then it is refused as too large.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a named pipe blocks until another process opens it for writing.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(age::MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn counted(bytes: Vec<u8>, room: &mut usize) -> Result<Vec<u8>, String> {
    match room.checked_sub(bytes.len()) {
        Some(left) => *room = left,
        None => {
            return Err(format!(
                "is one too many: together they have more than {MAX_TOGETHER} bytes"
            ));
        }
    }
    Ok(bytes)
}

fn why(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "is not there".to_owned()
    } else {
        format!("cannot be read: {error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"registries: { x.org: { username: u, password: { age: s/a.age } }, y.org: { password: { age: s/b.age } } }\n";

    #[test]
    fn a_change_of_an_encrypted_secret_is_a_new_revision() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("lowtide.yml");
        let told = |beside: &Beside| {
            let told = beside
                .values()
                .map(|found| found.as_ref().map(Vec::len).map_err(Clone::clone));
            told.collect::<Vec<_>>()
        };
        let before = of_file(&config, TEXT);
        assert_eq!(
            told(&before),
            [Err("is not there".to_owned()), Err("is not there".to_owned())]
        );
        std::fs::create_dir_all(folder.path().join("s/b.age")).unwrap();
        std::fs::write(folder.path().join("s/a.age"), vec![b'a'; 70_000]).unwrap();
        let after = of_file(&config, TEXT);
        let expected = [Ok(65_537), Err("cannot be read: it is no regular file".to_owned())];
        assert_eq!(told(&after), expected);
        let of = |beside: &Beside| revision(TEXT, beside);
        assert_ne!(of(&before), of(&after));
        let plain: String = Sha256::digest(TEXT)
            .iter()
            .take(8)
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(revision(TEXT, &Beside::new()), plain);
    }

    #[test]
    fn many_small_files_are_bounded_together() {
        let mut room = 3;
        assert!(counted(vec![0; 2], &mut room).is_ok());
        assert!(counted(vec![0; 2], &mut room).is_err());
        assert!(counted(vec![0; 1], &mut room).is_ok());
    }
}
