//! Random images and repositories, judged by apk and by us.

use crate::case::{Said, tools};
use crate::universe::world;
use std::collections::BTreeMap;

const WORLDS: std::ops::Range<u64> = 0..1500;

#[test]
#[ignore = "needs apk: see main.rs"]
fn random_worlds_are_judged_as_apk_judges_them() {
    let range = std::env::var("LOWTIDE_TEST_WORLDS").ok().and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for seed in range.unwrap_or(WORLDS) {
        let case = world(seed);
        let ours = case.by_us();
        let root = folder.path().join(seed.to_string());
        let theirs: Vec<Said> = tools().iter().map(|tool| case.by_apk(tool, &root)).collect();
        std::fs::remove_dir_all(&root).unwrap();
        let one = theirs.windows(2).all(|pair| same(&pair[0], &pair[1]));
        let kind = match &ours {
            Said::Undecided(_) if one => "undecided, though one answer",
            Said::Undecided(_) => "undecided, as they are",
            Said::Refused(_) => "refused",
            Said::Done(actions) if actions.is_empty() => "nothing to do",
            Said::Done(_) => "something to do",
        };
        *count.entry(kind.to_owned()).or_default() += 1;
        if let Said::Undecided(why) = &ours {
            *reasons.entry(digest(why)).or_default() += 1;
        }
        if matches!(ours, Said::Undecided(_)) || theirs.iter().all(|it| same(it, &ours)) {
            continue;
        }
        println!("world {seed}: {case:?}\n  we: {ours:?}\n  they: {theirs:?}");
        wrong.push(seed);
    }
    println!("{reasons:#?}\n{count:#?}\n{} wrong", wrong.len());
    assert!(wrong.is_empty(), "not as apk says: {wrong:?}");
}

/// Without names and versions.
fn digest(why: &str) -> String {
    let plain = |word: &&str| word.len() > 2 && !word.contains(|c: char| c.is_ascii_digit());
    why.split(' ').filter(plain).collect::<Vec<_>>().join(" ")
}

pub(crate) fn same(a: &Said, b: &Said) -> bool {
    match (a, b) {
        (Said::Refused(_), Said::Refused(_)) => true,
        (a, b) => a == b,
    }
}
