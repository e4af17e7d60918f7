//! Random worlds, judged by this machine's apt and by us. The first of them are judged with the other integration tests, too.

use crate::beside::worlds::judged_as_apt_judges_them;

/// Others by `LOWTIDE_TEST_WORLDS=from..to`.
#[test]
fn random_worlds_are_judged_as_apt_judges_them() {
    let seeds = std::env::var("LOWTIDE_TEST_WORLDS").ok().and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    judged_as_apt_judges_them(seeds.unwrap_or(0..1500));
}
