use super::*;
use crate::store::journal::Batch;
use jiff::Timestamp;
use lowtide_model::image::Reference;
use lowtide_model::release::{Images, Release};
use std::collections::BTreeMap;
use ulid::Ulid;

fn web() -> AppName {
    "web".parse().unwrap()
}

fn digest(n: u64) -> String {
    format!("sha256:{n:064x}")
}

fn released(n: u64) -> AppEvent {
    let reference: Reference = format!("registry.example.org/web:t{n}").parse().unwrap();
    AppEvent::Released {
        release: Box::new(Release {
            upstream: None,
            run: RunId(Ulid::from_parts(n, 0)),
            images: Images::one(digest(n).parse().unwrap(), digest(n).parse().unwrap()),
            commit: None,
            tag: format!("t{n}"),
            digest: Some(digest(n).parse().unwrap()),
            reference,
            change: None,
            sidecars: BTreeMap::new(),
            at: Timestamp::UNIX_EPOCH,
        }),
    }
}

fn promoting(n: u64, to: &str) -> AppEvent {
    AppEvent::PromoteStarted {
        channel: "production".parse().unwrap(),
        release: RunId(Ulid::from_parts(n, 0)),
        reference: format!("{to}:production").parse().unwrap(),
        digest: digest(n).parse().unwrap(),
    }
}

async fn shown(store: &Store) -> Vec<String> {
    let tags = store.pushed_tags().await.unwrap();
    tags.iter()
        .map(|tag| format!("{}:{}", tag.repository, tag.tag))
        .collect()
}

#[tokio::test]
async fn what_is_pushed_and_removed_follows_from_the_events() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("lowtide.db"), true).unwrap();
    let commit = async |events: Vec<AppEvent>| {
        let batch = events
            .iter()
            .fold(Batch::new(), |batch, event| batch.app(&web(), event));
        store.commit(batch, Timestamp::UNIX_EPOCH).await.unwrap();
    };
    let prod = "prod.example.org/web";
    commit(vec![released(1), released(2), promoting(1, prod)]).await;
    // A second channel in the repository of the first, a promotion that is repeated, and a release that is unknown.
    commit(vec![
        promoting(2, "registry.example.org/web"),
        promoting(1, prod),
        promoting(7, prod),
    ])
    .await;
    assert_eq!(
        shown(&store).await,
        [
            "prod.example.org/web:t1",
            "registry.example.org/web:t1",
            "registry.example.org/web:t2"
        ]
    );
    let removed = |tags: &[&str]| AppEvent::TagsRemoved {
        repository: "registry.example.org/web".parse().unwrap(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    commit(vec![removed(&["t1", "t9"])]).await;
    assert_eq!(
        shown(&store).await,
        ["prod.example.org/web:t1", "registry.example.org/web:t2"]
    );
}

#[tokio::test]
async fn the_newest_pushed_tags_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("lowtide.db"), true).unwrap();
    let events: Vec<AppEvent> = (1..=5)
        .map(released)
        .chain([promoting(1, "prod.example.org/web")])
        .collect();
    let batch = events
        .iter()
        .fold(Batch::new(), |batch, event| batch.app(&web(), event));
    store.commit(batch, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(store.forget_pushed_tags(2).await.unwrap(), 3);
    assert_eq!(
        shown(&store).await,
        [
            "prod.example.org/web:t1",
            "registry.example.org/web:t4",
            "registry.example.org/web:t5"
        ]
    );
    assert_eq!(store.forget_pushed_tags(2).await.unwrap(), 0);
}
