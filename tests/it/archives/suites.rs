//! Archives as they should be: what is known, and how many requests that takes.

use super::site::{DISTS, HEAD, INDEX, World, gzip, package, sha256};
use lowtide::runtime::families::apt::known::{Proof, SuiteResult};

fn known(result: &SuiteResult) -> &lowtide::runtime::families::apt::known::Suite {
    match result {
        SuiteResult::Known(suite) => suite,
        SuiteResult::Unknown { source, why } => panic!("{source}: {why}"),
    }
}

#[tokio::test]
async fn a_thousand_images_are_one_visit_and_the_next_night_one_request() {
    let mut world = World::new().await;
    let images = vec![world.wanted(); 1000];
    let results = world.suites().results(&images).await;
    assert_eq!(results.len(), 1000);
    for result in &results {
        assert_eq!(known(result).indexes[0].index.len(), 1);
        assert!(matches!(&known(result).proof, Proof::Signed { by, .. } if *by == world.key));
    }
    insta::assert_debug_snapshot!(world.site.seen(), @r#"
    [
        "/debian/dists/stable/InRelease -> 200",
        "/debian/dists/stable/main/binary-amd64/Packages.gz -> 200",
    ]
    "#);
    drop(results);
    world.restart();
    let results = world.suites().results(&images).await;
    assert_eq!(known(&results[999]).indexes[0].index.len(), 1);
    insta::assert_debug_snapshot!(world.site.seen(), @r#"
    [
        "/debian/dists/stable/InRelease -> 304",
    ]
    "#);
    world.publish(&(package("a", "1.0") + &package("b", "1.0")));
    assert_eq!(world.said().await, "known: [2] packages; skipped []");
    assert_eq!(world.site.seen().len(), 2);
}

#[tokio::test]
async fn each_image_judges_by_its_own_keys_and_nothing_is_fetched_twice() {
    let world = World::new().await;
    let other = world.stranger();
    let mut stranger = world.wanted();
    stranger.trust = world.trust(&[&other]);
    let results = world
        .suites()
        .results(&[stranger.clone(), world.wanted(), stranger])
        .await;
    let said: Vec<String> = results.iter().map(|result| world.words(result)).collect();
    insta::assert_debug_snapshot!(said, @r#"
    [
        "unknown: SITE/debian/ stable: its Release is not believed: it is signed by KEY, which is in none of the keyrings: etc/apt/trusted.gpg.d/example.gpg",
        "known: [1] packages; skipped []",
        "unknown: SITE/debian/ stable: its Release is not believed: it is signed by KEY, which is in none of the keyrings: etc/apt/trusted.gpg.d/example.gpg",
    ]
    "#);
    assert_eq!(world.site.seen().len(), 2);
}

#[tokio::test]
async fn only_what_a_source_names_is_fetched() {
    let world = World::new().await;
    let i386 = "main/binary-i386/Packages";
    let contrib = "contrib/binary-amd64/Packages";
    for path in [i386, contrib, "main/Contents-amd64.gz"] {
        world.site.put(&format!("{DISTS}/{path}"), package("x", "1"));
    }
    let head = HEAD.replace("Components: main", "Components: main contrib");
    let date = "Date: Sat, 11 Jul 2026 10:00:00 UTC\n";
    world.sign(&world.release(
        &format!("{head}{date}"),
        &[INDEX, i386, contrib, "main/Contents-amd64.gz"],
    ));
    let mut both = world.wanting("", "stable main contrib non-free");
    both.architectures.push("riscv64".to_owned());
    insta::assert_snapshot!(world.words(&world.query(&both).await), @r#"known: [1, 1] packages; skipped ["it has nothing for the architecture riscv64", "it has no component non-free"]"#);
    insta::assert_debug_snapshot!(world.site.seen(), @r#"
    [
        "/debian/dists/stable/InRelease -> 200",
        "/debian/dists/stable/contrib/binary-amd64/Packages -> 200",
        "/debian/dists/stable/main/binary-amd64/Packages.gz -> 200",
    ]
    "#);
}

#[tokio::test]
async fn an_index_that_is_listed_as_empty_needs_no_file() {
    let world = World::new().await;
    let empty = "main/binary-i386/Packages";
    world.site.put(&format!("{DISTS}/{empty}"), "");
    world.sign(&world.dated("Date: Sat, 11 Jul 2026 10:00:00 UTC\n", &[INDEX, empty]));
    world.site.remove(&format!("{DISTS}/{empty}"));
    let mut both = world.wanted();
    both.architectures.push("i386".to_owned());
    assert_eq!(
        world.words(&world.query(&both).await),
        "known: [1, 0] packages; skipped []"
    );
}

#[tokio::test]
async fn by_hash_is_used_where_it_is_offered_and_the_plain_name_where_it_is_missing() {
    let world = World::new().await;
    let date = "Date: Sat, 11 Jul 2026 10:00:00 UTC\nAcquire-By-Hash: yes\n";
    world.sign(&world.dated(date, &[INDEX]));
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
    let tried = world.site.seen();
    assert!(
        tried[2].contains("/by-hash/SHA256/") && tried[2].ends_with("404"),
        "{tried:?}"
    );
    let packed = gzip(package("b", "2").as_bytes());
    let by_hash = format!("{DISTS}/main/binary-amd64/by-hash/SHA256/{}", sha256(&packed));
    world.site.put(&by_hash, packed.clone());
    world.site.put(&format!("{DISTS}/{INDEX}"), packed);
    world.sign(&world.dated(date, &[INDEX]));
    // The mirror is already at the next index under the plain name; the one by hash is still there.
    world.site.put(&format!("{DISTS}/{INDEX}"), gzip(b"next"));
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
    assert_eq!(world.site.seen().len(), 2);
}

#[tokio::test]
async fn an_archive_without_inrelease_has_release_and_its_signature() {
    let mut world = World::new().await;
    let release = world.dated("Date: Sat, 11 Jul 2026 10:00:00 UTC\n", &[INDEX]);
    world.site.remove(&format!("{DISTS}/InRelease"));
    world.site.put(&format!("{DISTS}/Release"), release.clone());
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release is not believed: it is not signed");
    let how = ["--faked-system-time", "20260711T100000!", "--detach-sign", "--armor"];
    let signature = world.gnupg.sign(&release, &[&world.key], &how);
    world.site.put(&format!("{DISTS}/Release.gpg"), signature);
    world.site.put(&format!("{DISTS}/Release"), release.clone() + "\n");
    insta::assert_snapshot!(world.said().await, @"unknown: SITE/debian/ stable: its Release is not believed: its signature by KEY is wrong: the text was changed after it was signed");
    world.site.put(&format!("{DISTS}/Release"), release);
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
    world.site.seen();
    world.restart();
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
    insta::assert_debug_snapshot!(world.site.seen(), @r#"
    [
        "/debian/dists/stable/InRelease -> 404",
        "/debian/dists/stable/Release -> 304",
    ]
    "#);
}

#[tokio::test]
async fn flat_archives_and_trusted_ones() {
    let world = World::new().await;
    world
        .site
        .put("debian/flat/Packages", package("x", "1") + &package("y", "1"));
    let bytes = world.site.get("debian/flat/Packages");
    let release = format!("SHA256:\n {} {} ./Packages\n", sha256(&bytes), bytes.len());
    world.site.put("debian/flat/Release", release);
    insta::assert_snapshot!(world.words(&world.query(&world.wanting("", "flat/")).await), @"unknown: SITE/debian/ flat/: its Release is not believed: it is not signed");
    let result = world.query(&world.wanting("trusted=yes", "flat/")).await;
    insta::assert_snapshot!(world.words(&result), @"known: [2] packages; skipped []");
    insta::assert_debug_snapshot!(known(&result).proof, @r"
    Unverified {
        why: Unsigned,
    }
    ");
    insta::assert_snapshot!(world.words(&world.query(&world.wanting("trusted=no", "stable main")).await), @"unknown: SITE/debian/ stable: the source says trusted=no, so apt takes nothing from it");
    // Asked to believe it anyway, lowtide still notices that it need not.
    let signed = world.query(&world.wanting("trusted=yes", "stable main")).await;
    assert!(matches!(known(&signed).proof, Proof::Signed { .. }));
}

#[tokio::test]
async fn what_is_damaged_in_the_cache_is_fetched_anew() {
    let mut world = World::new().await;
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
    world.site.seen();
    for entry in std::fs::read_dir(world.state.path().join("archives")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    world.restart();
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
    assert_eq!(world.site.seen().iter().filter(|line| line.ends_with("200")).count(), 2);
    // A cache that cannot be written costs requests, nothing else.
    std::fs::remove_dir_all(world.state.path().join("archives")).unwrap();
    std::fs::write(world.state.path().join("archives"), b"").unwrap();
    world.restart();
    assert_eq!(world.said().await, "known: [1] packages; skipped []");
}
