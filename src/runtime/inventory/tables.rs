//! A cache of layer tables, so that a base which many images share is read once, and of the package states of whole images.

use crate::store::layer_cache::LayerCache;
use crate::store::packed;
use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;
use lowtide_model::image::{DiffId, ImageId};
use lowtide_model::package_state::PackageState;
use lowtide_packages::layer::table::LayerTable;
use lowtide_packages::layer::wanted::Wanted;
use std::io::{self, Read, Write};

/// Of a stored table. One with a million entries is about this large.
const MAX_BYTES: u64 = 512 << 20;
/// Of what is stored; a change of [`LayerTable`] raises it.
const VERSION: u32 = 1;
/// Raise it when `survey::state` selects other parts of an image.
const STATE: u32 = 1;

/// Where tables are stored, if anywhere.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    cache: Option<LayerCache>,
}

impl Tables {
    #[must_use]
    pub fn new(cache: LayerCache) -> Self {
        Self { cache: Some(cache) }
    }

    /// Nothing is stored.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A table that cannot be used is as if it was not there.
    pub(super) fn get(&self, diff_id: &DiffId) -> Option<LayerTable> {
        let cache = self.cache.as_ref()?;
        let body = cache.get(&key(diff_id))?;
        let mut json = Vec::new();
        let read = ZlibDecoder::new(body.as_slice()).take(MAX_BYTES).read_to_end(&mut json);
        let table: LayerTable = read.ok().and_then(|_| serde_json::from_slice(&json).ok())?;
        (table.diff_id == *diff_id).then_some(table)
    }

    /// All or none: with one missing, an engine sends them all again.
    pub(super) fn all(&self, diff_ids: &[DiffId]) -> Option<Vec<LayerTable>> {
        diff_ids.iter().map(|diff_id| self.get(diff_id)).collect()
    }

    /// The package state of this image, if it was read before.
    pub(in crate::runtime) fn state(&self, image: &ImageId) -> Option<PackageState> {
        let body = self.cache.as_ref()?.get(&state_key(image))?;
        packed::unpack(&body).ok()
    }

    /// What cannot be stored is read again next time.
    pub(in crate::runtime) fn put_state(&self, image: &ImageId, state: &PackageState) {
        let Some(cache) = &self.cache else { return };
        let stored =
            packed::pack(state).and_then(|body| cache.put(&state_key(image), &body).map_err(|e| e.to_string()));
        if let Err(error) = stored {
            tracing::debug!(%image, %error, "the package state of the image cannot be cached");
        }
    }

    /// What cannot be stored is read again next time.
    pub(super) fn put(&self, table: &LayerTable) {
        let Some(cache) = &self.cache else { return };
        let key = key(&table.diff_id);
        if cache.has(&key) {
            return;
        }
        match deflated(table).and_then(|body| cache.put(&key, &body)) {
            Ok(()) => {}
            Err(error) => tracing::debug!(layer = %table.diff_id, %error, "the table of a layer cannot be cached"),
        }
    }
}

fn key(diff_id: &DiffId) -> String {
    let hex = diff_id.as_str().trim_start_matches("sha256:");
    format!("{hex}-{}-{VERSION}", Wanted::inventory().fingerprint())
}

/// The id suffices: it is a hash of everything that is read of the image.
fn state_key(image: &ImageId) -> String {
    let hex = image.as_str().trim_start_matches("sha256:");
    let form = format!(
        "{}-{VERSION}.{STATE}.{}",
        Wanted::inventory().fingerprint(),
        packed::FORM
    );
    format!("packages-{hex}-{form}")
}

fn deflated(table: &LayerTable) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let mut buffered = io::BufWriter::new(&mut encoder);
    serde_json::to_writer(&mut buffered, table)?;
    buffered.flush()?;
    drop(buffered);
    encoder.finish()
}
