//! A handful of what `scripts/test truth` compares at length: what we say, beside what this machine's apt and dpkg say.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must panic")]

mod beside;

use beside::{versions, worlds};

#[test]
fn the_first_random_worlds_are_judged_as_apt_judges_them() {
    worlds::judged_as_apt_judges_them(0..100);
}

#[test]
fn some_versions_are_ordered_as_dpkg_orders_them() {
    let wrong = versions::ordered_otherwise(&versions::generated(1, 300));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
