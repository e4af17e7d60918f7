//! Promotions by a bot over a real store and a real registry, without an engine.

use crate::registry::Images;
use axum::Router;
use axum::http::StatusCode;
use lowtide::clients::clock;
use lowtide::clients::engine::probe::ProbePath;
use lowtide::config::validate;
use lowtide::fleet::app_state::AppEvent;
use lowtide::model::name::{AppName, RunId};
use lowtide::model::release::Release;
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::runtime::fleet_status;
use lowtide::runtime::metrics;
use lowtide::runtime::progress::{Progress, Watcher};
use lowtide::runtime::supervisor::{Scope, Supervisor};
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::store::sealed::Sealed;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

fn app() -> AppName {
    "web".parse().unwrap()
}

/// What only hosts pull from is none of a promotion's business.
const UNREACHABLE: &str = "127.0.0.1:1";

/// The fleet, with the channel's repository at this address.
fn in_force(dir: &Path, revision: &str, image: &str, channel: &str) -> InForce {
    let text = format!(
        "version: 1
mode: active
hosts: {{ build: {{ docker: \"unix://{}\" }} }}
notify: {{ email: {{ smtp: \"smtp+plain://127.0.0.1:1\", from: a@example.org, operators: [ops@example.org] }} }}
apps:
  web:
    source: {{ repo: \"https://git.example.org/web.git\" }}
    publish: {{ image: \"{image}\", channels: [ {{ name: production, image: \"{channel}\", pull: \"{UNREACHABLE}/web\" }} ] }}
",
        dir.join("docker.sock").display()
    );
    let fleet = validate::fleet(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    InForce::new(revision.to_owned(), fleet, None, &dir.join("state")).unwrap()
}

/// What is told of promotions next.
async fn promotion(progress: &mut Watcher) -> String {
    loop {
        let seen = progress.next().await;
        if let Progress::Promoted { channel, tag, .. } = &seen {
            return format!("{channel} is {tag}");
        }
        if let Progress::PromotionFailed {
            channel,
            tag,
            failure,
            again,
            ..
        } = seen
        {
            let again = again.map_or("not tried again by itself", |_| "tried again by itself");
            return format!("{channel} lacks {tag}: {}; {again}", failure.kind.words());
        }
    }
}

async fn state(bot: &Bot) -> &'static str {
    let fleet_status = fleet_status::of_bot(bot).await.unwrap();
    fleet_status.apps[0].state().word()
}

async fn counted(bot: &Bot) -> String {
    let page = metrics::page::text(bot, metrics::page::Format::Text).await.unwrap();
    let lines = page.lines().filter(|line| line.starts_with("lowtide_promotions_total"));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A repository of a registry that answers nothing but errors.
async fn away() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("{}/away", listener.local_addr().unwrap());
    let errors = Router::new().fallback(|| async { StatusCode::INTERNAL_SERVER_ERROR });
    tokio::spawn(async move { axum::serve(listener, errors).await });
    away
}

fn one(image: &str) -> lowtide::model::release::Images {
    lowtide::model::release::Images::one(image.parse().unwrap(), image.parse().unwrap())
}

/// A registry that is away, a tag that is taken, and a place that takes it: each change of the configuration is one attempt.
#[tokio::test]
async fn a_promotion_that_fails_is_reported_once_and_comes_through_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("state")).unwrap();
    let _socket = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
    let (images, taken, free) = (Images::new().await, Images::new().await, Images::new().await);
    let (digest, config) = images.image("t1", "released").await;
    taken.image("t1", "someone else's").await;
    let away = away().await;

    let store = Store::open(&dir.path().join("state/lowtide.db"), true).unwrap();
    let release = Release {
        upstream: None,
        run: RunId(ulid::Ulid(7)),
        images: one(&config.to_string()),
        commit: Some("c".repeat(40)),
        tag: "t1".to_owned(),
        digest: Some(digest.to_string().parse().unwrap()),
        reference: format!("{}:t1", images.repository).parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: clock::now(),
    };
    let release = Box::new(release);
    let batch = Batch::new().app(&app(), &AppEvent::Released { release });
    store.commit(batch, clock::now()).await.unwrap();
    let sealed = Sealed::open(&dir.path().join("state")).unwrap();
    let image = images.repository.to_string();
    let first = in_force(dir.path(), "1", &image, &away);
    let bot = Bot::new(
        store,
        sealed,
        dir.path().join("state"),
        "lowtide-test".into(),
        ProbePath::HostView,
        first,
    );
    let bot = Arc::new(bot.await.unwrap());
    let mut progress = bot.watchers.watch(&[app()]);
    let stop = CancellationToken::new();
    let (supervisor, _requests) = Supervisor::new(Arc::clone(&bot), Scope::All, stop.clone());
    let supervised = tokio::spawn(supervisor.run());

    let mut story = Vec::new();
    let mails = async || bot.store.pending_notices().await.unwrap();
    story.push(promotion(&mut progress).await);
    story.push(format!("  {}, {} mails", state(&bot).await, mails().await));
    for (revision, channel) in [("2", &taken.repository), ("3", &free.repository)] {
        bot.put_in_force(in_force(dir.path(), revision, &image, &channel.to_string()));
        story.push(promotion(&mut progress).await);
        story.push(format!("  {}, {} mails", state(&bot).await, mails().await));
    }
    insta::assert_snapshot!(story.join("\n"), @"
    production lacks t1: the registry refused a request; tried again by itself
      unpromoted, 0 mails
    production lacks t1: the tag exists with another digest; not tried again by itself
      unpromoted, 1 mails
    production is t1
      new, 2 mails
    ");
    // Nothing that happens meanwhile tries again what is there.
    let journal = bot.store.app_events(&app()).await.unwrap();
    let attempts = journal
        .iter()
        .filter(|recorded| matches!(recorded.event, AppEvent::PromoteStarted { .. }));
    assert_eq!(attempts.count(), 3);
    insta::assert_snapshot!(counted(&bot).await, @r#"
    lowtide_promotions_total{result="failed"} 2
    lowtide_promotions_total{result="promoted"} 1
    "#);
    stop.cancel();
    supervised.await.unwrap().unwrap();
}
