//! A fleet with a past, written through the store's own functions: each night a run of every app, now and then a release and
//! its rollout, failures, a halt that is answered.

use jiff::{SignedDuration, Timestamp};
use lowtide::channels::list::{Address, Notice};
use lowtide::channels::mail::route::Recipient;
use lowtide::decide::app_state::AppState;
use lowtide::decide::registry_retention;
use lowtide::fleet::app::{App, Fleet};
use lowtide::fleet::app_state::{AppEvent, Worked};
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::fleet::run::RunEvent;
use lowtide::kinds::containers::step::{ContainerOutcome, ContainerStep};
use lowtide::kinds::track::Ended;
use lowtide::model::failure::{Failure, FailureKind, HaltReason, SkipReason};
use lowtide::model::freshness::{Because, Inputs};
use lowtide::model::image::Repository;
use lowtide::model::inventory::{Change, FileChanges, FileEntry, FileKind, Inventory, PackageChange};
use lowtide::model::journal::Recorded;
use lowtide::model::message::{Keys, MessageBody};
use lowtide::model::name::{AppName, RolloutId, RunId};
use lowtide::model::package_state::PackageState;
use lowtide::model::policy::RegistryRetention;
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::{Purpose, RolloutConclusion};
use lowtide::model::run::{Conclusion, Stage, Trigger};
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use ulid::Ulid;

/// Nights between two releases of an app.
const RELEASES: usize = 5;
/// Of so many nights' releases one is rolled back: one release of an app in two years.
const BAD: usize = 475;
/// Release tags that stay in an app's repository.
const TAGS: usize = 20;
/// One of so many apps has evidence.
const EVIDENCE: usize = 49;

pub(crate) struct Past {
    pub(crate) store: Store,
    pub(crate) fleet: Fleet,
    /// When the first night begins.
    begin: Timestamp,
    detail: Detail,
    apps: Vec<AppHistory>,
}

/// How much events tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// As a real fleet's do.
    Whole,
    /// As little as they can: what a year of them comes to is a matter of their number.
    Sparse,
}

struct AppHistory {
    name: AppName,
    app_state: Arc<AppState>,
    /// What a night brings together: facts, folded once they are committed.
    facts: Vec<AppEvent>,
    opened: Option<RolloutId>,
}

/// What an app's night comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Night {
    Unchanged,
    Failed,
    /// `well`: its rollout comes through.
    Released {
        well: bool,
    },
}

impl Past {
    pub(crate) fn new(store: Store, fleet: Fleet, begin: Timestamp, detail: Detail) -> Self {
        let history = |name: &AppName| AppHistory {
            name: name.clone(),
            app_state: Arc::default(),
            facts: vec![AppEvent::Tracked],
            opened: None,
        };
        Self {
            apps: fleet.apps.keys().map(history).collect(),
            store,
            fleet,
            begin,
            detail,
        }
    }

    /// As the bot has them.
    pub(crate) fn app_states(&self) -> BTreeMap<AppName, Arc<AppState>> {
        let apps = self.apps.iter();
        apps.map(|app| (app.name.clone(), Arc::clone(&app.app_state))).collect()
    }

    pub(crate) fn evening(&self, day: usize) -> Timestamp {
        self.begin + SignedDuration::from_hours(24 * day as i64)
    }

    /// Runs of all apps, the end of last night's rollouts, and what follows from both.
    pub(crate) async fn night(&mut self, day: usize) {
        self.end_rollouts(day).await;
        let detail = self.detail;
        let (opens, ends) = (self.evening(day), self.evening(day) + SignedDuration::from_mins(20));
        let mut batch = Batch::new();
        for (number, app) in self.apps.iter_mut().enumerate() {
            let last = app.app_state.current().filter(|_| detail == Detail::Whole);
            let judged = app.app_state.judged.as_ref().filter(|_| detail == Detail::Whole);
            let run = run_id(opens, number);
            let opened = RunEvent::Opened {
                seen: Vec::new(),
                app: Box::new(self.fleet.apps[&app.name].as_ref().clone()),
                trigger: Trigger::Schedule { slot: opens },
                revision: "r1".to_owned(),
                last: last.cloned().map(Box::new),
                quarantine: app.app_state.quarantine.clone(),
                judged: judged.cloned().map(Box::new),
            };
            batch = batch.run(&app.name, run, 0, &opened);
            app.facts.push(AppEvent::ScheduleFired { slot: opens, run });
        }
        self.commit(batch, opens).await;
        let mut batch = Batch::new();
        let mut notices = Vec::new();
        for (number, app) in self.apps.iter_mut().enumerate() {
            let run = run_id(opens, number);
            let was_failing = app.app_state.failing.is_some();
            let conclusion = match night(day, number, &app.app_state) {
                Night::Unchanged => unchanged(),
                Night::Failed => {
                    let cause = "test/test_failed".to_owned();
                    app.facts.push(AppEvent::RunFailed { run, cause });
                    Conclusion::Failed {
                        stage: Stage::Test,
                        failure: failure(FailureKind::TestFailed),
                    }
                }
                Night::Released { .. } => {
                    let release = release(run, day, number, ends, detail);
                    app.facts.push(AppEvent::Judged {
                        inputs: Box::new(inputs(day)),
                        because: vec![Because::Pending {
                            packages: 12,
                            security: 3,
                        }],
                    });
                    app.facts.push(AppEvent::Released {
                        release: Box::new(release.clone()),
                    });
                    Conclusion::Released { release }
                }
            };
            let failed = matches!(conclusion, Conclusion::Failed { .. });
            if was_failing && !failed {
                app.facts.push(AppEvent::RunRecovered { run });
                notices.push(recovered(&app.name, run, ends));
            }
            batch = batch.run(&app.name, run, 1, &RunEvent::Concluded { conclusion });
        }
        let delivered: Vec<String> = notices.iter().map(|notice| notice.keys.dedup.clone()).collect();
        self.commit(batch.notices(notices), ends).await;
        for dedup in delivered {
            let delivery = lowtide::store::outbox::Delivery::Delivered;
            self.store.record_delivery(dedup, delivery, ends).await.unwrap();
        }
        self.store_evidence(day, ends).await;
        self.open_rollouts(day, ends).await;
    }

    /// Of a few apps: each is a transaction of its own.
    async fn store_evidence(&self, day: usize, now: Timestamp) {
        let json = r#"{"files":{},"layers":{},"lineage":{"lineage":"base","reference":"debian:12","layers":1}}"#;
        let packages: PackageState = serde_json::from_str(json).unwrap();
        for (number, app) in self.apps.iter().enumerate().step_by(EVIDENCE) {
            if let (Night::Released { .. }, Some(release)) =
                (night(day, number, &app.app_state), app.app_state.current())
            {
                let (content, inventory) = (&release.images.first().content, inventory(number, day));
                let kept = self.store.store_packages(content.clone(), &packages, now).await;
                kept.unwrap();
                let kept = self.store.store_inventory(content.clone(), &inventory, now).await;
                kept.unwrap();
            }
        }
    }

    async fn open_rollouts(&mut self, day: usize, now: Timestamp) {
        let mut batch = Batch::new();
        for (number, app) in self.apps.iter_mut().enumerate() {
            let Night::Released { .. } = night(day, number, &app.app_state) else {
                continue;
            };
            let Some(release) = app.app_state.current().cloned() else {
                continue;
            };
            let target = &self.fleet.apps[&app.name].rollout[0];
            let rollout = RolloutId(Ulid::from_parts(now.as_millisecond() as u64 + 1, number as u128));
            app.opened = Some(rollout);
            app.facts.push(AppEvent::RolloutOpened {
                target: target.settings.name.clone(),
                release: release.run,
                rollout,
            });
            let opened = RolloutEvent::Opened {
                app: app.name.clone(),
                target: Box::new(target.clone()),
                timezone: "UTC".to_owned(),
                release: Box::new(release),
                window_ignored: false,
                purpose: Purpose::Release,
            };
            batch = batch.rollout(&app.name, rollout, 0, &opened);
        }
        self.commit(batch, now).await;
    }

    async fn end_rollouts(&mut self, day: usize) {
        let now = self.evening(day) - SignedDuration::from_hours(18);
        let mut batch = Batch::new();
        for (number, app) in self.apps.iter_mut().enumerate() {
            if app.app_state.halted.is_some() {
                app.facts.push(AppEvent::Resumed {
                    by: "ops".to_owned(),
                    why: "fixed".to_owned(),
                    form: None,
                    probation: 2,
                });
            }
            let Some(rollout) = app.opened.take() else { continue };
            let Some(release) = app.app_state.current().cloned() else {
                continue;
            };
            let target = self.fleet.apps[&app.name].rollout[0].settings.name.clone();
            let well = night(day - 1, number, &app.app_state) == Night::Released { well: true };
            let conclusion = if well {
                RolloutConclusion::Done
            } else {
                RolloutConclusion::Reverted {
                    failure: failure(FailureKind::UnhealthyAfterRoll),
                }
            };
            let step = RolloutEvent::StepStarted {
                attempt: 1,
                step: ContainerStep::Preflight.into(),
            };
            let stepped = RolloutEvent::StepEnded {
                outcome: Ended::Well {
                    outcome: ContainerOutcome::Done.into(),
                },
            };
            let ended = RolloutEvent::Concluded {
                conclusion: conclusion.clone(),
            };
            for (seen, event) in [step, stepped, ended].iter().enumerate() {
                batch = batch.rollout(&app.name, rollout, seen as u64 + 1, event);
            }
            app.facts.push(AppEvent::RolloutEnded {
                target,
                release: release.run,
                rollout,
                conclusion,
                worked: Some(Worked {
                    units: 1,
                    took: Some(SignedDuration::from_secs(40)),
                    opening: None,
                }),
                placed: None,
            });
            if !well {
                let reason = HaltReason::Reverted {
                    failure: failure(FailureKind::UnhealthyAfterRoll),
                };
                let settings = Some(Box::new(self.fleet.apps[&app.name].as_ref().clone()));
                app.facts.push(AppEvent::Halted { reason, settings });
                app.facts.push(AppEvent::Quarantined {
                    content: release.images.first().content.clone(),
                    image: release.images.first().image.clone(),
                    digest: release.digest,
                });
            }
        }
        self.commit(batch, now).await;
    }

    /// All of it in one transaction, and then as the bot learns it.
    /// What `retention.registry` removes, from registries that do as they are told.
    pub(crate) async fn expire_tags(&mut self, day: usize) {
        let policy = RegistryRetention {
            keep: TAGS,
            age: None,
            delete: true,
        };
        let pushed = self.store.pushed_tags().await.unwrap();
        let needed = registry_retention::needed(self.apps.iter().map(|app| app.app_state.as_ref()));
        let (now, none) = (self.evening(day), BTreeSet::new());
        let mut removed: BTreeMap<AppName, (Repository, Vec<String>)> = BTreeMap::new();
        for (repository, pushed) in registry_retention::by_repository(&pushed) {
            for tag in registry_retention::expired(&pushed, &none, &needed, &policy, now) {
                let of_app = removed.entry(tag.app.clone());
                let (_, tags) = of_app.or_insert_with(|| (repository.clone(), Vec::new()));
                tags.push(tag.tag.clone());
            }
        }
        for app in &mut self.apps {
            if let Some((repository, tags)) = removed.remove(&app.name) {
                app.facts.push(AppEvent::TagsExpired {
                    repository: repository.clone(),
                    tags: tags.clone(),
                });
                app.facts.push(AppEvent::TagsRemoved { repository, tags });
            }
        }
        self.commit(Batch::new(), now).await;
    }

    async fn commit(&mut self, batch: Batch, at: Timestamp) {
        let facts = self
            .apps
            .iter()
            .flat_map(|app| app.facts.iter().map(|fact| (&app.name, fact)));
        let batch = facts.fold(batch, |batch, (app, fact)| batch.app(app, fact));
        self.store.commit(batch, at).await.unwrap();
        for app in &mut self.apps {
            for event in app.facts.drain(..) {
                Arc::make_mut(&mut app.app_state).apply(&Recorded { seq: 0, at, event });
            }
        }
    }
}

/// The same at each call: nothing here is left to chance.
fn night(day: usize, number: usize, app_state: &AppState) -> Night {
    let turn = day + number;
    if turn.is_multiple_of(RELEASES) && app_state.halted.is_none() {
        Night::Released {
            well: !turn.is_multiple_of(BAD),
        }
    } else if turn.is_multiple_of(61) {
        Night::Failed
    } else {
        Night::Unchanged
    }
}

fn run_id(opens: Timestamp, number: usize) -> RunId {
    RunId(Ulid::from_parts(opens.as_millisecond() as u64, number as u128))
}

fn release(run: RunId, day: usize, number: usize, at: Timestamp, detail: Detail) -> Release {
    let digest = format!("sha256:{:064x}", (day as u128) << 32 | number as u128);
    let package = |n: usize| PackageChange {
        name: format!("libexample{n}"),
        old: Some(format!("1.{day}.{n}-1+deb12u1")),
        new: Some(format!("1.{day}.{n}-1+deb12u2")),
    };
    Release {
        upstream: None,
        run,
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some(format!("{:040x}", number as u128)),
        tag: format!("{day}-{}", run.short()),
        digest: Some(digest.parse().unwrap()),
        reference: format!("registry.example.org/app-{number}:{day}").parse().unwrap(),
        change: (detail == Detail::Whole).then(|| Change {
            packages: (0..12).map(package).collect(),
            config: Vec::new(),
            files: FileChanges {
                added: 3,
                removed: 3,
                changed: 40,
                examples: (0..20)
                    .map(|n| format!("usr/lib/x86_64-linux-gnu/libexample{n}.so"))
                    .collect(),
            },
        }),
        sidecars: BTreeMap::from([(
            "docker.io/library/mariadb:11".to_owned(),
            format!("sha256:{}", "5".repeat(64)),
        )]),
        at,
    }
}

fn inputs(day: usize) -> Inputs {
    Inputs {
        commit: Some(format!("{day:040x}")),
        bases: BTreeMap::from([("debian:12-slim".to_owned(), format!("sha256:{day:064x}"))]),
        settings: format!("{day:064x}"),
        gains: (0..12)
            .map(|n| (format!("libexample{n}:amd64"), format!("1.{day}.{n}")))
            .collect(),
    }
}

fn unchanged() -> Conclusion {
    Conclusion::Unchanged {
        why: SkipReason::NothingToGain {
            out_of_reach: 2,
            security: 1,
            unknown: Vec::new(),
        },
    }
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "3 of 120 tests failed").with_excerpt((0..3).map(|n| format!("assertion {n} failed")))
}

fn recovered(app: &AppName, run: RunId, at: Timestamp) -> Notice {
    Notice {
        keys: Keys {
            dedup: format!("recovered/{run}"),
            thread: format!("run/{app}"),
        },
        address: Address::Mail(Recipient {
            to: "dev@example.org".to_owned(),
        }),
        at,
        body: MessageBody::RunRecovered { app: app.clone(), run },
    }
}

/// Many apps that differ in nothing but their names.
pub(crate) fn fleet(apps: usize, text: &[u8]) -> Fleet {
    let mut fleet = lowtide::config::validate::fleet(text).unwrap();
    let first = fleet.apps.pop_first().unwrap().1;
    for number in 1..=apps {
        let name: AppName = format!("app-{number:04}").parse().unwrap();
        let app = App {
            name: name.clone(),
            ..first.as_ref().clone()
        };
        fleet.apps.insert(name, app.into());
    }
    fleet
}

/// A few hundred files, of which some are of this day.
fn inventory(app: usize, day: usize) -> Inventory {
    let mut inventory = crate::evidence::empty_inventory();
    inventory.files = (0..300)
        .map(|n| {
            let target = if n % 50 == day % 50 {
                format!("{app}/{n}/{day}")
            } else {
                format!("{app}/{n}")
            };
            let entry = FileEntry {
                kind: FileKind::Symlink { target },
                mode: 0o777,
                uid: 0,
                gid: 0,
                capability: None,
            };
            (format!("srv/{n:03}"), entry)
        })
        .collect();
    inventory
}
