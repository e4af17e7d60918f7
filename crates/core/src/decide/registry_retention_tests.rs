use super::*;
use crate::decide::app_state::tests::{app, release};
use crate::fleet::app_state::AppEvent;
use jiff::SignedDuration;
use lowtide_model::drift::Drift;
use lowtide_model::failure::HaltReason;
use lowtide_model::journal::Recorded;
use lowtide_model::name::RolloutId;
use ulid::Ulid;

const DAY: u64 = 24 * 3600 * 1000;

/// Of a run that began `n` days after 1970.
fn run(n: u64) -> RunId {
    RunId(Ulid::from_parts(n * DAY, 0))
}

fn pushed(app: &str, n: u64) -> PushedTag {
    PushedTag {
        app: app.parse().unwrap(),
        repository: "registry.example.org/web".parse().unwrap(),
        run: run(n),
        tag: format!("t{n}"),
        digest: format!("sha256:{n:064x}").parse().unwrap(),
    }
}

fn digest(n: u64) -> ServedDigest {
    format!("sha256:{n:064x}").parse().unwrap()
}

fn policy(keep: usize, days: Option<i64>) -> RegistryRetention {
    RegistryRetention {
        keep,
        age: days.map(|days| SignedDuration::from_hours(24 * days)),
        delete: true,
    }
}

fn names(tags: &[&PushedTag]) -> Vec<String> {
    tags.iter().map(|tag| tag.tag.clone()).collect()
}

#[test]
fn old_tags_expire_unless_something_needs_them() {
    let all: Vec<PushedTag> = (1..=6).map(|n| pushed("web", n)).chain([pushed("shop", 7)]).collect();
    let all: Vec<&PushedTag> = all.iter().collect();
    let now = Timestamp::from_millisecond(10 * DAY as i64).unwrap();
    let runs = |runs: &[u64]| Needed {
        runs: runs.iter().map(|n| run(*n)).collect(),
        digests: BTreeSet::new(),
    };
    let digests = |digests: &[u64]| Needed {
        runs: BTreeSet::new(),
        digests: digests.iter().map(|n| digest(*n).to_string()).collect(),
    };
    type Row<'a> = (&'a str, RegistryRetention, Needed, &'a [&'a str], &'a [&'a str]);
    let table: [Row<'_>; 7] = [
        ("the newest stay", policy(3, None), runs(&[]), &[], &["t3", "t2", "t1"]),
        (
            "each app has its own",
            policy(1, None),
            runs(&[]),
            &[],
            &["t5", "t4", "t3", "t2", "t1"],
        ),
        ("enough are kept", policy(6, None), runs(&[]), &[], &[]),
        ("so are young ones", policy(1, Some(8)), runs(&[]), &[], &["t2", "t1"]),
        (
            "what runs stays however old",
            policy(3, None),
            runs(&[1]),
            &[],
            &["t3", "t2"],
        ),
        (
            "whichever app has the digest",
            policy(3, None),
            digests(&[2]),
            &[],
            &["t3", "t1"],
        ),
        ("an app on hold", policy(3, None), runs(&[]), &["web"], &[]),
    ];
    for (name, policy, needed, held, gone) in table {
        let held = held.iter().map(|app| app.parse().unwrap()).collect();
        assert_eq!(names(&expired(&all, &held, &needed, &policy, now)), gone, "{name}");
    }
}

fn tagged(n: u64, refers: &[u64]) -> Tagged {
    Tagged {
        digest: digest(n),
        refers: refers.iter().map(|n| digest(*n)).collect(),
    }
}

fn contents(tags: Vec<(&str, Tagged)>, parts: &[u64]) -> Contents {
    Contents {
        tags: tags.into_iter().map(|(tag, it)| (tag.to_owned(), it)).collect(),
        parts: parts.iter().map(|n| digest(*n)).collect(),
    }
}

fn shared(with: &str) -> Verdict {
    Verdict::Shared { with: with.to_owned() }
}

#[test]
fn a_tag_goes_only_if_its_digest_may_go_as_well() {
    let all: Vec<PushedTag> = (1..=2).map(|n| pushed("web", n)).collect();
    let expired: Vec<&PushedTag> = all.iter().collect();
    let as_pushed = || {
        vec![
            ("t1", tagged(1, &[])),
            ("t2", tagged(2, &[])),
            ("stable", tagged(9, &[])),
        ]
    };
    let also = |tag: &'static str, it: Tagged| {
        let mut tags = as_pushed();
        tags.retain(|(name, _)| *name != tag);
        tags.push((tag, it));
        tags
    };
    type Row<'a> = (&'a str, Vec<(&'a str, Tagged)>, &'a [u64], [Verdict; 2]);
    let (go, held, refers) = (Verdict::Remove, Verdict::Contained, Verdict::Refers);
    let (go, held, refers) = (|| go.clone(), || held.clone(), || refers.clone());
    let twice = [also("t1", tagged(1, &[2])), vec![("keep", tagged(1, &[]))]].concat();
    let table: [Row<'_>; 10] = [
        ("as pushed", as_pushed(), &[], [go(), go()]),
        ("nothing there", vec![], &[], [Verdict::Gone, Verdict::Gone]),
        ("moved", also("t1", tagged(5, &[])), &[], [Verdict::Moved, go()]),
        (
            "tagged twice",
            also("keep", tagged(1, &[])),
            &[],
            [shared("keep"), go()],
        ),
        (
            "in an index that stays",
            also("all", tagged(7, &[2])),
            &[],
            [go(), held()],
        ),
        ("in an index that runs", as_pushed(), &[2], [go(), held()]),
        ("has one that stays", also("t1", tagged(1, &[9])), &[], [refers(), go()]),
        (
            "about one that runs",
            also("t1", tagged(1, &[8])),
            &[],
            [refers(), go()],
        ),
        ("about one that goes", also("t1", tagged(1, &[2])), &[], [go(), go()]),
        // The first stays for `keep`, and contains the second.
        ("what stays keeps its parts", twice, &[], [shared("keep"), held()]),
    ];
    for (name, tags, parts, verdicts) in table {
        let contents = contents(tags, parts);
        let found = judge(&expired, &contents, &BTreeSet::from([digest(8)]));
        let found: Vec<Verdict> = found.into_iter().map(|(_, verdict)| verdict).collect();
        assert_eq!(found, verdicts, "{name}");
    }
}

#[test]
fn two_tags_of_one_digest_go_together_or_not_at_all() {
    let first = pushed("web", 1);
    let mut twin = pushed("web", 3);
    twin.digest = first.digest.clone();
    let contents = contents(vec![("t1", tagged(1, &[])), ("t3", tagged(1, &[]))], &[]);
    let both = judge(&[&first, &twin], &contents, &BTreeSet::new());
    assert!(both.iter().all(|(_, verdict)| *verdict == Verdict::Remove), "{both:?}");
    assert_eq!(judge(&[&twin], &contents, &BTreeSet::new())[0].1, shared("t1"));
}

fn after(events: Vec<AppEvent>) -> AppState {
    let mut app_state = AppState::default();
    for (seq, event) in (1..).zip(events) {
        let at = Timestamp::from_second(1_790_000_000).unwrap();
        app_state.apply(&Recorded { seq, at, event });
    }
    app_state
}

fn released(n: u128) -> AppEvent {
    AppEvent::Released {
        release: Box::new(release(n)),
    }
}

#[test]
fn what_targets_and_channels_have_and_had_is_needed() {
    let promoted = |channel: &str, n: u128| AppEvent::Promoted {
        channel: channel.parse().unwrap(),
        release: RunId(Ulid(n)),
    };
    let ended = |n: u128| AppEvent::RolloutEnded {
        target: "p1".parse().unwrap(),
        release: RunId(Ulid(n)),
        rollout: RolloutId(Ulid(100 + n)),
        conclusion: lowtide_model::rollout::RolloutConclusion::Done,
        worked: None,
        placed: None,
    };
    let mut events: Vec<AppEvent> = (1..=9).map(released).collect();
    events.extend([promoted("staging", 3), promoted("staging", 4), ended(1), ended(2)]);
    events.push(AppEvent::Quarantined {
        content: release(6).images.first().content.clone(),
        image: release(6).images.first().image.clone(),
        digest: None,
    });
    let needed = needed([&after(events)]);
    let stay: Vec<u64> = (1..=9)
        .filter(|n| {
            let mut tag = pushed("web", *n);
            tag.run = run(99);
            needed.has(&tag)
        })
        .collect();
    // The two newest, those of the channel and of the target, and the quarantined one.
    assert_eq!(stay, [1, 2, 3, 4, 6, 8, 9]);
    assert_eq!(needed.digests([]).len(), 7);
}

#[test]
fn nothing_is_removed_while_it_is_unknown_what_is_needed() {
    let app = app();
    let target = || "p1".parse().unwrap();
    let opened = AppEvent::RolloutOpened {
        target: target(),
        release: RunId(Ulid(1)),
        rollout: RolloutId(Ulid(5)),
    };
    let halted = AppEvent::Halted {
        reason: HaltReason::Operator {
            by: "ops".to_owned(),
            why: "drill".to_owned(),
        },
        settings: None,
    };
    assert_eq!(held(&app, &after(vec![released(1)])), None);
    assert_eq!(held(&app, &after(vec![released(1), opened])), Some(Held::Rollout));
    assert_eq!(held(&app, &after(vec![released(1), halted])), Some(Held::Halted));
    let mut app_state = after(vec![released(1)]);
    let state = app_state.targets.entry(target()).or_default();
    state.drift = Some((Timestamp::UNIX_EPOCH, Drift::Gone));
    assert_eq!(held(&app, &app_state), Some(Held::Drifted));
    let state = app_state.targets.entry(target()).or_default();
    (state.drift, state.record) = (None, Record::Doubtful);
    assert_eq!(held(&app, &app_state), Some(Held::Doubtful));
    // What is remembered of a target that is no longer configured holds nothing.
    let state = app_state.targets.remove(&target()).unwrap();
    app_state.targets.insert("former".parse().unwrap(), state);
    assert_eq!(held(&app, &app_state), None);
}
