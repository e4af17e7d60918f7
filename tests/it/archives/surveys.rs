//! Surveys that are kept: used while everything that they rest on is the same, and never longer.

use super::site::{DISTS, INDEX, Trick, World, gzip, now, package};
use jiff::{SignedDuration, Timestamp};
use lowtide::model::image::ContentDigest;
use lowtide::model::name::RunId;
use lowtide::model::package_state::{Lineage, PackageState, Pinned};
use lowtide::model::release::{Images, Release};
use lowtide::runtime::outdated;
use lowtide::runtime::survey::images::Question;
use lowtide::store::database::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const DATE: &str = "Date: Sat, 11 Jul 2026 10:00:00 UTC\n";

/// An image that has this version of the package `a`.
fn image(world: &World, version: &str) -> Question {
    let status = format!("Package: a\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n\n");
    let sources = format!("deb {}/debian stable main\n", world.site.address);
    let files = [
        ("var/lib/dpkg/status", status.into_bytes()),
        ("var/lib/dpkg/arch", b"amd64\n".to_vec()),
        ("etc/apt/sources.list", sources.into_bytes()),
        ("etc/apt/trusted.gpg.d/example.gpg", world.gnupg.export(&[&world.key])),
    ];
    let state = PackageState {
        files: files.map(|(path, bytes)| (path.to_owned(), bytes)).into(),
        uncaptured: vec![],
        layers: BTreeMap::new(),
        lineage: Lineage::Unknown,
        doing: None,
    };
    Question {
        state: Arc::new(state),
        pinned: BTreeMap::new(),
        held: BTreeSet::new(),
    }
}

/// The pending packages, or the reason why they are not known. Restarts lowtide first.
async fn said(world: &mut World, question: Question, at: Timestamp) -> String {
    world.restart();
    let judging = world.archives.judging(Timestamp::MAX, at);
    let found = judging.image(question).await;
    let survey = &found.survey;
    let pending = survey
        .pending
        .iter()
        .map(|it| format!("{} {}", it.package, it.candidate));
    let unknown = survey.unknown.iter().map(|it| it.why.clone());
    let unavailable_pins = found
        .unavailable_pins
        .iter()
        .map(|it| format!("{} has vanished", it.version));
    let said = pending
        .chain(unknown)
        .chain(unavailable_pins)
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(survey.unseen, None);
    said.replace(&world.site.address, "SITE")
}

/// Removes the index from the repository and from the cache, and leaves the `Release`. A new survey would now fail.
fn without_index(world: &World) {
    world.site.trick(&format!("{DISTS}/{INDEX}"), Trick::Status(404));
    for file in std::fs::read_dir(world.state.path().join("archives"))
        .unwrap()
        .flatten()
    {
        if file.file_name().to_string_lossy().starts_with("index-") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_survey_is_used_again_while_the_repository_has_not_changed() {
    let mut world = World::new().await;
    let old = image(&world, "0.9");
    assert_eq!(said(&mut world, old.clone(), now()).await, "a 1.0");
    assert_eq!(world.site.seen().len(), 2);
    without_index(&world);
    assert_eq!(said(&mut world, old.clone(), now()).await, "a 1.0");
    // The repository is asked whether it has changed, each time.
    insta::assert_debug_snapshot!(world.site.seen(), @r#"
    [
        "/debian/dists/stable/InRelease -> 304",
    ]
    "#);
    // It cannot be asked: nothing is known.
    world.site.trick(&format!("{DISTS}/InRelease"), Trick::Status(500));
    insta::assert_snapshot!(said(&mut world, old.clone(), now()).await, @"the server of SITE/debian/dists/stable/InRelease answered 500");
    world.site.honest();
    world.publish(&package("a", "1.1"));
    assert_eq!(said(&mut world, old, now()).await, "a 1.1");
}

#[tokio::test]
async fn each_question_has_a_survey_of_its_own() {
    let mut world = World::new().await;
    let old = image(&world, "0.9");
    let pinned = |sure| Question {
        pinned: BTreeMap::from([(
            "a".to_owned(),
            Pinned {
                version: Some("0.9".to_owned()),
                written: "0.9".to_owned(),
                line: 3,
                sure,
                last: true,
            },
        )]),
        ..old.clone()
    };
    let mut keyless = old.clone();
    Arc::make_mut(&mut keyless.state)
        .files
        .remove("etc/apt/trusted.gpg.d/example.gpg");
    // Twice: made, and used again.
    for _ in 0..2 {
        assert_eq!(said(&mut world, old.clone(), now()).await, "a 1.0");
        let current = image(&world, "1.0");
        assert_eq!(said(&mut world, current, now()).await, "");
        assert_eq!(said(&mut world, pinned(true), now()).await, "a 1.0, 0.9 has vanished");
        assert_eq!(said(&mut world, pinned(false), now()).await, "a 1.0");
        let refused = said(&mut world, keyless.clone(), now()).await;
        assert!(refused.contains("its Release is not believed"), "{refused}");
    }
}

#[tokio::test]
async fn a_survey_holds_no_longer_than_the_release_and_for_no_earlier_time() {
    let mut world = World::new().await;
    world.sign(&world.dated(&format!("{DATE}Valid-Until: Mon, 13 Jul 2026 00:00:00 UTC\n"), &[INDEX]));
    let old = image(&world, "0.9");
    let hours = SignedDuration::from_hours;
    assert_eq!(said(&mut world, old.clone(), now()).await, "a 1.0");
    without_index(&world);
    assert_eq!(said(&mut world, old.clone(), now() + hours(23)).await, "a 1.0");
    let late = said(&mut world, old.clone(), now() + hours(25)).await;
    assert!(late.contains("its Release expired"), "{late}");
    // The clock was set back, so a new survey is needed, and it cannot find the index.
    let early = said(&mut world, old.clone(), now() - hours(1)).await;
    assert!(early.contains("does not exist"), "{early}");
}

#[tokio::test]
async fn what_is_not_known_is_not_stored_and_an_older_release_is_not_believed() {
    let mut world = World::new().await;
    let old = image(&world, "0.9");
    world.site.trick(&format!("{DISTS}/{INDEX}"), Trick::Status(404));
    let unknown = said(&mut world, old.clone(), now()).await;
    assert!(unknown.contains("does not exist"), "{unknown}");
    world.site.honest();
    assert_eq!(said(&mut world, old.clone(), now()).await, "a 1.0");
    // A newer state, and then a mirror that is behind.
    let before = world.site.get(&format!("{DISTS}/InRelease"));
    let packed = gzip(package("a", "1.1").as_bytes());
    world.site.put(&format!("{DISTS}/{INDEX}"), packed);
    world.sign(&world.dated("Date: Sat, 11 Jul 2026 12:00:00 UTC\n", &[INDEX]));
    assert_eq!(said(&mut world, old.clone(), now()).await, "a 1.1");
    world.site.put(&format!("{DISTS}/InRelease"), before);
    let behind = said(&mut world, old, now()).await;
    assert!(behind.contains("older than the one"), "{behind}");
}

/// Two apps whose package states are equal, and one that has another; `outdated --all` asks for them.
#[tokio::test]
async fn the_releases_of_a_fleet_are_surveyed_once_per_package_state() {
    let mut world = World::new().await;
    let store = Store::open(&world.state.path().join("lowtide.db"), false).unwrap();
    let mut releases = BTreeMap::new();
    for (number, (app, version)) in [("mail", "0.9"), ("shop", "0.8"), ("web", "0.9")]
        .into_iter()
        .enumerate()
    {
        let content: ContentDigest = format!("sha256:{number:064x}").parse().unwrap();
        let state = image(&world, version).state;
        store.store_packages(content.clone(), &state, now()).await.unwrap();
        releases.insert(app.parse().unwrap(), Some(release(content)));
    }
    let said = async |world: &mut World| -> Vec<String> {
        world.restart();
        let found = outdated::releases(Some(&store), &world.archives, &releases, now())
            .await
            .unwrap();
        let pending = found.iter().flat_map(|image| &image.survey.pending);
        let said = pending.map(|it| format!("{} → {}", it.installed.as_deref().unwrap(), it.candidate));
        said.collect()
    };
    let first = said(&mut world).await;
    assert_eq!(first, ["0.9 → 1.0", "0.8 → 1.0", "0.9 → 1.0"]);
    without_index(&world);
    assert_eq!(said(&mut world).await, first);
    world.site.honest();
    world.publish(&package("a", "1.1"));
    assert_eq!(said(&mut world).await, ["0.9 → 1.1", "0.8 → 1.1", "0.9 → 1.1"]);
}

fn release(content: ContentDigest) -> Release {
    Release {
        upstream: None,
        run: RunId(ulid::Ulid::nil()),
        images: Images::one(format!("sha256:{:064x}", 9).parse().unwrap(), content),
        commit: Some("1".repeat(40)),
        tag: "t".to_owned(),
        digest: None,
        reference: "example.org/app:t".parse().unwrap(),
        change: None,
        sidecars: BTreeMap::new(),
        at: now(),
    }
}
