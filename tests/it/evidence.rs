//! Inventories in the database: what they share is stored once, and goes with the last of them.

use jiff::Timestamp;
use lowtide::model::file_hash::FileHash;
use lowtide::model::image::ContentDigest;
use lowtide::model::inventory::{FileEntry, FileKind, Inventory};
use lowtide::store::database::Store;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// As many files as Debian's smallest image has, and a Python on top.
const FILES: usize = 7000;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + day * 86_400).unwrap()
}

fn content(name: &str) -> ContentDigest {
    format!("sha256:{}", FileHash(Sha256::digest(name).into()))
        .parse()
        .unwrap()
}

fn file(seed: &str) -> FileEntry {
    let sha256 = FileHash(Sha256::digest(seed).into());
    FileEntry {
        kind: FileKind::File { sha256, size: 4096 },
        mode: 0o644,
        uid: 0,
        gid: 0,
        capability: None,
    }
}

fn path(n: usize) -> String {
    format!("usr/lib/python3/dist-packages/package{:03}/module{n:04}.py", n / 25)
}

pub(crate) fn empty_inventory() -> Inventory {
    let json = r#"{"image":"sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "platform":{"os":"linux","architecture":"amd64"},"os":null,"packages":[],"config":{},"files":{}}"#;
    serde_json::from_str(json).unwrap()
}

/// One that no other fleet has.
fn inventory(seed: &str, files: usize) -> Inventory {
    let mut inventory = empty_inventory();
    inventory.files = (0..files).map(|n| (path(n), file(&format!("{seed}/{n}")))).collect();
    inventory
}

/// Three packages are updated: their files are others, and one comes and one goes.
fn updated(inventory: &mut Inventory, night: usize) {
    for package in [night * 7, night * 7 + 90, night * 7 + 170].map(|n| n % (FILES / 25)) {
        for n in package * 25..package * 25 + 25 {
            inventory.files.insert(path(n), file(&format!("night {night}/{n}")));
        }
        inventory
            .files
            .remove(&format!("{}.{}", path(package * 25), night.saturating_sub(40)));
        let new = format!("{}.{night}", path(package * 25));
        inventory.files.insert(new.clone(), file(&new));
    }
}

struct Place {
    store: Store,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lowtide.db");
    Place {
        store: Store::open(&path, true).unwrap(),
        path,
        _dir: dir,
    }
}

fn number(path: &Path, sql: &str) -> u64 {
    let database = rusqlite::Connection::open(path).unwrap();
    let number: Option<i64> = database.query_row(sql, [], |row| row.get(0)).unwrap();
    number.unwrap_or(0).try_into().unwrap()
}

/// Bytes of all pieces.
fn stored(path: &Path) -> u64 {
    number(path, "SELECT sum(length(body)) FROM piece_bodies")
}

#[tokio::test]
async fn what_two_releases_have_in_common_is_stored_once() {
    let place = place();
    let first = inventory("web", FILES);
    place.store.store_inventory(content("1"), &first, at(0)).await.unwrap();
    let alone = stored(&place.path);
    let mut second = first.clone();
    updated(&mut second, 1);
    place.store.store_inventory(content("2"), &second, at(1)).await.unwrap();
    let both = stored(&place.path);
    assert!(both < alone * 115 / 100, "{alone} bytes alone, {both} both");
    assert_eq!(place.store.inventory(&content("1")).await.unwrap(), Some(first));
    assert_eq!(
        place.store.inventory(&content("2")).await.unwrap(),
        Some(second.clone())
    );

    place
        .store
        .forget_evidence(at(9), BTreeSet::from([content("2")]))
        .await
        .unwrap();
    assert_eq!(place.store.inventory(&content("1")).await.unwrap(), None);
    assert_eq!(
        place.store.inventory(&content("2")).await.unwrap(),
        Some(second),
        "what both used is still used"
    );
    place.store.forget_evidence(at(9), BTreeSet::new()).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM pieces) + (SELECT count(*) FROM piece_bodies)";
    assert_eq!(number(&place.path, left), 0);
}

#[tokio::test]
async fn a_content_that_is_inventoried_again_is_one_row() {
    let place = place();
    let one = inventory("web", 300);
    for day in 0..3 {
        place.store.store_inventory(content("1"), &one, at(day)).await.unwrap();
    }
    assert_eq!(number(&place.path, "SELECT max(uses) FROM pieces"), 1);
    let another = inventory("other", 200);
    place
        .store
        .store_inventory(content("1"), &another, at(4))
        .await
        .unwrap();
    assert_eq!(place.store.inventory(&content("1")).await.unwrap(), Some(another));
    place.store.forget_evidence(at(4), BTreeSet::new()).await.unwrap();
    assert!(
        place.store.inventory(&content("1")).await.unwrap().is_some(),
        "it is of the fourth day"
    );
    let empty = inventory("none", 0);
    place.store.store_inventory(content("1"), &empty, at(5)).await.unwrap();
    assert_eq!(place.store.inventory(&content("1")).await.unwrap(), Some(empty));
    assert_eq!(number(&place.path, "SELECT count(*) FROM pieces"), 0);
}

/// Of an app whose image is another one every night; nine of its inventories are stored.
#[tokio::test]
async fn many_nights_of_one_app_take_little_more_than_one() {
    let place = place();
    let mut now = inventory("web", FILES);
    let mut most = 0;
    for night in 0..30 {
        updated(&mut now, night);
        let name = |night: usize| content(&night.to_string());
        let today = at(night as i64);
        place.store.store_inventory(name(night), &now, today).await.unwrap();
        let needed = BTreeSet::from([name(night), name(night.saturating_sub(1))]);
        let past = today - lowtide::decide::retention::EVIDENCE;
        place.store.forget_evidence(past, needed).await.unwrap();
        most = most.max(stored(&place.path));
    }
    assert!(most < 1_000_000, "{most} bytes");
}
