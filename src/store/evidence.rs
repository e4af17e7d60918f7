//! Evidence bound to content, compressed: inventories, and what decides about upgrades.

use super::database::Store;
use super::error::StoreError;
use super::journal::stamp;
use super::{packed, pieces, sql};
use jiff::Timestamp;
use lowtide_model::image::ContentDigest;
use lowtide_model::inventory::Inventory;
use lowtide_model::package_state::PackageState;
use rusqlite::{OptionalExtension, Params, Row, Transaction, params};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What a row proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inventory,
    Packages,
}

/// Contents whose package states are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// SHA-256 of the state as it is stored.
    pub state: [u8; 32],
    /// At least one.
    pub contents: Vec<ContentDigest>,
}

/// Makes the evidence of its body and its pieces, or says why it cannot.
type Unpack<T> = fn(&[u8], &[Vec<u8>]) -> Result<T, String>;

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
    /// Stores an inventory. The same content twice is one row.
    ///
    /// # Errors
    /// `Database`.
    pub async fn store_inventory(
        &self,
        content: ContentDigest,
        inventory: &Inventory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let cut = pieces::cut(inventory).map_err(unwritten)?;
        self.write(move |transaction| {
            // Before the old row goes: what both have stays where it is.
            let list = pieces::put(transaction, &cut)?;
            put(transaction, (&content, Kind::Inventory), &cut.head, Some(&list), now)
        })
        .await
    }

    /// # Errors
    /// `Unreadable` when the row cannot be read by this version.
    pub async fn inventory(&self, content: &ContentDigest) -> Result<Option<Inventory>, StoreError> {
        self.load(Kind::Inventory, content, pieces::join).await
    }

    /// Stores what decides about the upgrades of an image with this content.
    ///
    /// # Errors
    /// `Database`.
    pub async fn store_packages(
        &self,
        content: ContentDigest,
        state: &PackageState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let body = packed::pack(state).map_err(unwritten)?;
        self.write(move |transaction| put(transaction, (&content, Kind::Packages), &body, None, now))
            .await
    }

    /// # Errors
    /// `Unreadable` when the row cannot be read by this version.
    pub async fn packages(&self, content: &ContentDigest) -> Result<Option<PackageState>, StoreError> {
        self.load(Kind::Packages, content, |body, _| packed::unpack(body)).await
    }

    /// Which of these contents have equal package states. Contents without a stored state are left out.
    ///
    /// # Errors
    /// `Database`.
    pub async fn alike(&self, contents: BTreeSet<ContentDigest>) -> Result<Vec<Alike>, StoreError> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(sql::EVIDENCE_HASH)?;
            let mut by_state: BTreeMap<[u8; 32], Vec<ContentDigest>> = BTreeMap::new();
            for content in contents {
                let params = params![content.as_str(), Kind::Packages.text()];
                if let Some(hash) = statement.query_row(params, |row| row.get(0)).optional()? {
                    by_state.entry(hash).or_default().push(content);
                }
            }
            let groups = by_state.into_iter();
            Ok(groups.map(|(state, contents)| Alike { state, contents }).collect())
        })
        .await
    }

    async fn load<T: Send + 'static>(
        &self,
        kind: Kind,
        content: &ContentDigest,
        unpack: Unpack<T>,
    ) -> Result<Option<T>, StoreError> {
        let content = content.to_string();
        let found = self
            .query(move |connection| {
                let mut statement = connection.prepare_cached(sql::EVIDENCE)?;
                let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
                let found: Option<(Vec<u8>, Option<Vec<u8>>)> =
                    statement.query_row(params![content, kind.text()], row).optional()?;
                let Some((body, list)) = found else { return Ok(None) };
                let list = list.unwrap_or_default();
                Ok(Some((body, pieces::bodies(connection, &list)?)))
            })
            .await?;
        let Some((body, pieces)) = found else { return Ok(None) };
        let unreadable = |why| StoreError::Unreadable { what: kind.text(), why };
        // Unpacking runs on a blocking thread, since it may happen a thousand times for a whole fleet and must not
        // delay other tasks.
        match tokio::task::spawn_blocking(move || unpack(&body, &pieces)).await {
            Ok(evidence) => evidence.map(Some).map_err(unreadable),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Deletes a row of before, with its uses of pieces.
pub(super) fn delete(
    transaction: &Transaction<'_>,
    statement: &'static str,
    params: impl Params,
) -> Result<(), StoreError> {
    let mut delete = transaction.prepare_cached(statement)?;
    let lists = delete.query_map(params, |row| row.get(0))?;
    let lists: Vec<Option<Vec<u8>>> = lists.collect::<Result<_, _>>()?;
    for list in lists.into_iter().flatten() {
        pieces::release(transaction, &list)?;
    }
    Ok(())
}

fn put(
    transaction: &Transaction<'_>,
    (content, kind): (&ContentDigest, Kind),
    body: &[u8],
    list: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    delete(
        transaction,
        sql::DELETE_ONE_EVIDENCE,
        params![content.as_str(), kind.text()],
    )?;
    let hash: Option<[u8; 32]> = match kind {
        Kind::Inventory => None,
        Kind::Packages => Some(Sha256::digest(body).into()),
    };
    let mut put = transaction.prepare_cached(sql::PUT_EVIDENCE)?;
    put.execute(params![content.as_str(), kind.text(), hash, body, list, stamp(now)])?;
    Ok(())
}

fn unwritten(why: String) -> StoreError {
    StoreError::Unreadable {
        what: "evidence to write",
        why,
    }
}
