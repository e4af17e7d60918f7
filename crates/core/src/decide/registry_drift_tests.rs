use super::*;
use crate::decide::app_state::tests::{app, release};
use jiff::Timestamp;
use lowtide_model::journal::Recorded;
use ulid::Ulid;

fn apply(app_state: &mut AppState, second: i64, events: Vec<AppEvent>) {
    for event in events {
        let at = Timestamp::from_second(1_790_000_000 + second).unwrap();
        app_state.apply(&Recorded { seq: 1, at, event });
    }
}

fn promoted(channel: &str, n: u128) -> AppEvent {
    AppEvent::Promoted {
        channel: channel.parse().unwrap(),
        release: RunId(Ulid(n)),
    }
}

/// Both channels have the first release, and so has a target of each.
fn settled() -> AppState {
    let mut app_state = AppState::default();
    let released = |n| AppEvent::Released {
        release: Box::new(release(n)),
    };
    let facts = vec![
        released(1),
        released(2),
        promoted("staging", 1),
        promoted("production", 1),
    ];
    apply(&mut app_state, 0, facts);
    for target in ["s1", "p1"] {
        let state = app_state.targets.entry(target.parse().unwrap()).or_default();
        state.current = Some(RunId(Ulid(1)));
    }
    app_state
}

fn digest(n: u64) -> ServedDigest {
    format!("sha256:{n:064x}").parse().unwrap()
}

#[test]
fn what_runs_and_what_channels_have_is_expected_once() {
    let (mut app, app_state) = (app(), settled());
    let texts = |app: &App| -> Vec<String> {
        let expected = expected(app, &app_state);
        let short = |one: &Expected| one.reference.to_string().replace(&digest(1).to_string(), "1");
        expected.iter().map(short).collect()
    };
    assert_eq!(
        texts(&app),
        [
            "registry.example.org/web:staging",
            "registry.example.org/web@1",
            "prod.example.org/web:production",
            "prod.example.org/web@1"
        ]
    );
    app.publish = None;
    assert_eq!(texts(&app), ["registry.example.org/web@1"], "where it was pushed");
    app.mode = Mode::Observe;
    assert_eq!(texts(&app), [""; 0]);
}

#[test]
fn a_difference_has_a_name() {
    let expected = expected(&app(), &settled());
    let [tag, pinned] = [&expected[0], &expected[1]];
    let moved = Some(RegistryDrift::Moved { to: digest(7) });
    let table = [
        (tag, There::Digest(digest(1)), None),
        (tag, There::Digest(digest(7)), moved),
        (tag, There::Absent, Some(RegistryDrift::Untagged)),
        (tag, There::NoRepository, Some(RegistryDrift::NoRepository)),
        (pinned, There::Digest(digest(1)), None),
        (pinned, There::Absent, Some(RegistryDrift::Missing)),
        (pinned, There::NoRepository, Some(RegistryDrift::NoRepository)),
    ];
    for (expected, there, drift) in table {
        assert_eq!(compare(expected, &there), drift, "{}", expected.reference);
    }
}

#[test]
fn a_difference_counts_when_seen_twice_and_is_recorded_once() {
    let (app, mut app_state) = (app(), settled());
    let reference = expected(&app, &app_state)[0].reference.clone();
    let saw = |drift: Option<RegistryDrift>| Looked::from([(reference.clone(), drift)]);
    let (well, gone, unknown) = (saw(None), saw(Some(RegistryDrift::Untagged)), Looked::new());
    let moved = saw(Some(RegistryDrift::Moved { to: digest(7) }));
    for (before, now) in [
        (&unknown, &gone),
        (&well, &gone),
        (&gone, &unknown),
        (&gone, &moved),
        (&well, &well),
    ] {
        assert_eq!(learnt(&app, &app_state, before, now), [], "{before:?} {now:?}");
    }
    let facts = learnt(&app, &app_state, &gone, &gone);
    assert_eq!(facts.len(), 1);
    apply(&mut app_state, 10, facts);
    assert_eq!(learnt(&app, &app_state, &gone, &gone), [], "known");
    assert_eq!(
        learnt(&app, &app_state, &unknown, &unknown),
        [],
        "no answer changes nothing"
    );
    let since = |app_state: &AppState| {
        let shown = app_state.registry_differences(&app);
        shown
            .iter()
            .map(|it| it.since.as_second() - 1_790_000_000)
            .collect::<Vec<_>>()
    };
    assert_eq!(since(&app_state), [10]);
    let facts = learnt(&app, &app_state, &moved, &moved);
    apply(&mut app_state, 20, facts);
    assert_eq!(
        since(&app_state),
        [10],
        "another difference of the same release is no new trouble"
    );
    let facts = learnt(&app, &app_state, &well, &well);
    apply(&mut app_state, 30, facts);
    assert!(app_state.registry.is_empty());
}

#[test]
fn another_release_begins_anew() {
    let (app, mut app_state) = (app(), settled());
    let reference = expected(&app, &app_state)[0].reference.clone();
    let gone = Looked::from([(reference.clone(), Some(RegistryDrift::Untagged))]);
    let facts = learnt(&app, &app_state, &gone, &gone);
    apply(&mut app_state, 10, facts);
    apply(&mut app_state, 20, vec![promoted("staging", 2)]);
    assert!(app_state.registry_differences(&app).is_empty());
    let facts = learnt(&app, &app_state, &gone, &gone);
    assert_eq!(facts.len(), 1, "the tag is gone again, of another release");
    apply(&mut app_state, 30, facts);
    assert_eq!(app_state.registry_differences(&app).len(), 1);
    // The channel is no longer configured.
    let mut other = app.clone();
    other.publish = None;
    let forgotten = learnt(&other, &app_state, &Looked::new(), &Looked::new());
    apply(&mut app_state, 40, forgotten);
    assert!(app_state.registry.is_empty());
}
