//! git as the rest of the house sees it: what a ref means now, a file of a commit. Each remote has a cached bare mirror.

use super::access::Access;
use super::address::Address;
use super::error::GitError;
use super::listing::{self, Entry, Followed, Kind};
use super::mirror::{self, Call, Mirror};
use jiff::Timestamp;
use lowtide_model::policy::Source;
use lowtide_model::stages::resolve::Commit;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

/// Bytes of a file read by [`Git::read_file`]: a Dockerfile, a configuration.
pub const MAX_FILE: u64 = 1 << 20;
/// What is in a file; `None`: there is none.
pub type Blob = Result<Option<Vec<u8>>, GitError>;
/// Characters of a commit's first line and author.
const MAX_SUBJECT: usize = 200;
/// File in a mirror whose age says when it was last of use.
pub(super) const USED: &str = "lowtide-used";
/// Whatever a repository or a machine says otherwise. A file rather than variables: the git that serves a `file://`
/// remote reads it as well.
const CONFIG: &str = "# Written by lowtide; changes are lost.
[safe]\n\tdirectory = *
[core]\n\thooksPath = /dev/null\n\tprotectHFS = true\n\tprotectNTFS = true\n\taskPass =\n\tfsmonitor = false
[credential]\n\thelper =\n\tinteractive = false
[transfer]\n\tfsckObjects = true
[fetch \"fsck\"]\n\tzeroPaddedFilemode = warn\n\tbadTimezone = warn\n\tmissingSpaceBeforeDate = warn\n\tmissingSpaceBeforeEmail = warn\n\tmissingEmail = warn\n\tbadEmail = warn
[fetch]\n\trecurseSubmodules = false
[gc]\n\tauto = 0
[maintenance]\n\tauto = false
[http]\n\tfollowRedirects = initial
[advice]\n\tdetachedHead = false
[init]\n\tdefaultBranch = main
";

/// Reads remotes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mirrors: PathBuf,
    locks: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    prepared: OnceCell<()>,
}

impl Git {
    /// `mirrors`: a directory of lowtide's own, created when first used. It also holds known ssh hosts.
    #[must_use]
    pub fn new(mirrors: PathBuf) -> Self {
        Self {
            inner: Arc::new(Inner {
                mirrors,
                locks: Mutex::default(),
                prepared: OnceCell::new(),
            }),
        }
    }

    /// Queries the remote for what the source's ref means now, and brings that commit into the mirror.
    ///
    /// # Errors
    /// Every way in which a remote can fail us; see [`GitError`].
    pub async fn resolve(&self, source: &Source) -> Result<Commit, GitError> {
        let mirror = self.open(source, &source.repo, deadline(source)).await?;
        let id = match mirror.resolve(&source.git_ref).await {
            Err(GitError::Broken { .. }) => {
                mirror.remake().await?;
                mirror.resolve(&source.git_ref).await?
            }
            other => other?,
        };
        describe(&mirror, &id).await
    }

    /// Checks whether the remote has the source's ref, and brings nothing but a commit that is wanted by its id.
    ///
    /// # Errors
    /// As [`Git::resolve`].
    pub async fn probe(&self, source: &Source) -> Result<String, GitError> {
        let mirror = self.open(source, &source.repo, deadline(source)).await?;
        mirror.probe(&source.git_ref).await
    }

    /// One file of a commit, links followed inside the repository; `None`: there is none.
    ///
    /// # Errors
    /// As [`Git::resolve`]; `TooLarge` beyond [`MAX_FILE`], `Hostile` for a path that leads out.
    pub async fn read_file(&self, source: &Source, commit: &str, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let mut files = self.read_files(source, commit, &[path]).await?;
        files.pop().unwrap_or(Ok(None))
    }

    /// Several files of a commit, each as by [`Git::read_file`].
    ///
    /// # Errors
    /// As [`Git::resolve`]; what is wrong with one file alone is in its place.
    pub async fn read_files(&self, source: &Source, commit: &str, paths: &[&str]) -> Result<Vec<Blob>, GitError> {
        let mirror = self.open(source, &source.repo, deadline(source)).await?;
        let (entries, links) = mirror.list_healed(commit, "").await?;
        let mut files = Vec::new();
        for path in paths {
            files.push(match find(path, &entries, &links) {
                Ok(Some(id)) => {
                    let args = ["cat-file", "blob", id];
                    let call = Call {
                        max_output: usize::try_from(MAX_FILE).unwrap_or(usize::MAX),
                        ..Call::local(&args)
                    };
                    Ok(Some(mirror.git(call).await?))
                }
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            });
        }
        Ok(files)
    }

    /// Paths of all files of a commit, from its root.
    ///
    /// # Errors
    /// As [`Git::resolve`].
    pub async fn files(&self, source: &Source, commit: &str) -> Result<Vec<String>, GitError> {
        let mirror = self.open(source, &source.repo, deadline(source)).await?;
        let (entries, _) = mirror.list_healed(commit, "").await?;
        let files = entries.into_iter().filter(|entry| entry.kind == Kind::File);
        Ok(files.map(|entry| entry.path).collect())
    }

    /// Removes mirrors that nobody used since then. Returns how many.
    ///
    /// # Errors
    /// `Io` when the directory cannot be read; a mirror that cannot be removed is left for the next sweep.
    pub async fn sweep(&self, unused_since: Timestamp) -> Result<usize, GitError> {
        let unreadable = || GitError::io("the git mirrors cannot be read");
        let mut removed = 0;
        let mut entries = match tokio::fs::read_dir(&self.inner.mirrors).await {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            other => other.map_err(unreadable())?,
        };
        while let Some(entry) = entries.next_entry().await.map_err(unreadable())? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let _lock = self.lock(&name).await;
            let used = tokio::fs::metadata(entry.path().join(USED))
                .await
                .and_then(|m| m.modified());
            let used = used.ok().and_then(|at| Timestamp::try_from(at).ok());
            if used.is_some_and(|at| at < unused_since) && tokio::fs::remove_dir_all(entry.path()).await.is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Opens the mirror of `url` with the source's limits; its credentials go to its own origin only.
    pub(super) async fn open(&self, source: &Source, url: &str, deadline: Instant) -> Result<Mirror, GitError> {
        let home = &self.inner.mirrors;
        self.inner
            .prepared
            .get_or_try_init(|| prepare(home))
            .await
            .map_err(GitError::io("the git mirrors cannot be created"))?;
        let address = Address::parse(url)?;
        let ours = Address::parse(&source.repo)?.origin() == address.origin();
        let access = if ours {
            Access::open(source, &address, home)?
        } else {
            Access::strangers(&address, home)
        };
        let name = mirror::name(&address);
        let mirror = Mirror {
            dir: home.join(&name),
            home: home.clone(),
            access,
            address,
            deadline,
            timeout: limit(source),
            max_size: source.max_size,
            _lock: self.lock(&name).await,
        };
        match mirror.prepare().await {
            Err(GitError::Broken { .. }) => mirror.remake().await?,
            other => other?,
        }
        Ok(mirror)
    }

    async fn lock(&self, name: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = self
            .inner
            .locks
            .lock()
            .await
            .entry(name.to_owned())
            .or_default()
            .clone();
        lock.lock_owned().await
    }
}

/// The id of a file's content.
fn find<'e>(path: &str, entries: &'e [Entry], links: &BTreeMap<String, String>) -> Result<Option<&'e str>, GitError> {
    if path.starts_with('/') || path.split('/').any(|name| name == "..") {
        let what = format!("the path {path:?} leads out of the repository");
        return Err(GitError::Hostile { what });
    }
    let place = match listing::follow(path, links) {
        Followed::Inside(place) => place,
        Followed::Nowhere => return Ok(None),
        Followed::Outside => {
            let what = format!("the path {path:?} leads out of the repository by a link");
            return Err(GitError::Hostile { what });
        }
    };
    let Some(entry) = entries.iter().find(|e| e.path == place && e.kind == Kind::File) else {
        return Ok(None);
    };
    if entry.size > MAX_FILE {
        return Err(GitError::TooLarge {
            what: format!("{path:?} with {} bytes", entry.size),
            limit: format!("{MAX_FILE} bytes"),
        });
    }
    Ok(Some(&entry.id))
}

/// The source's time limit, from now on. Waiting for another run that uses the same mirror counts.
pub(super) fn deadline(source: &Source) -> Instant {
    Instant::now() + limit(source)
}

fn limit(source: &Source) -> Duration {
    source.timeout.unsigned_abs()
}

pub(super) async fn describe(mirror: &Mirror, id: &str) -> Result<Commit, GitError> {
    let args = [
        "log",
        "-1",
        "--no-show-signature",
        "--no-mailmap",
        "--format=%H%x00%s%x00%an%x00%ct",
        "--end-of-options",
        id,
        "--",
    ];
    let output = mirror.git(Call::local(&args)).await?;
    let output = String::from_utf8_lossy(&output);
    let mut fields = output.trim_end().split('\0');
    let (id, subject, author, time) = (fields.next(), fields.next(), fields.next(), fields.next());
    let plain = |text: Option<&str>| {
        text.unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_SUBJECT)
            .collect()
    };
    Ok(Commit {
        id: id.unwrap_or_default().to_owned(),
        subject: plain(subject),
        author: plain(author),
        time: time
            .and_then(|t| Timestamp::from_second(t.parse().ok()?).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

async fn prepare(home: &Path) -> std::io::Result<()> {
    let keys = home.join("keys");
    match tokio::fs::remove_dir_all(&keys).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    for dir in [home, &keys, &home.join("home")] {
        tokio::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .await?;
    }
    let new = home.join("gitconfig.new");
    tokio::fs::write(&new, CONFIG).await?;
    tokio::fs::rename(new, home.join("gitconfig")).await
}
