//! The database: appends, fencing, the outbox, backup, and journals that end anywhere.

use jiff::{SignedDuration, Timestamp};
use lowtide::channels::list::{Address, Notice};
use lowtide::channels::mail::route::Recipient;
use lowtide::decide::{app_state, rollout, run};
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::run::RunEvent;
use lowtide::model::failure::{HaltReason, SkipReason};
use lowtide::model::journal::Stream;
use lowtide::model::message::{Keys, MessageBody};
use lowtide::model::name::{AppName, RunId};
use lowtide::model::run::{Conclusion, Effect, Outcome, Stage, Trigger};
use lowtide::model::stages::resolve::{Commit, Resolve, Resolved, ResolvedOrigin, ResolvedRepository};
use lowtide::store::database::Store;
use lowtide::store::error::StoreError;
use lowtide::store::journal::Batch;
use lowtide::store::outbox::Delivery;
use std::collections::BTreeSet;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-23T02:00:00Z")
}

fn web() -> AppName {
    "web".parse().unwrap()
}

fn id() -> RunId {
    "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap()
}

fn fleet() -> lowtide::fleet::app::Fleet {
    let text = b"version: 1\napps:\n  web:\n    source: { repo: \"https://git.example.org/web.git\" }\n";
    lowtide::config::validate::fleet(text).unwrap()
}

fn opened() -> RunEvent {
    RunEvent::Opened {
        seen: Vec::new(),
        app: Box::new(fleet().apps[&web()].as_ref().clone()),
        trigger: Trigger::Manual {
            by: "ops".into(),
            rebuild: false,
        },
        revision: "r1".into(),
        last: None,
        quarantine: vec![],
        judged: None,
    }
}

fn events() -> Vec<RunEvent> {
    let failure = lowtide::model::failure::Failure::new(
        lowtide::model::failure::FailureKind::SourceUnreachable,
        "git.example.org does not answer",
    );
    let started = |attempt| RunEvent::EffectStarted {
        attempt,
        effect: Effect::Resolve(Resolve {}),
    };
    vec![
        opened(),
        started(1),
        RunEvent::EffectAbandoned {
            back_to: Stage::Resolve,
        },
        started(1),
        RunEvent::EffectEnded {
            outcome: Outcome::Failed(failure),
        },
        started(2),
        RunEvent::CancelRequested { by: "ops".into() },
        RunEvent::EffectEnded {
            outcome: Outcome::Resolved(Resolved {
                origin: ResolvedOrigin::Repository(ResolvedRepository {
                    own: None,
                    commit: Commit {
                        id: "0".repeat(40),
                        subject: "s".into(),
                        author: "a".into(),
                        time: now(),
                    },
                    frontend: None,
                    bases: vec![],
                }),
                platform: serde_json::from_value(serde_json::json!({"os": "linux", "architecture": "amd64"})).unwrap(),
                assessment: Box::default(),
            }),
        },
        RunEvent::Concluded {
            conclusion: Conclusion::Unchanged {
                why: SkipReason::SameContent,
            },
        },
    ]
}

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("lowtide.db"), true).unwrap()
}

async fn record(store: &Store, events: &[RunEvent]) {
    for (seen, event) in events.iter().enumerate() {
        let batch = Batch::new().run(&web(), id(), seen as u64, event);
        store.commit(batch, now()).await.unwrap();
    }
}

async fn enqueue(store: &Store, notice: Notice, at: Timestamp) {
    store.commit(Batch::new().notices([notice]), at).await.unwrap();
}

fn notice(dedup: &str) -> Notice {
    Notice {
        keys: Keys {
            dedup: dedup.into(),
            thread: dedup.into(),
        },
        address: Address::Mail(Recipient {
            to: "ops@example.org".into(),
        }),
        at: now(),
        body: MessageBody::RunRecovered { app: web(), run: id() },
    }
}

#[tokio::test]
async fn a_stale_append_writes_nothing_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    record(&store, &events()[..2]).await;
    let late = Batch::new()
        .app(&web(), &AppEvent::Tracked)
        .run(&web(), id(), 1, &events()[1])
        .notices([notice("a")]);
    let refused = store.commit(late, now()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Stale { expected: 1, .. }), "{refused:?}");
    assert_eq!(store.run_events(id()).await.unwrap().len(), 2);
    assert!(store.app_events(&web()).await.unwrap().is_empty());
    assert_eq!(store.pending_notices().await.unwrap(), 0);
}

#[tokio::test]
async fn a_newer_term_fences_the_older_one_off() {
    let dir = tempfile::tempdir().unwrap();
    let older = open(&dir);
    let reader = Store::open(&dir.path().join("lowtide.db"), false).unwrap();
    record(&older, &events()[..1]).await;
    let newer = open(&dir);
    assert_eq!(newer.term(), older.term() + 1);
    assert_eq!(older.current_term().await.unwrap(), newer.term());
    let refused = older.commit(Batch::new().app(&web(), &AppEvent::Tracked), now()).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    newer
        .commit(Batch::new().app(&web(), &AppEvent::Tracked), now())
        .await
        .unwrap();
    assert_eq!(reader.app_events(&web()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_cause_is_one_notice_and_waits_its_back_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    enqueue(&store, notice("a"), now()).await;
    enqueue(&store, notice("a"), now()).await;
    enqueue(&store, notice("b"), now()).await;
    assert_eq!(store.due_notices(now(), 10, |_| true).await.unwrap().len(), 2);
    let later = now() + SignedDuration::from_mins(5);
    let wait = Delivery::Later {
        at: later,
        error: "451 busy".into(),
    };
    store.record_delivery("a".into(), wait, now()).await.unwrap();
    store
        .record_delivery("b".into(), Delivery::Delivered, now())
        .await
        .unwrap();
    assert!(store.due_notices(now(), 10, |_| true).await.unwrap().is_empty());
    let due = store.due_notices(later, 10, |_| true).await.unwrap();
    assert_eq!(
        (due.len(), due[0].attempts, due[0].notice.keys.dedup.as_str()),
        (1, 1, "a")
    );
    // Delivered is remembered: the same cause later is still the same message.
    enqueue(&store, notice("b"), later).await;
    assert_eq!(store.pending_notices().await.unwrap(), 1);
    let dead = Delivery::Dead {
        error: "550 no such user".into(),
    };
    store.record_delivery("a".into(), dead, later).await.unwrap();
    assert_eq!(store.undelivered().await.unwrap(), ["a: 550 no such user"]);
}

#[tokio::test]
async fn a_backup_is_a_database_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    record(&store, &events()).await;
    let copy = dir.path().join("copy.db");
    store.backup(copy.clone()).await.unwrap();
    let copy = Store::open(&copy, false).unwrap();
    assert_eq!(
        copy.run_events(id()).await.unwrap(),
        store.run_events(id()).await.unwrap()
    );
    assert_eq!(copy.term(), store.term());
}

#[tokio::test]
async fn every_prefix_of_a_journal_folds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    record(&store, &events()).await;
    let recorded = store.run_events(id()).await.unwrap();
    assert_eq!(
        recorded.iter().map(|r| r.seq).collect::<Vec<_>>(),
        (1..=9).collect::<Vec<_>>()
    );
    for length in 1..=recorded.len() {
        let state = run::fold(id(), &recorded[..length]).unwrap();
        assert_eq!(state.conclusion.is_some(), length == recorded.len());
        lowtide::runtime::detail::run(id(), &recorded[..length]).unwrap();
    }
    assert!(run::fold(id(), &[]).is_err());
    assert!(rollout::fold("01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(), &[]).is_err());
    assert_eq!(app_state::fold(vec![]), app_state::AppState::default());
}

#[tokio::test]
async fn what_many_streams_say() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    record(&store, &events()).await;
    let ended = store.ended_runs().await.unwrap();
    assert_eq!(
        (ended.len(), ended[0].conclusion.as_str(), ended[0].runs),
        (1, "unchanged", 1)
    );
    let recent = store.recent_runs(None, 10).await.unwrap();
    assert_eq!(recent, store.recent_runs(Some(web()), 10).await.unwrap());
    assert!(
        store
            .recent_runs(Some("shop".parse().unwrap()), 10)
            .await
            .unwrap()
            .is_empty()
    );
    let RunEvent::Opened { trigger, .. } = opened() else {
        unreachable!()
    };
    assert_eq!(
        (recent[0].run, &recent[0].row.cause, &recent[0].last),
        (id(), &Some(trigger), &events().pop())
    );
    let glance = store.glance().await.unwrap();
    assert_eq!((glance.newest, glance.runs.len()), (recent.clone(), 0));
    for (since, runs) in [(now(), 1), (now() + SignedDuration::from_secs(1), 0)] {
        assert_eq!(store.ended_since(since).await.unwrap().runs.len(), runs);
    }
    let known = store
        .known_runs(BTreeSet::from([id(), RunId(ulid::Ulid(7))]))
        .await
        .unwrap();
    assert_eq!((known.ended, known.open), (BTreeSet::from([id()]), BTreeSet::new()));
    for (end, found) in [("jkmnpqrs", 1), ("JKMNPQRS", 1), ("x", 0), ("%", 0), ("", 0)] {
        assert_eq!(store.streams_ending(end, 5).await.unwrap().len(), found, "{end:?}");
    }
    let later = now() + SignedDuration::from_secs(1);
    assert_eq!(store.forget(now(), BTreeSet::new()).await.unwrap().streams, 0);
    let retained = BTreeSet::from([Stream::Run(id())]);
    assert_eq!(store.forget(later, retained).await.unwrap().streams, 0);
    assert_eq!(store.ended_runs().await.unwrap().len(), 1);
    assert_eq!(store.forget(later, BTreeSet::new()).await.unwrap().streams, 1);
    assert!(store.run_events(id()).await.unwrap().is_empty());
    assert!(
        store.ended_runs().await.unwrap().is_empty(),
        "what is forgotten is not counted"
    );
}

/// What a process finds that was not there.
async fn found(dir: &tempfile::TempDir) -> (app_state::AppState, usize) {
    let store = Store::open(&dir.path().join("lowtide.db"), false).unwrap();
    let fold = |events: Vec<_>| {
        let count = events.len();
        (app_state::fold(events), count)
    };
    let folded = store.fold_apps(fold).await;
    let [(app, folded)] = folded.unwrap().try_into().unwrap();
    assert_eq!(app, web());
    folded
}

#[tokio::test]
async fn a_checkpoint_stands_for_what_is_trimmed_and_audited_facts_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let day = |n: i64| now() + SignedDuration::from_hours(24 * n);
    let halted = AppEvent::Halted {
        reason: HaltReason::Operator {
            by: "ops".into(),
            why: "freeze".into(),
        },
        settings: None,
    };
    store
        .commit(
            Batch::new().app(&web(), &AppEvent::Tracked).app(&web(), &halted),
            day(0),
        )
        .await
        .unwrap();
    let fired = |slot| AppEvent::ScheduleFired { slot, run: id() };
    for n in 1..=9 {
        let batch = Batch::new().app(&web(), &fired(day(n)));
        store.commit(batch, day(n)).await.unwrap();
    }
    let (app_state, events) = found(&dir).await;
    assert_eq!(events, 11);
    let checkpoint = |most: fn(u64) -> bool| store.checkpoint_apps(most, app_state::checkpoint, day(9));
    assert_eq!(checkpoint(|facts| facts > 11).await.unwrap(), 0);
    assert_eq!(checkpoint(|facts| facts >= 11).await.unwrap(), 1);
    assert_eq!(checkpoint(|facts| facts >= 1).await.unwrap(), 0, "nothing came since");
    assert_eq!(found(&dir).await, (app_state.clone(), 1), "killed before the trim");
    assert_eq!(
        store.trim_apps(day(3), day(0)).await.unwrap(),
        4,
        "first sight, the halt, and two nights"
    );
    assert_eq!(store.trim_apps(day(99), day(0)).await.unwrap(), 7);
    assert_eq!(found(&dir).await, (app_state, 1), "killed after it");
    let remaining = store.app_events(&web()).await.unwrap();
    assert_eq!(
        remaining.iter().map(|remaining| remaining.seq).collect::<Vec<_>>(),
        [12]
    );
    let audit = store.audit(day(0)).await.unwrap();
    assert_eq!(audit.len(), 1, "{audit:?}");
    let (app, held) = &audit[0];
    assert_eq!(
        (app, held.seq, held.at, &held.event),
        (&web(), 2, day(0), &halted),
        "the audit log has it still"
    );

    store
        .commit(Batch::new().app(&web(), &fired(day(10))), day(10))
        .await
        .unwrap();
    let (app_state, _) = found(&dir).await;
    assert_eq!(app_state.schedule_fired, Some(day(10)));
    assert_eq!(checkpoint(|facts| facts >= 1).await.unwrap(), 1);
    // The older checkpoint goes at once: the newer one holds all of it.
    assert_eq!(store.trim_apps(day(0), day(0)).await.unwrap(), 1);
    assert_eq!(store.trim_apps(day(99), day(1)).await.unwrap(), 1);
    assert!(store.audit(day(0)).await.unwrap().is_empty(), "two years are over");
    assert_eq!(found(&dir).await, (app_state, 1));
}

/// Mails that nobody could be sent do not pile up for ever.
#[tokio::test]
async fn notices_go_with_their_time_whatever_became_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for dedup in ["delivered", "dead", "pending"] {
        enqueue(&store, notice(dedup), now()).await;
    }
    let later = now() + SignedDuration::from_secs(1);
    enqueue(&store, notice("young"), later).await;
    let dead = Delivery::Dead { error: "no".into() };
    store
        .record_delivery("delivered".into(), Delivery::Delivered, later)
        .await
        .unwrap();
    store.record_delivery("dead".into(), dead, later).await.unwrap();
    let forgotten = store.forget(later, BTreeSet::new()).await.unwrap();
    assert_eq!((forgotten.streams, forgotten.undelivered), (0, 1));
    let due = store.due_notices(later, 9, |_| true).await.unwrap();
    assert_eq!(
        due.iter().map(|due| due.notice.keys.dedup.as_str()).collect::<Vec<_>>(),
        ["young"]
    );
    assert!(store.undelivered().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_revision_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for revision in ["r1", "r2", "r1"] {
        store.store_revision(revision.into(), &fleet(), now()).await.unwrap();
        let (kept, _) = store.last_revision().await.unwrap().unwrap();
        assert_eq!(kept, revision);
    }
}

/// A full disk, or a copy that broke off, left nothing of it; beginning anew would forget every halt and quarantine.
#[tokio::test]
async fn an_emptied_database_beside_its_instance_is_damage() {
    let fresh = tempfile::tempdir().unwrap();
    std::fs::write(fresh.path().join("lowtide.db"), "").unwrap();
    Store::open(&fresh.path().join("lowtide.db"), true).unwrap();
    // Another one: the first one's thread may still write to its file.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lowtide.db");
    std::fs::write(&path, "").unwrap();
    std::fs::write(dir.path().join("instance"), "lowtide-abc\n").unwrap();
    for raise_term in [true, false] {
        let error = Store::open(&path, raise_term).unwrap_err();
        assert!(matches!(error, StoreError::Emptied { .. }), "{error}");
        assert!(error.to_string().contains("lowtide restore"), "{error}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "nothing was made of it");
}

/// 400 days ahead, then right again.
#[tokio::test]
async fn times_of_a_clock_that_was_ahead_count_as_now() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("lowtide.db"), true).unwrap();
    let ahead = now() + SignedDuration::from_hours(400 * 24);
    let fired = AppEvent::ScheduleFired { slot: ahead, run: id() };
    store
        .commit(Batch::new().app(&web(), &AppEvent::Tracked).app(&web(), &fired), ahead)
        .await
        .unwrap();
    store.set_mark("daily-report", ahead).await.unwrap();
    let soon = now() + SignedDuration::from_mins(30);
    store.set_mark("github-silent", soon).await.unwrap();
    enqueue(&store, notice("late"), now()).await;
    let later = Delivery::Later {
        at: ahead,
        error: "down".to_owned(),
    };
    store.record_delivery("late".to_owned(), later, ahead).await.unwrap();
    store
        .checkpoint_apps(|_| true, app_state::checkpoint, ahead)
        .await
        .unwrap();
    assert!(store.forget_the_future(now()).await.unwrap() > 0);
    let (from_checkpoint, events) = found(&dir).await;
    assert_eq!(
        (from_checkpoint.tracked, from_checkpoint.schedule_fired, events),
        (Some(now()), Some(now()), 1)
    );
    let app_state = app_state::fold(store.app_events(&web()).await.unwrap());
    assert_eq!(
        (app_state.tracked, app_state.schedule_fired),
        (Some(now()), Some(now()))
    );
    assert_eq!(store.mark("daily-report").await.unwrap(), Some(now()));
    assert_eq!(
        store.mark("github-silent").await.unwrap(),
        Some(soon),
        "what was asked for stays"
    );
    assert_eq!(store.due_notices(now(), 9, |_| true).await.unwrap().len(), 1);
    assert_eq!(store.forget_the_future(now()).await.unwrap(), 0, "once is enough");
}

/// Stepping back: what a newer lowtide wrote is not opened, and stays as it is.
#[tokio::test]
async fn a_newer_versions_database_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("lowtide.db"), dir.path().join("copy.db"));
    let store = open(&dir);
    record(&store, &events()).await;
    // A copy: the store's thread may still write to its own file.
    store.backup(copy.clone()).await.unwrap();
    std::fs::rename(&copy, &path).unwrap();
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer
        .execute_batch("PRAGMA journal_mode=DELETE; CREATE TABLE later (x); PRAGMA user_version = 1000;")
        .unwrap();
    drop(newer);
    let before = std::fs::read(&path).unwrap();
    for raise_term in [true, false] {
        let error = Store::open(&path, raise_term).unwrap_err();
        assert!(matches!(error, StoreError::TooNew { .. }), "{error}");
        insta::allow_duplicates!(
            insta::assert_snapshot!(error, @"a newer lowtide wrote this database (schema 1000; this version knows up to 1). Nothing was changed: start that version again, or restore a backup of this one's (`lowtide restore FILE --state DIR`)")
        );
    }
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("PRAGMA journal_mode=DELETE;").unwrap();
    drop(database);
    let after = std::fs::read(&path).unwrap();
    // Apart from the counters of its journal mode, which opening sets (https://sqlite.org/fileformat2.html, offsets 18 to 28 and 92 to 100).
    let content = |bytes: &[u8]| [&bytes[..18], &bytes[28..92], &bytes[100..]].concat();
    assert!(content(&before) == content(&after), "the refused database was changed");
}

/// `crates/core/corpus` says which schema a version has: its test counts on it.
#[tokio::test]
async fn the_schema_is_that_of_the_corpus() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let database = rusqlite::Connection::open(dir.path().join("lowtide.db")).unwrap();
    let schema: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let corpus = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/core/corpus/",
        env!("CARGO_PKG_VERSION"),
        "/schema"
    );
    assert_eq!(std::fs::read_to_string(corpus).unwrap().trim(), schema.to_string());
}
