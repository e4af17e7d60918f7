//! Whole rollouts on the real engine, driven as the bot drives them: a journal, decisions, steps.

use super::stage::*;
use lowtide::clients::clock;
use lowtide::clients::engine::probe::ProbePath;
use lowtide::config::validate;
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::model::drift::Drift;
use lowtide::model::failure::WaitReason;
use lowtide::model::image::{ContentDigest, ImageId};
use lowtide::model::name::{AppName, RolloutId, RunId};
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::{Purpose, RolloutConclusion};
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::runtime::drift;
use lowtide::runtime::drive_rollout;
use lowtide::runtime::drive_run::Interrupt;
use lowtide::runtime::progress::Progress;
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::store::sealed::Sealed;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Serves until it is stopped, at once.
pub(super) const SERVES: &str =
    "FROM lowtide-test/busybox:1\nSTOPSIGNAL SIGKILL\nCMD [\"httpd\", \"-f\", \"-p\", \"80\"]";
/// The same, as another image.
pub(super) const SERVES_TOO: &str =
    "FROM lowtide-test/busybox:1\nLABEL generation=2\nSTOPSIGNAL SIGKILL\nCMD [\"httpd\", \"-f\", \"-p\", \"80\"]";
/// Says why, and goes.
pub(super) const EXITS: &str = "FROM lowtide-test/busybox:1\nCMD [\"sh\", \"-c\", \"echo out of order; exit 3\"]";

/// A bot with one app, `web`, and one target.
pub(super) struct House {
    bot: Arc<Bot>,
    app: AppName,
    _state: TempDir,
}

impl House {
    /// `target`: its entry under `rollout`, in the configuration's own words.
    pub(super) async fn new(target: &str) -> Self {
        let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
        let text = format!(
            "version: 1\nmode: active\nhosts: {{ local: {{ docker: \"unix://{socket}\" }} }}\napps:\n  web:\n    \
             source: {{ repo: \"https://git.example.org/web.git\" }}\n    rollout:\n      - {target}\n"
        );
        let fleet = validate::fleet(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let state = tempfile::tempdir().unwrap();
        let in_force = InForce::new("1".to_owned(), fleet, None, state.path()).unwrap();
        let store = Store::open(&state.path().join("lowtide.db"), true).unwrap();
        let sealed = Sealed::open(state.path()).unwrap();
        let (path, name) = (state.path().to_owned(), "test".to_owned());
        let bot = Bot::new(store, sealed, path, name, ProbePath::HostView, in_force).await;
        Self {
            bot: Arc::new(bot.unwrap()),
            app: "web".parse().unwrap(),
            _state: state,
        }
    }

    /// Is the app halted, and how much is quarantined?
    pub(super) fn stays_out(&self) -> (bool, usize) {
        let app_state = self.bot.app_state(&self.app);
        (app_state.halted.is_some(), app_state.quarantine.len())
    }

    /// What the target runs in place of its last release, as the journal has it.
    pub(super) fn drift(&self) -> Option<Drift> {
        let app_state = self.bot.app_state(&self.app);
        let state = app_state.targets.values().next()?;
        state.drift.as_ref().map(|(_, drift)| drift.clone())
    }

    pub(super) async fn drift_after_two_looks(&self) -> Option<Drift> {
        let first = drift::look(&self.bot, &drift::Looked::new()).await.unwrap();
        assert_eq!(first.len(), 1, "the target is seen");
        drift::look(&self.bot, &first).await.unwrap();
        self.drift()
    }

    /// Rolls the target to an image of the stage; how it ended, and its steps.
    pub(super) async fn roll(&self, stage: &Stage, version: &str, image: &ImageId) -> (RolloutConclusion, Vec<String>) {
        let release = release(stage, version, image);
        self.bring(0, release, Purpose::Release, CancellationToken::new())
            .await
            .unwrap()
    }

    /// As an operator's revert does: to what the target ran before.
    pub(super) async fn go_back(&self) -> (RolloutConclusion, Vec<String>) {
        let app_state = self.bot.app_state(&self.app);
        let target = app_state.targets.values().next().unwrap();
        let before = app_state.way_back(target).expect("there is a way back").clone();
        self.bring(0, before, Purpose::Revert, CancellationToken::new())
            .await
            .unwrap()
    }

    /// Of the `nth` target; `None`: lowtide ended first.
    async fn bring(
        &self,
        nth: usize,
        release: Release,
        purpose: Purpose,
        shutdown: CancellationToken,
    ) -> Option<(RolloutConclusion, Vec<String>)> {
        let id = RolloutId(ulid::Ulid::generate());
        let fleet = self.bot.in_force();
        let app = &fleet.fleet.apps[&self.app];
        let target = app.rollout[nth].clone();
        let opened = AppEvent::RolloutOpened {
            target: target.settings.name.clone(),
            release: release.run,
            rollout: id,
        };
        let event = RolloutEvent::Opened {
            app: self.app.clone(),
            target: Box::new(target),
            timezone: "UTC".to_owned(),
            release: Box::new(release),
            window_ignored: true,
            purpose,
        };
        let batch = Batch::new().rollout(&self.app, id, 0, &event);
        self.bot.commit(batch, &self.app, &[opened], &[]).await.unwrap();
        let interrupt = Interrupt {
            cancel: CancellationToken::new(),
            cancelled_by: Arc::default(),
            shutdown,
        };
        let ended = drive_rollout::drive(Arc::clone(&self.bot), id, interrupt)
            .await
            .unwrap()?;
        let events = self.bot.store.rollout_events(id).await.unwrap();
        let mut steps = Vec::new();
        for recorded in events {
            if let RolloutEvent::StepStarted { step, .. } = recorded.event {
                steps.push(step.to_string());
            }
        }
        Some((ended, steps))
    }
}

fn release(stage: &Stage, version: &str, image: &ImageId) -> Release {
    Release {
        upstream: None,
        run: RunId(ulid::Ulid::generate()),
        images: Images::one(image.clone(), image.as_str().parse::<ContentDigest>().unwrap()),
        commit: Some("c".repeat(40)),
        tag: version.to_owned(),
        digest: None,
        reference: stage.tag(version).parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: clock::now(),
    }
}

#[tokio::test]
async fn a_target_that_somebody_else_changed_is_seen_until_it_runs_its_release() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let new = stage.image("new", SERVES_TOO);
    stage.run(&[], &[]);
    let ready = "ready: { stay_up: 500ms }, bake: 100ms";
    let house = House::new(&format!("{{ container: {{ name: {} }}, {ready} }}", stage.name)).await;
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    assert_eq!(house.drift_after_two_looks().await, None);
    docker(&["rm", "-f", &stage.name]);
    assert_eq!(house.drift_after_two_looks().await, Some(Drift::Gone));
    stage.run(&[], &[]);
    let drift = Drift::Runs {
        image: stage.tag("old"),
        others: 1,
        of: 1,
    };
    assert_eq!(house.drift_after_two_looks().await, Some(drift));
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    assert_eq!(house.drift(), None);
    assert_eq!(house.drift_after_two_looks().await, None);
}

#[tokio::test]
async fn an_image_that_its_owner_had_put_there_is_gone_back_to() {
    let stage = Stage::new();
    let old = stage.image("old", SERVES);
    let new = stage.image("new", SERVES_TOO);
    stage.run(&["-e", "COLOUR=blue"], &[]);
    let ready = "ready: { stay_up: 500ms }, bake: 100ms";
    let house = House::new(&format!("{{ container: {{ name: {} }}, {ready} }}", stage.name)).await;
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    // Nothing but our own tag names it any more.
    docker(&["rmi", &stage.tag("old")]);
    let (ended, steps) = house.go_back().await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    let now = stage.inspect(&stage.name).await;
    assert_eq!(now["Image"], old.as_str());
    assert!(now["Config"]["Env"].as_array().unwrap().contains(&"COLOUR=blue".into()));
}

#[tokio::test]
async fn a_sick_container_is_replaced_where_the_target_says_so() {
    let stage = Stage::new();
    let sick = SERVES.replace("CMD", "HEALTHCHECK --interval=100ms --retries=1 CMD false\nCMD");
    stage.image("old", &sick);
    let new = stage.image("new", SERVES_TOO);
    let id = stage.run(&[], &[]);
    wait_for(&stage, &id, "/State/Health/Status", &"unhealthy".into()).await;
    let ready = "ready: { stay_up: 500ms }, bake: 100ms";
    let refusing = House::new(&format!("{{ container: {{ name: {} }}, {ready} }}", stage.name)).await;
    let (ended, _) = refusing.roll(&stage, "new", &new).await;
    assert!(matches!(ended, RolloutConclusion::Refused { .. }), "{ended:?}");
    let replacing = House::new(&format!(
        "{{ container: {{ name: {} }}, {ready}, unhealthy: replace }}",
        stage.name
    ))
    .await;
    let (ended, steps) = replacing.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    assert_eq!(stage.inspect(&stage.name).await["Image"], new.as_str());
}

#[tokio::test]
async fn while_one_bakes_the_next_one_on_its_host_is_rolled() {
    let (first, second) = (Stage::new(), Stage::new());
    let mut images = Vec::new();
    for stage in [&first, &second] {
        stage.image("old", SERVES);
        images.push(stage.image("new", SERVES_TOO));
        stage.run(&[], &[]);
    }
    let target = |stage: &Stage, name: &str, bake: &str| {
        let ready = "ready: { stay_up: 200ms }";
        format!(
            "{{ name: {name}, container: {{ name: {} }}, {ready}, bake: {bake} }}",
            stage.name
        )
    };
    let targets = [target(&first, "a", "1h"), target(&second, "b", "100ms")];
    let house = House::new(&targets.join("\n      - ")).await;
    let mut watcher = house.bot.watchers.watch(&[]);
    let shutdown = CancellationToken::new();
    let none = CancellationToken::new();
    let bakes = async {
        loop {
            if let Progress::RolloutWaits {
                reason: WaitReason::Baking { .. },
                ..
            } = watcher.next().await
            {
                break;
            }
        }
        let other = release(&second, "new", &images[1]);
        let done = house.bring(1, other, Purpose::Release, none);
        let done = tokio::time::timeout(Duration::from_secs(120), done).await;
        shutdown.cancel();
        done.expect("it does not wait for the bake of the other").unwrap().0
    };
    let one = house.bring(
        0,
        release(&first, "new", &images[0]),
        Purpose::Release,
        shutdown.clone(),
    );
    let (one, other) = tokio::join!(one, bakes);
    assert_eq!(other, RolloutConclusion::Done);
    assert!(one.is_none(), "it still bakes: {one:?}");
}
