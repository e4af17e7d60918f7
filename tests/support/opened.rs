//! What a rollout starts from, for tests that begin there.

use lowtide::clients::clock;
use lowtide::fleet::app::Fleet;
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::model::image::ImageId;
use lowtide::model::name::{AppName, RolloutId, RunId};
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::Purpose;
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;

/// Journals a release of the app, and a rollout of it to its first target, as the bot itself would have.
pub(crate) async fn open(
    store: &Store,
    fleet: &Fleet,
    app: &AppName,
    rollout: RolloutId,
    (image, reference): (&ImageId, &str),
) {
    let target = fleet.apps[app].rollout[0].clone();
    let release = Release {
        upstream: None,
        run: RunId(ulid::Ulid::generate()),
        images: Images::one(image.clone(), image.as_str().parse().unwrap()),
        commit: Some("c".repeat(40)),
        tag: "new".to_owned(),
        digest: None,
        reference: reference.parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: clock::now(),
    };
    let facts = [
        AppEvent::Tracked,
        AppEvent::Released {
            release: Box::new(release.clone()),
        },
        AppEvent::RolloutOpened {
            target: target.settings.name.clone(),
            release: release.run,
            rollout,
        },
    ];
    let opened = RolloutEvent::Opened {
        app: app.clone(),
        target: Box::new(target),
        timezone: "UTC".to_owned(),
        release: Box::new(release),
        window_ignored: true,
        purpose: Purpose::Release,
    };
    let batch = Batch::new().rollout(app, rollout, 0, &opened);
    let batch = facts.iter().fold(batch, |batch, fact| batch.app(app, fact));
    store.commit(batch, clock::now()).await.unwrap();
}
