//! Archives that are broken or lie. None of them is ever taken for "nothing new".

use super::site::{DISTS, INDEX, Trick, World, gzip, limits, package};
use lowtide::clients::archive::fetch::Limits;
use std::time::Duration;

const DATE: &str = "Date: Sat, 11 Jul 2026 10:00:00 UTC\n";

fn inrelease() -> String {
    format!("{DISTS}/InRelease")
}

fn index() -> String {
    format!("{DISTS}/{INDEX}")
}

#[tokio::test]
async fn stale_unsigned_and_wrongly_signed() {
    let world = World::new().await;
    let until = "Valid-Until: Sat, 11 Jul 2026 20:00:00 UTC\n";
    world.sign(&world.dated(&format!("{DATE}{until}"), &[INDEX]));
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release expired on 2026-07-11T20:00:00Z: the package repository or its mirror is no longer updated");
    let unchecked = world.query(&world.wanting("check-valid-until=no", "stable main")).await;
    insta::assert_snapshot!(world.words(&unchecked), @"known: [1] packages; skipped []");
    world.sign(&world.dated("Date: Mon, 13 Jul 2026 10:00:00 UTC\n", &[INDEX]));
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release is dated 2026-07-13T10:00:00Z, which is in the future: a clock is wrong");
    world.sign(&world.dated("Date: Fri, 10 Jul 2026 10:00:00 UTC\n", &[INDEX]));
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release is of 2026-07-10T10:00:00Z, older than the one of 2026-07-11T10:00:00Z that it gave us before");
    world.site.put(&inrelease(), world.dated(DATE, &[INDEX]));
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release is not believed: it is not signed");
    let other = world.stranger();
    world.sign_by(&other, &world.dated(DATE, &[INDEX]));
    insta::assert_snapshot!(world.said().await.replace(&other, "OTHER"), @"unknown: SITE/debian/ stable: its Release is not believed: it is signed by OTHER, which is in none of the keyrings: etc/apt/trusted.gpg.d/example.gpg");
    world.sign("not a Release\n");
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its index cannot be read: Release, line 1: neither a field nor a continuation of one");
}

#[tokio::test]
async fn a_release_that_is_cut_off_or_changed() {
    let world = World::new().await;
    let whole = world.site.get(&inrelease());
    world.site.put(&inrelease(), &whole[..whole.len() / 2]);
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release is not believed: its signature cannot be read: it ends before its signature");
    let changed = String::from_utf8(whole.clone()).unwrap().replace("stable", "oldest");
    world.site.put(&inrelease(), changed);
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release is not believed: its signature by KEY is wrong: the text was changed after it was signed");
    world.site.put(&inrelease(), whole);
    world.site.trick(&inrelease(), Trick::Break);
    let said = world.said().await;
    assert!(said.contains("stable/InRelease ends after "), "{said}");
    world.site.trick(&inrelease(), Trick::BreakOnce);
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
}

#[tokio::test]
async fn an_index_that_is_not_what_the_release_says() {
    let world = World::new().await;
    let whole = world.site.get(&index());
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    world.site.put(&index(), flipped);
    let said = world.said().await;
    assert!(said.starts_with("unknown: SITE/debian/ stable: SITE/debian/dists/stable/main/binary-amd64/Packages.gz is not what its Release says: sha256 "), "{said}");
    // Asked once more with a new Release, in case the mirror was just being updated; not for ever.
    assert_eq!(world.site.seen().len(), 4);
    world.site.put(&index(), &whole[..whole.len() - 1]);
    let said = world.said().await;
    assert!(
        said.contains(&format!("ends after {} bytes of {}", whole.len() - 1, whole.len())),
        "{said}"
    );
    world.site.put(&index(), [whole.clone(), vec![0]].concat());
    let said = world.said().await;
    assert!(
        said.contains(&format!("is larger than {} bytes", whole.len())),
        "{said}"
    );
    world.site.remove(&index());
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: SITE/debian/dists/stable/main/binary-amd64/Packages.gz does not exist");
    world.site.put(&index(), whole);
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
}

#[tokio::test]
async fn a_mirror_that_is_updated_meanwhile_is_queried_once_more() {
    let mut world = World::new().await;
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
    // Last night's Release is served, tonight's index is there already; asked without a condition, the server has the new one.
    let old = world.site.get(&inrelease());
    world.publish(&(package("a", "1.1") + &package("b", "1")));
    world.site.put(&format!("{DISTS}/new"), world.site.get(&inrelease()));
    world.site.put(&inrelease(), old);
    std::fs::remove_dir_all(world.state.path().join("archives")).unwrap();
    world.restart();
    world.site.trick(
        &inrelease(),
        Trick::SentTo(format!("{}/{DISTS}/new", world.site.address)),
    );
    assert_eq!(world.said().await, "known: [2] packages; skipped []");
}

#[tokio::test]
async fn web_pages_and_other_responses() {
    let world = World::new().await;
    for path in [inrelease(), index()] {
        world
            .site
            .trick(&path, Trick::Page("<!DOCTYPE html><title>Log in</title>"));
        let said = world.said().await;
        assert!(
            said.ends_with(
                "is a web page, not an index: something on the way answers in place of the package repository"
            ),
            "{said}"
        );
        world.site.honest();
    }
    for (status, words) in [
        (
            404,
            "unknown: SITE/debian/ stable: SITE/debian/dists/stable/Release does not exist",
        ),
        (
            401,
            "unknown: SITE/debian/ stable: SITE/debian/dists/stable/InRelease may not be read (401)",
        ),
        (
            500,
            "unknown: SITE/debian/ stable: the server of SITE/debian/dists/stable/InRelease answered 500",
        ),
        (
            418,
            "unknown: SITE/debian/ stable: the server of SITE/debian/dists/stable/InRelease answered 418",
        ),
    ] {
        world.site.trick(&inrelease(), Trick::Status(status));
        assert_eq!(world.said().await, words);
    }
    world.site.trick(
        &inrelease(),
        Trick::SentTo(format!("{}/{}", world.site.address, inrelease())),
    );
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: SITE/debian/dists/stable/InRelease was sent on more than 5 times");
}

#[tokio::test]
async fn endless_silent_and_inflating() {
    let impatient = Limits {
        silence: Duration::from_secs(1),
        ..limits()
    };
    let world = World::with(impatient).await;
    world.site.trick(&inrelease(), Trick::Endless);
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: SITE/debian/dists/stable/InRelease is larger than 16777216 bytes");
    world.site.trick(&inrelease(), Trick::Silence);
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: SITE/debian/dists/stable/InRelease did not finish within 1s");
    world.site.honest();
    world.site.trick(&index(), Trick::Endless);
    let said = world.said().await;
    assert!(said.contains("Packages.gz is larger than "), "{said}");
    world.site.honest();
    // 64 kB that unpack to 64 MB of one line, signed by the archive itself.
    world.site.put(&index(), gzip(&vec![b'x'; 64 << 20]));
    world.sign(&world.dated(DATE, &[INDEX]));
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its index cannot be read: SITE/debian/dists/stable/main/binary-amd64/Packages.gz, line 1: an entry longer than 8388608 bytes");
    world.site.put(&index(), b"not gzip at all");
    world.sign(&world.dated(DATE, &[INDEX]));
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: SITE/debian/dists/stable/main/binary-amd64/Packages.gz cannot be unpacked: invalid gzip header");
}

#[tokio::test]
async fn one_bad_archive_says_nothing_about_the_others() {
    let world = World::new().await;
    let gone = world.wanting("", "gone main");
    let results = world.suites().results(&[gone, world.wanted()]).await;
    let said: Vec<String> = results.iter().map(|result| world.words(result)).collect();
    insta::assert_debug_snapshot!(said, @r#"
    [
        "unknown: SITE/debian/ gone: SITE/debian/dists/gone/Release does not exist",
        "known: [1] packages; skipped []",
    ]
    "#);
}
