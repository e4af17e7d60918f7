//! One `Packages` file: kept in its compact form under the hash that a signed `Release` gives it, fetched when it is not.

use super::known::Unknown;
use crate::clients::archive::error::ArchiveError;
use crate::clients::archive::fetch::{ArchiveClient, Expected, FileRequest, Got};
use crate::clients::archive::unpack::{Packing, unpack};
use crate::clients::pipe::{Pipe, pipe};
use crate::runtime::archives::visit::Archives;
use crate::store::archives::ArchiveCache;
use lowtide_apt::index::read::Index;
use lowtide_apt::release::{Listed, Release};
use lowtide_packages::families::apt::believe::{IndexFile, listed};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

/// Debian's sid has 10 MB packed and 60 MB unpacked.
const PACKED: u64 = 256 << 20;
const UNPACKED: u64 = 2 << 30;
/// Packed files in memory, and readers at work, at the same time.
const AT_ONCE: usize = 4;

/// Indexes of all archives.
pub(super) struct Indexes {
    /// Indexes that someone still uses are not read twice.
    in_use: Mutex<BTreeMap<String, Weak<Index>>>,
    turns: Semaphore,
}

/// The indexes of one repository during one visit. Each is loaded once, for any number of sources.
#[derive(Default)]
pub(super) struct Loads {
    loads: Mutex<BTreeMap<String, Load>>,
}

type Load = Arc<OnceCell<Result<Arc<Index>, Arc<Unknown>>>>;

impl Default for Indexes {
    fn default() -> Self {
        Self {
            in_use: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

impl Indexes {
    /// The index of `file`, whose hash `release` tells. `base`: where the `Release` is.
    pub(super) async fn load(
        &self,
        archives: &Archives,
        loads: &Loads,
        base: &str,
        release: &Release,
        file: &IndexFile,
    ) -> Result<Arc<Index>, Arc<Unknown>> {
        let Some(wanted) = File::of(base, release, file) else {
            let path = file.path.clone();
            return Err(Arc::new(Unknown::Unlisted { path }));
        };
        let cell = {
            let mut loads = loads.loads.lock().unwrap_or_else(PoisonError::into_inner);
            loads.entry(wanted.name.clone()).or_default().clone()
        };
        let loaded = cell.get_or_init(|| async { self.once(archives, &wanted).await.map_err(Arc::new) });
        loaded.await.clone()
    }

    async fn once(&self, archives: &Archives, file: &File) -> Result<Arc<Index>, Unknown> {
        if let Some(index) = self.in_use(&file.name) {
            return Ok(index);
        }
        // Fails only if the semaphore is closed, which never happens.
        let _turn = self.turns.acquire().await;
        let index = match cached(archives.cache.clone(), file.name.clone()).await {
            Some(index) => index,
            None => fetched(archives, file).await?,
        };
        let index = Arc::new(index);
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|_, index| index.strong_count() > 0);
        in_use.insert(file.name.clone(), Arc::downgrade(&index));
        Ok(index)
    }

    fn in_use(&self, name: &str) -> Option<Arc<Index>> {
        let in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.get(name)?.upgrade()
    }
}

/// Damaged is the same as missing.
async fn cached(cache: ArchiveCache, name: String) -> Option<Index> {
    let read = move || {
        let bytes = cache.read(&name)?;
        let index = Index::from_bytes(&bytes).ok();
        if index.is_none() {
            cache.remove(&name);
        }
        index
    };
    spawn_blocking(read).await.ok()?
}

/// Parses the index while it is downloaded; the result counts only if the whole file has the right hash.
async fn fetched(archives: &Archives, file: &File) -> Result<Index, Unknown> {
    // Repositories list an empty index for architectures that they have nothing for, and some do not have the file at all.
    let index = if file.empty {
        read(std::io::empty(), file.packing, &file.plain)?
    } else {
        let readers = Readers::of(file);
        arrives(&archives.client, file, &readers).await?;
        readers.last().await?
    };
    let (cache, name) = (archives.cache.clone(), file.name.clone());
    let store = move || {
        cache.write(&name, &index.to_bytes());
        index
    };
    spawn_blocking(store).await.map_err(|_| Unknown::Broken)
}

/// Downloads by hash where the repository offers that: such a URL has the same content throughout a mirror update.
async fn arrives(client: &ArchiveClient, file: &File, readers: &Readers<'_>) -> Result<(), ArchiveError> {
    let mut last = None;
    for url in file.by_hash.iter().chain([&file.plain]) {
        let request = FileRequest {
            url,
            limit: PACKED,
            cached: None,
            expected: Some(Expected {
                sha256: &file.listed.sha256,
                size: file.listed.size,
            }),
        };
        match client.get_into(&request, &|| readers.begin()).await {
            Ok(Got::Content { .. }) => return Ok(()),
            Ok(Got::Unchanged) => {}
            Err(error @ ArchiveError::NotFound { .. }) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| ArchiveError::NotFound {
        url: file.plain.clone(),
    }))
}

/// Parsers of an index during its download, one per attempt. Only the result of the last one counts.
struct Readers<'a> {
    file: &'a File,
    last: Mutex<Option<JoinHandle<Result<Index, Unknown>>>>,
}

impl<'a> Readers<'a> {
    fn of(file: &'a File) -> Self {
        let last = Mutex::default();
        Self { file, last }
    }

    fn begin(&self) -> Pipe {
        let (pipe, pieces) = pipe();
        let (packing, url) = (self.file.packing, self.file.plain.clone());
        let reader = spawn_blocking(move || read(pieces, packing, &url));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        pipe
    }

    async fn last(self) -> Result<Index, Unknown> {
        let last = self.last.into_inner().unwrap_or_else(PoisonError::into_inner);
        last.ok_or(Unknown::Broken)?.await.map_err(|_| Unknown::Broken)?
    }
}

fn read(packed: impl Read, packing: Packing, url: &str) -> Result<Index, Unknown> {
    let mut text = unpack(packed, packing, UNPACKED);
    Index::parse(&mut text, url).map_err(|error| match text.get_ref().fault(url) {
        // The text could not be parsed because of a fault in the packed file: report that.
        Some(fault) => Unknown::Fetch(fault),
        None => Unknown::Unreadable(error),
    })
}

/// One index in the packing that we take.
struct File {
    /// Under which its compact form is kept: the same for every packing and every archive that has the same content.
    name: String,
    packing: Packing,
    empty: bool,
    listed: Listed,
    by_hash: Option<String>,
    plain: String,
}

impl File {
    fn of(base: &str, release: &Release, file: &IndexFile) -> Option<Self> {
        let (packing, found) = Packing::ALL
            .into_iter()
            .find_map(|packing| Some((packing, listed(release, &file.path, packing.suffix())?)))?;
        let content = listed(release, &file.path, "").unwrap_or(found);
        let plain = format!("{base}{}{}", file.path, packing.suffix());
        let folder = plain.rsplit_once('/').map_or("", |(folder, _)| folder);
        Some(Self {
            name: format!("index-{}", content.sha256.to_ascii_lowercase()),
            packing: if content.size == 0 { Packing::Plain } else { packing },
            empty: content.size == 0,
            listed: found.clone(),
            by_hash: release
                .acquire_by_hash
                .then(|| format!("{folder}/by-hash/SHA256/{}", found.sha256)),
            plain,
        })
    }
}
