//! Everything that a lowtide elsewhere needs to go on, as one file: a tar of the database, the sealed files with their key,
//! the instance's name, and whether all is paused. What can be fetched or built again (mirrors, archives, logs) is not in it.

use super::database::Store;
use super::error::StoreError;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

const DATABASE: &str = "lowtide.db";
const SEALED: &str = "sealed";
/// What lies beside the database, where it is there.
const BESIDE: [&str; 3] = ["seal.key", "instance", "paused"];
/// Where a restore gathers what it reads. A state with this in it is half of one.
const PARTIAL: &str = "restore.partial";
/// How far a restored state's term is ahead of the backup's: further than the lost lowtide can have come by restarts, so
/// that whatever carries a term tells the two apart.
const AHEAD: i64 = 1_000;

/// How a restore is refused. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("{path} holds {found}: a state is restored into an empty directory")]
    NotEmpty { path: String, found: String },
    #[error("another lowtide owns {path}")]
    Held { path: String },
    #[error("this is no backup of lowtide: {why}")]
    NoBackup { why: String },
    #[error("the backup cannot be read: {0}")]
    Unread(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the backup of `state` to `to` (0600), whole or not at all. The database may be in use.
///
/// # Errors
/// `Database`, `File`.
pub async fn write(state: &Path, store: &Store, to: &Path) -> Result<(), StoreError> {
    let (part, copy) = (beside(to, "part"), beside(to, "db"));
    let written = fill(state, store, &part, &copy).await;
    let _ = std::fs::remove_file(&copy);
    let done = written.and_then(|()| std::fs::rename(&part, to).map_err(at(to)));
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    done
}

async fn fill(state: &Path, store: &Store, part: &Path, copy: &Path) -> Result<(), StoreError> {
    for old in [part, copy] {
        // Of a backup that was killed.
        let _ = std::fs::remove_file(old);
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part);
    let mut tar = tar::Builder::new(file.map_err(at(part))?);
    // Sealed files are packed before and after the database is copied, so that no file referenced by the copy is
    // missing. A sweep in between deletes only old files that nothing references.
    let mut packed = BTreeSet::new();
    sealed(state, &mut tar, &mut packed)?;
    store.backup(copy.to_owned()).await?;
    sealed(state, &mut tar, &mut packed)?;
    for name in BESIDE {
        let path = state.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => add(&mut tar, name, &bytes).map_err(at(part))?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(at(&path)(e)),
        }
    }
    let mut database = File::open(copy).map_err(at(copy))?;
    let size = database.metadata().map_err(at(copy))?.len();
    tar.append_data(&mut header(size), DATABASE, &mut database)
        .map_err(at(part))?;
    let file = tar.into_inner().map_err(at(part))?;
    file.sync_all().map_err(at(part))
}

fn sealed(state: &Path, tar: &mut tar::Builder<File>, packed: &mut BTreeSet<String>) -> Result<(), StoreError> {
    let folder = state.join(SEALED);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(at(&folder)(e)),
    };
    for entry in entries {
        let name = entry.map_err(at(&folder))?.file_name().to_string_lossy().into_owned();
        if !is_sealed(&name) || packed.contains(&name) {
            continue;
        }
        let path = folder.join(&name);
        match std::fs::read(&path) {
            Ok(bytes) => add(tar, &format!("{SEALED}/{name}"), &bytes).map_err(at(&path))?,
            // Swept meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(at(&path)(e)),
        }
        packed.insert(name);
    }
    Ok(())
}

/// Unpacks a backup into `state`, which has to be empty or missing, and raises its term. Killed at any instant, it can be done
/// again; until it is done no lowtide starts on the directory.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(from: &Path, state: &Path) -> Result<(), RestoreError> {
    let file = File::open(from).map_err(RestoreError::Unread)?;
    empty(state)?;
    let held = || RestoreError::Held {
        path: state.display().to_string(),
    };
    let _lock = super::lock::acquire_unfinished(state)?.ok_or_else(held)?;
    let partial = state.join(PARTIAL);
    let _ = std::fs::remove_dir_all(&partial);
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true).mode(0o700);
    folders.create(partial.join(SEALED)).map_err(at(&partial))?;
    let gathered = unpack(file, &partial).and_then(|found| {
        check(&found, &partial)?;
        Store::fence(&partial.join(DATABASE), AHEAD)?;
        Ok(found)
    });
    let found = gathered.inspect_err(|_| {
        // Nothing was moved to its place yet: the directory is as empty as it was.
        let _ = std::fs::remove_dir_all(&partial);
    })?;
    // The database last: a state without one and with the rest is half of one as well, and `partial` still says so.
    let order = found.iter().filter(|name| *name != DATABASE).map(String::as_str);
    folders.create(state.join(SEALED)).map_err(at(state))?;
    for name in order.chain([DATABASE]) {
        std::fs::rename(partial.join(name), state.join(name)).map_err(at(state))?;
    }
    File::open(state)
        .and_then(|folder| folder.sync_all())
        .map_err(at(state))?;
    std::fs::remove_dir_all(&partial).map_err(at(&partial))?;
    Ok(())
}

/// Is this state half of one, since its restore broke off?
#[must_use]
pub(super) fn is_partial(state: &Path) -> bool {
    state.join(PARTIAL).exists()
}

/// Refuses a directory that is not empty. Leftovers of an interrupted restore are allowed, and so are the lock file and
/// `lost+found`.
fn empty(state: &Path) -> Result<(), RestoreError> {
    let entries = match std::fs::read_dir(state) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(at(state)(e).into()),
    };
    let again = is_partial(state);
    for entry in entries {
        let name = entry.map_err(at(state))?.file_name().to_string_lossy().into_owned();
        let ours = [PARTIAL, SEALED].contains(&name.as_str()) || BESIDE.contains(&name.as_str());
        let harmless = ["lost+found", "lock"].contains(&name.as_str()) || (again && ours);
        if !harmless {
            return Err(RestoreError::NotEmpty {
                path: state.display().to_string(),
                found: name,
            });
        }
    }
    Ok(())
}

fn unpack(file: File, to: &Path) -> Result<BTreeSet<String>, RestoreError> {
    let mut found = BTreeSet::new();
    for entry in tar::Archive::new(file).entries().map_err(RestoreError::Unread)? {
        let mut entry = entry.map_err(RestoreError::Unread)?;
        let path = entry.path().map_err(RestoreError::Unread)?.into_owned();
        let Some(name) = known(&path).filter(|_| entry.header().entry_type().is_file()) else {
            let why = format!("it holds {}", path.display());
            return Err(RestoreError::NoBackup { why });
        };
        let place = to.join(&name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place);
        let mut out = made.map_err(at(&place))?;
        let copied = io::copy(&mut entry, &mut out);
        copied.map_err(|e| {
            if e.raw_os_error().is_some() {
                RestoreError::from(at(&place)(e))
            } else {
                RestoreError::Unread(e)
            }
        })?;
        out.sync_all().map_err(at(&place))?;
        found.insert(name);
    }
    Ok(found)
}

/// The names a backup has, and no others.
fn known(path: &Path) -> Option<String> {
    let mut parts = path.components();
    let name = match (parts.next()?, parts.next(), parts.next()) {
        (Component::Normal(name), None, None) => name.to_str()?,
        (Component::Normal(folder), Some(Component::Normal(name)), None) => {
            let name = name.to_str().filter(|name| is_sealed(name))?;
            return (folder == SEALED).then(|| format!("{SEALED}/{name}"));
        }
        (_, _, _) => return None,
    };
    (name == DATABASE || BESIDE.contains(&name)).then(|| name.to_owned())
}

fn check(found: &BTreeSet<String>, partial: &Path) -> Result<(), RestoreError> {
    let has = |name: &str| found.contains(name);
    let sealed = found.iter().any(|name| name.starts_with(SEALED));
    let why = if !has(DATABASE) {
        "it has no database".to_owned()
    } else if sealed && !has("seal.key") {
        "it has sealed files and not their key".to_owned()
    } else if let Some(damage) = Store::damage(&partial.join(DATABASE))? {
        format!("its database is damaged: {damage}")
    } else {
        return Ok(());
    };
    Err(RestoreError::NoBackup { why })
}

/// A hex sha256, as sealed files are named; not one that is being written.
fn is_sealed(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn add(tar: &mut tar::Builder<File>, name: &str, mut bytes: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(bytes.len() as u64), name, &mut bytes as &mut dyn Read)
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(size);
    header
}

fn beside(to: &Path, what: &str) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{what}"));
    name.into()
}

fn at(path: &Path) -> impl Fn(io::Error) -> StoreError + use<> {
    let path = path.display().to_string();
    move |source| StoreError::File {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lock;
    use crate::store::sealed::Sealed;
    use std::os::unix::fs::MetadataExt;

    async fn state() -> (tempfile::TempDir, Store, String) {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(&state.path().join(DATABASE), true).unwrap();
        store.set_number("kept", Some(7)).await.unwrap();
        let sealed = Sealed::open(state.path()).unwrap();
        let name = sealed.store(b"DB_PASSWORD=canary").unwrap();
        std::fs::write(state.path().join("instance"), "lowtide-abc\n").unwrap();
        std::fs::write(state.path().join("paused"), "").unwrap();
        (state, store, name)
    }

    #[tokio::test]
    async fn a_backup_restores_all_that_a_lowtide_elsewhere_needs() {
        let (state, store, snapshot) = state().await;
        let place = tempfile::tempdir().unwrap();
        let to = place.path().join("backup.tar");
        write(state.path(), &store, &to).await.unwrap();
        assert_eq!(to.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(place.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        // Again, over the old one, while the bot goes on.
        write(state.path(), &store, &to).await.unwrap();
        let elsewhere = place.path().join("state");
        restore(&to, &elsewhere).unwrap();
        let _lock = lock::acquire(&elsewhere).unwrap().unwrap();
        let restored = Store::open(&elsewhere.join(DATABASE), true).unwrap();
        assert_eq!(restored.number("kept").await.unwrap(), Some(7));
        assert!(
            restored.term() > store.term() + 100,
            "whatever the lost one still does is older"
        );
        let sealed = Sealed::open(&elsewhere).unwrap();
        assert_eq!(sealed.read(&snapshot).unwrap(), b"DB_PASSWORD=canary");
        assert_eq!(
            std::fs::read_to_string(elsewhere.join("instance")).unwrap(),
            "lowtide-abc\n"
        );
        assert!(elsewhere.join("paused").exists());
        assert!(!elsewhere.join(PARTIAL).exists());
        assert_eq!(elsewhere.metadata().unwrap().mode() & 0o777, 0o700);
        for name in [DATABASE, "seal.key", "instance"] {
            assert_eq!(elsewhere.join(name).metadata().unwrap().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn a_restore_overwrites_nothing() {
        let (state, store, _) = state().await;
        let place = tempfile::tempdir().unwrap();
        let to = place.path().join("backup.tar");
        write(state.path(), &store, &to).await.unwrap();
        assert!(matches!(restore(&to, state.path()), Err(RestoreError::NotEmpty { .. })));
        assert_eq!(store.number("kept").await.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn a_restore_that_broke_off_is_no_state_and_is_done_again() {
        let (state, store, _) = state().await;
        let place = tempfile::tempdir().unwrap();
        let to = place.path().join("backup.tar");
        write(state.path(), &store, &to).await.unwrap();
        let elsewhere = place.path().join("state");
        std::fs::create_dir_all(elsewhere.join(PARTIAL)).unwrap();
        std::fs::write(elsewhere.join("instance"), "half").unwrap();
        assert!(matches!(
            lock::acquire(&elsewhere),
            Err(StoreError::HalfRestored { .. })
        ));
        restore(&to, &elsewhere).unwrap();
        assert!(lock::acquire(&elsewhere).unwrap().is_some());
        assert_eq!(
            std::fs::read_to_string(elsewhere.join("instance")).unwrap(),
            "lowtide-abc\n"
        );
    }

    #[test]
    fn only_a_backup_is_restored() {
        let place = tempfile::tempdir().unwrap();
        let tar_of = |entries: &[(&str, &[u8])]| {
            let path = place.path().join("x.tar");
            let mut tar = tar::Builder::new(File::create(&path).unwrap());
            for (name, bytes) in entries {
                add(&mut tar, name, bytes).unwrap();
            }
            drop(tar.into_inner().unwrap());
            path
        };
        let refused = |entries: &[(&str, &[u8])]| {
            let state = place.path().join("state");
            let error = restore(&tar_of(entries), &state).unwrap_err();
            assert!(!state.join(DATABASE).exists() && !state.join(PARTIAL).exists());
            std::fs::remove_dir_all(&state).unwrap();
            error.to_string()
        };
        let key = "a".repeat(64);
        insta::assert_snapshot!(
            [
                refused(&[]),
                refused(&[("config.yml", b"x")]),
                refused(&[("sealed/not-a-hash", b"x")]),
                refused(&[(&format!("sealed/{key}"), b"x"), (DATABASE, b"")]),
                refused(&[(DATABASE, b"no database at all, but long enough to be taken for one")]),
            ]
            .join("\n"),
            @"
        this is no backup of lowtide: it has no database
        this is no backup of lowtide: it holds config.yml
        this is no backup of lowtide: it holds sealed/not-a-hash
        this is no backup of lowtide: it has sealed files and not their key
        this is no backup of lowtide: its database is damaged: file is not a database
        "
        );
        let missing = restore(&place.path().join("nothing"), &place.path().join("state"));
        assert!(matches!(missing, Err(RestoreError::Unread(_))));
    }
}
