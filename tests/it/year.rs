//! A year of a fleet: what is kept, and what a start goes through, stays what it was after four months.

mod past;

use jiff::Timestamp;
use lowtide::decide::app_state;
use lowtide::model::policy::Retention;
use lowtide::runtime::past as forgetting;
use lowtide::store::database::Store;
use past::{Detail, Past};
use std::collections::BTreeMap;
use std::path::Path;

/// All sizes go with the number of apps; so many take a minute unoptimised. LOWTIDE_YEAR_APPS=1000 takes four.
const APPS: usize = 250;
/// By then history is as long as `retention.history`, and each app remembers as many releases as it ever will.
const SETTLED: usize = 120;
const YEAR: usize = 365;
/// What a start folds depends on how long ago the checkpoints were written, and the apps write theirs on the same days. So the
/// most of so many days counts.
const WINDOW: usize = 30;

const TABLES: [&str; 9] = [
    "streams",
    "events",
    "ended",
    "snapshots",
    "outbox",
    "evidence",
    "pieces",
    "pushed_tags",
    "meta",
];

/// An app as small as they come: it is written into every run.
const CONFIG: &[u8] = b"version: 1
mode: active
hosts: { local: { docker: 'unix:///nowhere/docker.sock' } }
apps:
  web:
    source: { repo: 'https://git.example.org/web.git' }
    rollout: [ { container: { name: web } } ]
";

#[derive(Debug, PartialEq)]
struct Sizes {
    /// Bytes of the database.
    file: u64,
    rows: BTreeMap<&'static str, u64>,
    /// Events and bytes that a start folds, the most of the last days.
    folded: (u64, u64),
}

impl Sizes {
    fn of(path: &Path) -> Self {
        let database = rusqlite::Connection::open(path).unwrap();
        let count = |sql: &str| -> u64 { database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64 };
        let folded = "FROM events JOIN streams ON id = stream WHERE kind = 'app' AND seq >= coalesce(checkpoint, 1)";
        Self {
            file: path.metadata().unwrap().len(),
            rows: TABLES
                .into_iter()
                .map(|table| (table, count(&format!("SELECT count(*) FROM {table}"))))
                .collect(),
            folded: (
                count(&format!("SELECT count(*) {folded}")),
                count(&format!("SELECT sum(length(body)) {folded}")),
            ),
        }
    }

    fn with(self, folded: (u64, u64)) -> Self {
        Self { folded, ..self }
    }

    /// Every number of them, by name.
    fn all(&self) -> BTreeMap<&'static str, u64> {
        let mut all = self.rows.clone();
        all.extend([
            ("bytes", self.file),
            ("events at start", self.folded.0),
            ("bytes at start", self.folded.1),
        ]);
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_is_no_larger_than_four_months() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lowtide.db");
    let begin: Timestamp = "2026-01-01T22:00:00Z".parse().unwrap();
    let apps = std::env::var("LOWTIDE_YEAR_APPS").map_or(APPS, |apps| apps.parse().unwrap());
    let fleet = past::fleet(apps, CONFIG);
    let retention: Retention = fleet.retention;
    let mut past = Past::new(Store::open(&path, true).unwrap(), fleet, begin, Detail::Sparse);
    let (mut settled, mut most) = (None, (0, 0));
    for day in 1..=YEAR {
        past.night(day).await;
        let app_states: Vec<_> = past.app_states().into_values().collect();
        forgetting::forget(&past.store, &retention, &app_states, past.evening(day))
            .await
            .unwrap();
        past.expire_tags(day).await;
        if day == SETTLED + 1 {
            most = (0, 0);
        }
        if (SETTLED - WINDOW..=SETTLED).contains(&day) || day > YEAR - WINDOW {
            let (events, bytes) = Sizes::of(&path).folded;
            most = (most.0.max(events), most.1.max(bytes));
        }
        if day == SETTLED {
            settled = Some(Sizes::of(&path).with(most));
        }
    }
    let (settled, year) = (settled.unwrap(), Sizes::of(&path).with(most));
    let grown: Vec<_> = settled
        .all()
        .into_iter()
        .zip(year.all().into_values())
        .filter(|((_, then), now)| now * 10 > then * 11)
        .collect();
    assert!(grown.is_empty(), "{grown:?}\nthen {settled:?}\nnow {year:?}");
    assert!(settled.folded.0 <= (apps * 80) as u64, "{settled:?}");
    let folded: BTreeMap<_, _> = past
        .store
        .fold_apps(app_state::fold)
        .await
        .unwrap()
        .into_iter()
        .collect();
    for (app, app_state) in past.app_states() {
        assert_eq!(folded[&app], *app_state, "{app}");
    }
}

/// An app as people write them, so that the sizes are those of a real fleet.
fn whole_config(apps: usize) -> String {
    let mut text =
        "version: 1\ntimezone: UTC\nmode: active\nhosts: { local: { docker: 'unix:///nowhere/docker.sock' } }\napps:\n"
            .to_owned();
    for number in 1..=apps {
        text.push_str(&format!(
            "  app-{number:04}:\n    maintainers: [dev@example.org]\n    source:\n      repo: https://git.example.org/app-{number}.git\n      \
             branch: main\n    nightly: {{ between: '22:00-02:30' }}\n    ready:\n      healthcheck: true\n      timeout: 1m\n    \
             publish: {{ image: registry.example.org/apps/app-{number} }}\n    window: {{ from: '03:00', to: '05:00' }}\n    \
             rollout:\n      - container: {{ name: app-{number} }}\n"
        ));
    }
    text
}

/// A state directory and a configuration with a past, for a person or a profiler: LOWTIDE_PAST says where, LOWTIDE_NIGHTS how
/// many nights.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes a fleet to play with; see docs/scale.md"]
async fn a_fleet_with_a_past() {
    let place = std::path::PathBuf::from(std::env::var_os("LOWTIDE_PAST").unwrap());
    let nights: usize = std::env::var("LOWTIDE_NIGHTS").unwrap().parse().unwrap();
    std::fs::create_dir_all(place.join("state")).unwrap();
    let text = whole_config(1000);
    std::fs::write(place.join("config.yml"), &text).unwrap();
    let fleet = lowtide::config::validate::fleet(text.as_bytes()).unwrap();
    let retention = fleet.retention;
    let tonight = lowtide::clients::clock::now() - jiff::SignedDuration::from_hours(8);
    let begin = tonight - jiff::SignedDuration::from_hours(24 * nights as i64);
    let store = Store::open(&place.join("state/lowtide.db"), true).unwrap();
    store.store_revision("r1".to_owned(), &fleet, begin).await.unwrap();
    let mut past = Past::new(store, fleet, begin, Detail::Whole);
    for day in 1..=nights {
        past.night(day).await;
        let app_states: Vec<_> = past.app_states().into_values().collect();
        forgetting::forget(&past.store, &retention, &app_states, past.evening(day))
            .await
            .unwrap();
    }
}
