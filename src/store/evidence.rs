//! Evidence bound to content: inventories, compressed.

use super::database::Store;
use super::error::StoreError;
use crate::model::image::ContentDigest;
use crate::model::inventory::Inventory;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use std::io::{Read, Write};

/// An inventory of a million files is about this large; more is not read back.
const MAX_BYTES: u64 = 512 << 20;

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
        let unreadable = |why: String| StoreError::Unreadable {
            what: "inventory to write",
            why,
        };
        let json = serde_json::to_vec(inventory).map_err(|e| unreadable(e.to_string()))?;
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&json).map_err(|e| unreadable(e.to_string()))?;
        let body = encoder.finish().map_err(|e| unreadable(e.to_string()))?;
        self.write(move |transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO evidence (content, kind, body, at) VALUES (?1, 'inventory', ?2, ?3)",
                params![content.as_str(), body, now.to_string()],
            )?;
            Ok(())
        })
        .await
    }

    /// # Errors
    /// `Unreadable` when the row cannot be read by this version.
    pub async fn inventory(&self, content: &ContentDigest) -> Result<Option<Inventory>, StoreError> {
        let content = content.to_string();
        let body = self
            .call(move |connection| {
                let sql = "SELECT body FROM evidence WHERE content = ?1 AND kind = 'inventory'";
                Ok(connection
                    .query_row(sql, [content], |row| row.get::<_, Vec<u8>>(0))
                    .optional()?)
            })
            .await?;
        let Some(body) = body else { return Ok(None) };
        let mut json = Vec::new();
        let unreadable = |why: String| StoreError::Unreadable { what: "inventory", why };
        ZlibDecoder::new(body.as_slice())
            .take(MAX_BYTES)
            .read_to_end(&mut json)
            .map_err(|e| unreadable(e.to_string()))?;
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|e| unreadable(e.to_string()))
    }
}
