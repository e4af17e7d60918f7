//! Expired release tags and the daily look, by a bot over a real store and a real registry, without an engine.

use crate::registry::Images;
use lowtide::clients::clock;
use lowtide::clients::engine::probe::ProbePath;
use lowtide::clients::registry::copy::TagRule;
use lowtide::config::validate;
use lowtide::decide::{daily_report, notify};
use lowtide::fleet::app_state::AppEvent;
use lowtide::model::image::{Reference, Repository, ServedDigest};
use lowtide::model::name::{AppName, RunId};
use lowtide::model::release::{Images as ReleaseImages, Release};
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::runtime::registry_watch::{self, Found};
use lowtide::runtime::{fleet_status, registry_tags};
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::store::sealed::Sealed;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixListener;
use std::path::Path;

fn app() -> AppName {
    "web".parse().unwrap()
}

fn in_force(dir: &Path, image: &str, channel: &str, retention: &str) -> InForce {
    let text = format!(
        "version: 1
mode: active
hosts: {{ build: {{ docker: \"unix://{}\" }} }}
retention: {{ registry: {retention} }}
apps:
  web:
    source: {{ repo: \"https://git.example.org/web.git\" }}
    publish: {{ image: \"{image}\", channels: [ {{ name: production, image: \"{channel}\" }} ] }}
",
        dir.join("docker.sock").display()
    );
    let fleet = validate::fleet(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    InForce::new("1".to_owned(), fleet, None, &dir.join("state")).unwrap()
}

/// A bot whose app pushes to one repository and has a channel in another.
struct House {
    dir: tempfile::TempDir,
    bot: Bot,
    images: Images,
    channel: Images,
    _socket: UnixListener,
}

impl House {
    async fn new(retention: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("state")).unwrap();
        let socket = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
        let (images, channel) = (Images::new().await, Images::new().await);
        let (from, to) = (images.repository.to_string(), channel.repository.to_string());
        let in_force = in_force(dir.path(), &from, &to, retention);
        let state = dir.path().join("state");
        let store = Store::open(&state.join("lowtide.db"), true).unwrap();
        let sealed = Sealed::open(&state).unwrap();
        let bot = Bot::new(
            store,
            sealed,
            state,
            "lowtide-test".into(),
            ProbePath::HostView,
            in_force,
        );
        Self {
            bot: bot.await.unwrap(),
            dir,
            images,
            channel,
            _socket: socket,
        }
    }

    fn reconfigure(&self, image: &str, retention: &str) {
        let channel = self.channel.repository.to_string();
        self.bot
            .put_in_force(in_force(self.dir.path(), image, &channel, retention));
    }

    async fn commit(&self, event: AppEvent) {
        self.bot.commit(Batch::new(), &app(), &[event], &[]).await.unwrap();
    }

    /// Pushes a release and journals it.
    async fn release(&self, n: u64) -> ServedDigest {
        let tag = format!("t{n}");
        let (digest, config) = self
            .images
            .image(&tag, &format!("{n} of {}", self.images.repository))
            .await;
        let config = config.to_string();
        let release = Release {
            upstream: None,
            run: run(n),
            images: ReleaseImages::one(config.parse().unwrap(), config.parse().unwrap()),
            commit: None,
            reference: Reference::tagged(&self.images.repository, &tag),
            tag,
            digest: Some(digest.to_string().parse().unwrap()),
            change: None,
            sidecars: BTreeMap::new(),
            at: clock::now(),
        };
        self.commit(AppEvent::Released {
            release: Box::new(release),
        })
        .await;
        digest
    }

    /// As the supervisor does it.
    async fn promote(&self, n: u64, digest: &ServedDigest) {
        let to = &self.channel.repository;
        self.commit(AppEvent::PromoteStarted {
            channel: "production".parse().unwrap(),
            release: run(n),
            reference: Reference::tagged(to, "production"),
            digest: digest.to_string().parse().unwrap(),
        })
        .await;
        let registry = &self.bot.in_force().registry;
        for (tag, rule) in [
            (format!("t{n}"), TagRule::Immutable),
            ("production".to_owned(), TagRule::Moving),
        ] {
            let copied = registry.copy(&self.images.repository, digest, to, &tag, rule).await;
            copied.unwrap();
        }
        self.commit(AppEvent::Promoted {
            channel: "production".parse().unwrap(),
            release: run(n),
        })
        .await;
    }

    async fn tags(&self, repository: &Repository) -> Vec<String> {
        let (none, digests) = (BTreeSet::new(), BTreeSet::new());
        let in_force = self.bot.in_force();
        let seen = in_force
            .registry
            .contents(repository, &none, &none, &digests)
            .await
            .unwrap();
        seen.tags.into_keys().collect()
    }

    /// What is remembered, `channel/` for the channel's repository.
    async fn remembered(&self) -> Vec<String> {
        let pushed = self.bot.store.pushed_tags().await.unwrap();
        let in_channel = |of: &Repository| if *of == self.channel.repository { "channel/" } else { "" };
        let mut shown: Vec<String> = pushed
            .iter()
            .map(|tag| format!("{}{}", in_channel(&tag.repository), tag.tag))
            .collect();
        shown.sort();
        shown
    }

    async fn round(&self) {
        registry_tags::once(&self.bot, &mut BTreeSet::new()).await.unwrap();
    }
}

fn run(n: u64) -> RunId {
    RunId(ulid::Ulid::from_parts(n, 0))
}

#[tokio::test]
async fn expired_tags_go_and_what_is_needed_stays() {
    let house = House::new("{ keep: 1 }").await;
    let mut digests = Vec::new();
    for n in 0..6 {
        digests.push(house.release(n).await);
    }
    house.promote(2, &digests[2]).await;
    house.promote(3, &digests[3]).await;
    let repository = &house.images.repository;
    let in_force = house.bot.in_force();
    // Someone gives the second release a name of their own.
    let keep = in_force
        .registry
        .copy(repository, &digests[1], repository, "keep", TagRule::Immutable);
    keep.await.unwrap();

    house.round().await;
    assert_eq!(
        house.tags(repository).await.len(),
        7,
        "without consent nothing is removed"
    );
    house.reconfigure(&repository.to_string(), "{ keep: 1, delete: true }");
    house.round().await;
    // The newest and the one before, what the channel has and had, and what has another name.
    assert_eq!(house.tags(repository).await, ["keep", "t1", "t2", "t3", "t4", "t5"]);
    assert_eq!(house.tags(&house.channel.repository).await, ["production", "t2", "t3"]);
    house.round().await;
    assert_eq!(house.tags(repository).await.len(), 6, "again changes nothing");

    // The name is taken back by its owner, by digest of nothing else: the tag alone cannot be deleted here.
    let other = house.images.image("keep", "elsewhere").await.0;
    assert_ne!(other, digests[1]);
    house.round().await;
    assert_eq!(house.tags(repository).await, ["keep", "t2", "t3", "t4", "t5"]);
    assert_eq!(
        house.remembered().await,
        ["channel/t2", "channel/t3", "t2", "t3", "t4", "t5"]
    );
    let journal = house.bot.store.app_events(&app()).await.unwrap();
    let removed = journal.iter().filter_map(|recorded| {
        if let AppEvent::TagsExpired { tags, .. } = &recorded.event {
            return Some(format!("({})", tags.join(" ")));
        }
        if let AppEvent::TagsRemoved { tags, .. } = &recorded.event {
            return Some(tags.join(" "));
        }
        None
    });
    assert_eq!(removed.collect::<Vec<_>>(), ["(t0)", "t0", "(t1)", "t1"]);
}

#[tokio::test]
async fn a_kill_half_way_and_a_registry_that_is_away_lose_nothing() {
    let house = House::new("{ keep: 1, delete: true }").await;
    let mut digests = Vec::new();
    for n in 0..4 {
        digests.push(house.release(n).await);
    }
    let repository = &house.images.repository;
    // Nothing listens at the address of this one.
    for (n, digest) in (0..).zip(&digests) {
        house
            .commit(AppEvent::PromoteStarted {
                channel: "away".parse().unwrap(),
                release: run(n),
                reference: "127.0.0.1:1/web:away".parse().unwrap(),
                digest: digest.to_string().parse().unwrap(),
            })
            .await;
    }
    house.reconfigure("127.0.0.1:1/web", "{ keep: 1, delete: true }");
    house.round().await;
    assert_eq!(
        house.remembered().await,
        ["t0", "t0", "t1", "t1", "t2", "t2", "t3", "t3"]
    );
    // An app on hold.
    house.reconfigure(&repository.to_string(), "{ keep: 1, delete: true }");
    house
        .commit(AppEvent::Halted {
            reason: lowtide::model::failure::HaltReason::Operator {
                by: "ops".to_owned(),
                why: "drill".to_owned(),
            },
            settings: None,
        })
        .await;
    house.round().await;
    assert_eq!(house.tags(repository).await.len(), 4);
    house
        .commit(AppEvent::Resumed {
            by: "ops".to_owned(),
            why: "drill".to_owned(),
            form: None,
            probation: 0,
        })
        .await;
    // Killed after the first removal, before it was journalled.
    let in_force = house.bot.in_force();
    in_force.registry.remove(repository, "t0", &digests[0]).await.unwrap();
    house.round().await;
    assert_eq!(house.tags(repository).await, ["t2", "t3"]);
    assert_eq!(
        house.remembered().await,
        ["t0", "t1", "t2", "t2", "t3", "t3"],
        "those of the other stay"
    );
}

async fn state(bot: &Bot) -> &'static str {
    let fleet_status = fleet_status::of_bot(bot).await.unwrap();
    fleet_status.apps[0].state().word()
}

#[tokio::test]
async fn what_others_do_in_a_registry_is_noticed() {
    let house = House::new("{}").await;
    let digest = house.release(1).await;
    house.promote(1, &digest).await;
    let look = async |before: &Found| registry_watch::look(&house.bot, before).await.unwrap();
    let differences = async || {
        let app_state = house.bot.app_state(&app());
        let shown = app_state.registry.iter().map(|one| {
            let reference = one.reference.to_string();
            let reference = reference.replace(&house.channel.repository.to_string(), "CHANNEL");
            format!(
                "{} {}",
                reference.replace(digest.as_str(), "DIGEST"),
                serde_json::to_value(&one.drift).unwrap()["registry_drift"]
            )
        });
        shown.collect::<Vec<_>>()
    };
    let well = look(&Found::new()).await;
    assert_eq!(well[&app()].len(), 2, "the digest and the moving tag");
    assert_eq!((differences().await.len(), state(&house.bot).await), (0, "new"));

    house.channel.image("production", "someone else's").await;
    let moved = look(&well).await;
    assert_eq!(differences().await.len(), 0, "one look may fall into a promotion");
    look(&moved).await;
    assert_eq!(differences().await, ["CHANNEL:production \"moved\""]);
    assert_eq!(state(&house.bot).await, "registry_drifted");

    // It is reason for one daily report.
    let in_force = house.bot.in_force();
    let apps = BTreeMap::from([(
        app(),
        (house.bot.app_state(&app()), in_force.fleet.apps[&app()].clone()),
    )]);
    let news = |from: jiff::Timestamp| {
        let hour = jiff::SignedDuration::from_hours(1);
        let frame = daily_report::Frame {
            from,
            to: from + hour * 2,
            timezone: "UTC",
            next_run: None,
        };
        notify::has_news(&daily_report::body(&[], &apps, Vec::new(), frame))
    };
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!((news(clock::now() - hour), news(clock::now() + hour)), (true, false));

    // The digest is gone as well, then the registry is not there at all, then all is as it was.
    in_force
        .registry
        .remove(&house.channel.repository, "t1", &digest)
        .await
        .unwrap();
    let gone = look(&moved).await;
    look(&gone).await;
    assert_eq!(
        differences().await,
        ["CHANNEL:production \"moved\"", "CHANNEL@DIGEST \"missing\""]
    );
    look(&Found::new()).await;
    house.promote(1, &digest).await;
    let back = look(&gone).await;
    look(&back).await;
    assert_eq!((differences().await.len(), state(&house.bot).await), (0, "new"));
}

#[tokio::test]
async fn a_repository_that_is_not_shown_has_not_lost_its_images() {
    let house = House::new("{}").await;
    let digest = house.release(1).await;
    house.promote(1, &digest).await;
    let hidden = format!("{}/hidden", house.channel.repository.registry);
    let release = house.images.repository.to_string();
    house
        .bot
        .put_in_force(in_force(house.dir.path(), &release, &hidden, "{}"));
    let found = registry_watch::look(&house.bot, &Found::new()).await.unwrap();
    registry_watch::look(&house.bot, &found).await.unwrap();
    let app_state = house.bot.app_state(&app());
    let drifts: BTreeSet<_> = app_state
        .registry
        .iter()
        .map(|one| serde_json::to_value(&one.drift).unwrap()["registry_drift"].to_string())
        .collect();
    assert_eq!(drifts, BTreeSet::from(["\"no_repository\"".to_owned()]));
}

#[tokio::test]
async fn a_registry_that_does_not_answer_has_lost_nothing() {
    let house = House::new("{}").await;
    let digest = house.release(1).await;
    house.promote(1, &digest).await;
    let nowhere = in_force(house.dir.path(), "127.0.0.1:1/web", "127.0.0.1:1/prod", "{}");
    house.bot.put_in_force(nowhere);
    let found = registry_watch::look(&house.bot, &Found::new()).await.unwrap();
    let again = registry_watch::look(&house.bot, &found).await.unwrap();
    assert!(found.is_empty() && again.is_empty(), "{found:?}");
    assert!(house.bot.app_state(&app()).registry.is_empty());
}
