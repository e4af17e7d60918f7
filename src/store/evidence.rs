//! Evidence bound to content, compressed: inventories, and what decides about upgrades.

use super::database::Store;
use super::error::StoreError;
use super::journal::stamp;
use super::{packed, sql};
use crate::model::image::ContentDigest;
use crate::model::inventory::Inventory;
use crate::model::package_state::PackageState;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use std::io::{Read, Write};

/// An inventory of a million files is about this large; more is not read back.
const MAX_BYTES: u64 = 512 << 20;

/// What a row proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inventory,
    Packages,
}

impl Kind {
    /// As the column `kind` has it.
    fn text(self) -> &'static str {
        match self {
            Kind::Inventory => "inventory",
            Kind::Packages => "packages",
        }
    }
}

impl Store {
    /// Keeps an inventory. The same content twice is one row.
    ///
    /// # Errors
    /// `Database`.
    pub async fn keep_inventory(
        &self,
        content: ContentDigest,
        inventory: &Inventory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.keep(Kind::Inventory, content, deflated(inventory), now).await
    }

    /// # Errors
    /// `Unreadable` when the row cannot be read by this version.
    pub async fn inventory(&self, content: &ContentDigest) -> Result<Option<Inventory>, StoreError> {
        self.kept(Kind::Inventory, content, inflated).await
    }

    /// Keeps what decides about the upgrades of an image with this content.
    ///
    /// # Errors
    /// `Database`.
    pub async fn keep_packages(
        &self,
        content: ContentDigest,
        state: &PackageState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.keep(Kind::Packages, content, packed::pack(state), now).await
    }

    /// # Errors
    /// `Unreadable` when the row cannot be read by this version.
    pub async fn packages(&self, content: &ContentDigest) -> Result<Option<PackageState>, StoreError> {
        self.kept(Kind::Packages, content, packed::unpack).await
    }

    async fn keep(
        &self,
        kind: Kind,
        content: ContentDigest,
        body: Result<Vec<u8>, String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let body = body.map_err(|why| StoreError::Unreadable {
            what: "evidence to write",
            why,
        })?;
        self.write(move |transaction| {
            transaction.execute(
                sql::PUT_EVIDENCE,
                params![content.as_str(), kind.text(), body, stamp(now)],
            )?;
            Ok(())
        })
        .await
    }

    async fn kept<T: Send + 'static>(
        &self,
        kind: Kind,
        content: &ContentDigest,
        unpack: fn(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, StoreError> {
        let content = content.to_string();
        let body = self
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(sql::EVIDENCE)?;
                let body = statement.query_row(params![content, kind.text()], |row| row.get::<_, Vec<u8>>(0));
                Ok(body.optional()?)
            })
            .await?;
        let Some(body) = body else { return Ok(None) };
        let unreadable = |why| StoreError::Unreadable { what: kind.text(), why };
        // Work that must not keep others waiting, a thousand times over where a whole fleet is asked for.
        match tokio::task::spawn_blocking(move || unpack(&body)).await {
            Ok(evidence) => evidence.map(Some).map_err(unreadable),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn deflated(inventory: &Inventory) -> Result<Vec<u8>, String> {
    let json = serde_json::to_vec(inventory).map_err(|e| e.to_string())?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&json).map_err(|e| e.to_string())?;
    encoder.finish().map_err(|e| e.to_string())
}

fn inflated(body: &[u8]) -> Result<Inventory, String> {
    let mut json = Vec::new();
    ZlibDecoder::new(body)
        .take(MAX_BYTES)
        .read_to_end(&mut json)
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(&json).map_err(|e| e.to_string())
}
