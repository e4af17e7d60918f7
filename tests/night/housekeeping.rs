//! What a bot clears away, on a real engine, and what it leaves.

use crate::house::{House, Version};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Four nights with room for one image besides those that are needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_images_and_logs_go_and_the_way_back_stays() {
    let mut house = House::new("{ images: 1, logs: 1KiB, build_cache: 1MiB }", |_| {}).await;
    house.start_old().await;
    let bot = house.serve(|_| {});
    let mut nights = Vec::new();
    for _ in 0..4 {
        house.commit(Version::Good);
        assert!(house.night(), "{:#?}", house.said);
        nights.push(house.inspect().await["Image"].as_str().unwrap().to_owned());
    }
    bot.end();
    let runs = house.path("state/runs");
    assert_eq!(directories(&runs).len(), 4);

    let mut bot = house.serve(|_| {});
    bot.said("forgot what is past its time");
    let gone = bot.said("an old image is gone");
    bot.said("the bounds are kept");
    let log = bot.end();
    let left: BTreeSet<String> = house
        .images()
        .await
        .iter()
        .map(|i| i["Id"].as_str().unwrap().to_owned())
        .collect();
    // The newest runs, the one before is the way back, one more is kept.
    assert_eq!(left, nights[1..].iter().cloned().collect(), "{gone}");
    // One night's logs are about the bound, so that of the newest may stay.
    assert!(directories(&runs).len() <= 1, "{:?}", directories(&runs));
    assert!(!log.contains("cannot be"), "{log}");
    house.remove().await;
}

fn directories(of: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(of)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}
