//! Inventories in pieces, each stored once: two releases of an app have most files in common, and so have the apps on one base.
//!
//! Where a piece ends depends on paths alone. So a file that changed changes one piece, and one that came or went changes
//! the piece around it; all others are found again by their hash.

use super::sql;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use lowtide_model::inventory::{FileEntry, Inventory};
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// Files of a piece, on average. Fewer: a change costs less, and each inventory needs a longer list of its pieces.
const FILES: u32 = 64;
/// An inventory of a million files is about this large; more is not read back.
const MAX_BYTES: u64 = 512 << 20;

/// An inventory on its way into the store.
pub(super) struct Cut {
    /// All but the files.
    pub(super) head: Vec<u8>,
    pieces: Vec<Piece>,
}

struct Piece {
    hash: [u8; 32],
    body: Vec<u8>,
}

pub(super) fn cut(inventory: &Inventory) -> Result<Cut, String> {
    let head = Inventory {
        files: BTreeMap::new(),
        packages: inventory.packages.clone(),
        layers: inventory.layers.clone(),
        config: inventory.config.clone(),
        os: inventory.os.clone(),
        image: inventory.image.clone(),
        platform: inventory.platform.clone(),
    };
    let (mut pieces, mut open) = (Vec::new(), BTreeMap::new());
    for (path, entry) in &inventory.files {
        open.insert(path, entry);
        if ends_piece(path) {
            pieces.push(piece(&open)?);
            open.clear();
        }
    }
    if !open.is_empty() {
        pieces.push(piece(&open)?);
    }
    Ok(Cut {
        head: deflated(&json(&head)?)?,
        pieces,
    })
}

/// Counts a use of each piece, and adds those that are new. The result is the list to read them by.
pub(super) fn put(transaction: &Transaction<'_>, cut: &Cut) -> rusqlite::Result<Vec<u8>> {
    let mut count = transaction.prepare_cached(sql::USE_PIECE)?;
    let mut add = transaction.prepare_cached(sql::PUT_PIECE_BODY)?;
    let mut list = Vec::new();
    for piece in &cut.pieces {
        let (id, uses): (i64, i64) = count.query_row([&piece.hash], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if uses == 1 {
            add.execute(params![id, piece.body])?;
        }
        list.extend(id.to_le_bytes());
    }
    Ok(list)
}

/// Counts one use less of each piece of the list; those that nothing uses any more go.
pub(super) fn release(transaction: &Transaction<'_>, list: &[u8]) -> rusqlite::Result<()> {
    let mut count = transaction.prepare_cached(sql::RELEASE_PIECE)?;
    let mut unused = transaction.prepare_cached(sql::DELETE_PIECE)?;
    let mut body = transaction.prepare_cached(sql::DELETE_PIECE_BODY)?;
    for id in ids(list) {
        let uses: i64 = count.query_row([id], |row| row.get(0))?;
        if uses == 0 {
            body.execute([id])?;
            unused.execute([id])?;
        }
    }
    Ok(())
}

/// The pieces of the list as they are stored.
pub(super) fn bodies(connection: &Connection, list: &[u8]) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut body = connection.prepare_cached(sql::PIECE_BODY)?;
    ids(list).map(|id| body.query_row([id], |row| row.get(0))).collect()
}

pub(super) fn join(head: &[u8], bodies: &[Vec<u8>]) -> Result<Inventory, String> {
    let mut inventory: Inventory = inflated(head)?;
    for body in bodies {
        inventory.files.extend(inflated::<BTreeMap<String, FileEntry>>(body)?);
    }
    Ok(inventory)
}

fn ids(list: &[u8]) -> impl Iterator<Item = i64> {
    list.as_chunks().0.iter().map(|id| i64::from_le_bytes(*id))
}

fn ends_piece(path: &str) -> bool {
    let hash = Sha256::digest(path);
    let number = hash.iter().take(4).fold(0, |n, byte| n << 8 | u32::from(*byte));
    number % FILES == 0
}

fn piece(files: &BTreeMap<&String, &FileEntry>) -> Result<Piece, String> {
    let json = json(files)?;
    Ok(Piece {
        hash: Sha256::digest(&json).into(),
        body: deflated(&json)?,
    })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|e| e.to_string())
}

fn deflated(json: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(json).map_err(|e| e.to_string())?;
    encoder.finish().map_err(|e| e.to_string())
}

fn inflated<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut json = Vec::new();
    let mut decoder = ZlibDecoder::new(body).take(MAX_BYTES);
    decoder.read_to_end(&mut json).map_err(|e| e.to_string())?;
    serde_json::from_slice(&json).map_err(|e| e.to_string())
}
