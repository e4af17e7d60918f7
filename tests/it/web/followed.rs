//! The configuration in force follows the place where it lives.

use super::{BAD, bot, good};
use lowtide::runtime::bot::Bot;
use lowtide::runtime::config_watch::{Place, Seen, Watch};
use std::path::Path;
use std::process::Command;

fn apps(bot: &Bot) -> Vec<String> {
    bot.in_force().fleet.apps.keys().map(ToString::to_string).collect()
}

/// Good, bad, bad again, other bad, gone, good: at a place that `put` changes.
async fn good_bad_good(place: Place, put: impl Fn(Option<&str>)) {
    let dir = tempfile::tempdir().unwrap();
    let bot = bot(dir.path()).await;
    let mut watch = Watch::new(place.clone(), None);
    put(Some(&good("first")));
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::TakenUp);
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::Same);
    assert_eq!(apps(&bot), ["first"]);
    put(Some(BAD));
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::Refused);
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::Same);
    // A restart forgets what it saw; the outbox does not.
    assert_eq!(Watch::new(place, None).look(&bot).await.unwrap(), Seen::Refused);
    assert_eq!(apps(&bot), ["first"]);
    assert_eq!(bot.store.pending_notices().await.unwrap(), 2, "one per operator");
    put(None);
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::Blind);
    put(Some(&good("second")));
    assert_eq!(watch.look(&bot).await.unwrap(), Seen::TakenUp);
    assert_eq!(apps(&bot), ["second"]);
    let (revision, fleet) = bot.store.last_revision().await.unwrap().unwrap();
    assert_eq!(revision, bot.in_force().revision);
    assert_eq!(fleet, bot.in_force().fleet);
    assert_eq!(bot.store.pending_notices().await.unwrap(), 2);
}

#[tokio::test]
async fn a_file_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yml");
    good_bad_good(Place::parse(path.to_str().unwrap()), |text| match text {
        Some(text) => std::fs::write(&path, text).unwrap(),
        None => std::fs::remove_file(&path).unwrap(),
    })
    .await;
}

#[tokio::test]
async fn a_git_repository_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (work, away) = (dir.path().join("work"), dir.path().join("away"));
    std::fs::create_dir(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main"]);
    let place = Place::parse(&format!("file://{}#main:fleet/lowtide.yml", work.display()));
    good_bad_good(place, |text| {
        if away.exists() {
            std::fs::rename(&away, &work).unwrap();
        }
        match text {
            Some(text) => {
                std::fs::create_dir_all(work.join("fleet")).unwrap();
                std::fs::write(work.join("fleet/lowtide.yml"), text).unwrap();
                git(&work, &["add", "-A"]);
                git(
                    &work,
                    &[
                        "-c",
                        "user.name=t",
                        "-c",
                        "user.email=t@example.org",
                        "commit",
                        "-q",
                        "-m",
                        "x",
                    ],
                );
            }
            None => std::fs::rename(&work, &away).unwrap(),
        }
    })
    .await;
}

pub(super) fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git").args(args).current_dir(dir).status().unwrap();
    assert!(done.success(), "git {args:?}");
}
