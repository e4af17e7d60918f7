//! A checkpoint replaces all events before it, whatever they were.

use super::*;
use crate::fleet::app_state::Placed;
use crate::fleet::app_state::Worked;
use crate::fleet::corpus;
use crate::kinds::list::KindName;
use jiff::SignedDuration;
use lowtide_model::drift::Drift;
use lowtide_model::policy::Unhealthy;
use lowtide_model::registry_tag::RegistryDrift;
use proptest::prelude::*;

/// What one draw makes of an event: which kind, of which release, of which target or channel.
type Draw = (u8, u8, u8);

const KINDS: u8 = 28;

fn kind(event: &AppEvent) -> u8 {
    match event {
        AppEvent::Tracked => 0,
        AppEvent::ScheduleFired { .. } => 1,
        AppEvent::Released { .. } => 2,
        AppEvent::BasesKnown { .. } => 3,
        AppEvent::Judged { .. } => 4,
        AppEvent::UnfixableUpdates { .. } => 5,
        AppEvent::RunFailed { .. } => 6,
        AppEvent::RunRecovered { .. } => 7,
        AppEvent::PromoteStarted { .. } => 8,
        AppEvent::Promoted { .. } => 9,
        AppEvent::PromoteFailed { .. } => 10,
        AppEvent::Again { .. } => 11,
        AppEvent::Adopted { .. } => 12,
        AppEvent::RolloutOpened { .. } => 13,
        AppEvent::RolloutEnded { .. } => 14,
        AppEvent::Halted { .. } => 15,
        AppEvent::Quarantined { .. } => 16,
        AppEvent::Unquarantined { .. } => 17,
        AppEvent::Resumed { .. } => 18,
        AppEvent::Expedited { .. } => 19,
        AppEvent::RequestCompleted => 20,
        AppEvent::Drifted { .. } => 21,
        AppEvent::Cancelled { .. } => 22,
        AppEvent::Retested { .. } => 23,
        AppEvent::TagsExpired { .. } => 24,
        AppEvent::TagsRemoved { .. } => 25,
        AppEvent::RegistryDrifted { .. } => 26,
        AppEvent::ImagesSeen { .. } => 27,
        // The checkpoint is what is tested: it is inserted among the others.
        AppEvent::Checkpoint { .. } => KINDS,
    }
}

fn conclusion(of: u8) -> RolloutConclusion {
    match of % 5 {
        0 | 1 => RolloutConclusion::Done,
        2 => RolloutConclusion::Refused { failure: broken() },
        3 => RolloutConclusion::Reverted { failure: broken() },
        _ => RolloutConclusion::Stuck { failure: broken() },
    }
}

fn reason(of: u8, release: RunId) -> HaltReason {
    let (by, why) = ("ops".to_owned(), "drill".to_owned());
    match of % 4 {
        0 => HaltReason::Reverted { failure: broken() },
        1 => HaltReason::Stuck { failure: broken() },
        2 => HaltReason::Operator { by, why },
        _ => HaltReason::Withdrawn {
            by,
            why,
            tag: "t".to_owned(),
            release,
        },
    }
}

fn broken() -> Failure {
    Failure::new(FailureKind::NotReady, "it does not answer")
}

fn drawn((drawn, n, place): Draw, second: i64) -> AppEvent {
    let run = RunId(Ulid(u128::from(n) + 1));
    match drawn {
        0 => AppEvent::Tracked,
        1 => AppEvent::ScheduleFired { slot: at(second), run },
        2 => AppEvent::Released {
            release: Box::new(release(run.0.0)),
        },
        3 => AppEvent::BasesKnown {
            bases: vec![format!("registry.example.org/base{n}").parse().unwrap()],
        },
        4 => AppEvent::Judged {
            inputs: Box::default(),
            because: vec![Because::Pending {
                packages: usize::from(n),
                security: usize::from(place),
            }],
        },
        5 => AppEvent::UnfixableUpdates {
            unfixable: Box::new(UnfixableUpdates {
                packages: (0..place).map(|p| (format!("p{p}:amd64"), n.to_string())).collect(),
                ..UnfixableUpdates::default()
            }),
        },
        6 => AppEvent::RunFailed {
            run,
            cause: format!("build/{place}"),
        },
        7 => AppEvent::RunRecovered { run },
        8..=14 => delivered((drawn, n, place), second),
        _ => held((drawn, n, place)),
    }
}

/// What happens to channels and targets.
fn delivered((drawn, n, place): Draw, second: i64) -> AppEvent {
    let release = release(u128::from(n) + 1);
    let run = release.run;
    let rollout = RolloutId(Ulid(1000 + u128::from(n)));
    let target: TargetName = ["s1", "s2", "p1"][usize::from(place) % 3].parse().unwrap();
    let channel: ChannelName = ["staging", "production"][usize::from(place) % 2].parse().unwrap();
    match drawn {
        8 => AppEvent::PromoteStarted {
            channel,
            release: run,
            reference: release.reference,
            digest: release.digest.unwrap(),
        },
        9 => AppEvent::Promoted { channel, release: run },
        10 => AppEvent::PromoteFailed {
            channel,
            release: run,
            since: at(second),
            failure: broken(),
        },
        11 => AppEvent::Again {
            targets: vec![target],
            channels: vec![channel],
        },
        12 => AppEvent::Adopted {
            target,
            image: Box::new(release),
        },
        13 => AppEvent::RolloutOpened {
            target,
            release: run,
            rollout,
        },
        _ => AppEvent::RolloutEnded {
            target,
            release: run,
            rollout,
            conclusion: conclusion(place),
            worked: Some(Worked {
                units: usize::from(place),
                took: Some(SignedDuration::from_secs(i64::from(n))),
                opening: None,
            }),
            placed: (place > 0).then(|| Placed {
                kind: KindName::Services,
                image: n.to_string(),
            }),
        },
    }
}

/// What holds an app back, and what people do about it.
fn held((drawn, n, place): Draw) -> AppEvent {
    let release = release(u128::from(n) + 1);
    let (content, image, digest) = (
        release.images.first().content.clone(),
        release.images.first().image.clone(),
        release.digest,
    );
    let (by, why) = ("ops".to_owned(), "drill".to_owned());
    match drawn {
        15 => AppEvent::Halted {
            reason: reason(place, release.run),
            settings: Some(Box::new(app())),
        },
        16 => AppEvent::Quarantined { content, image, digest },
        17 => AppEvent::Unquarantined { content, by, why },
        18 => AppEvent::Resumed {
            by,
            why,
            form: None,
            probation: u32::from(place),
        },
        19 => AppEvent::Expedited {
            by,
            unhealthy: Unhealthy::default(),
        },
        20 => AppEvent::RequestCompleted,
        22 => AppEvent::Cancelled {
            run: RunId(Ulid(u128::from(n) + 1)),
            by,
        },
        23 => AppEvent::Retested {
            release: release.run,
            sidecars: std::collections::BTreeMap::from([("mariadb:11".to_owned(), format!("sha256:{place}"))]),
        },
        24 => AppEvent::TagsExpired {
            repository: "registry.example.org/web".parse().unwrap(),
            tags: vec![format!("t{n}")],
        },
        25 => AppEvent::TagsRemoved {
            repository: "registry.example.org/web".parse().unwrap(),
            tags: vec![format!("t{n}")],
        },
        26 => AppEvent::RegistryDrifted {
            reference: format!("registry.example.org/web:{place}").parse().unwrap(),
            release: release.run,
            drift: (n % 3 > 0).then_some(RegistryDrift::Untagged),
        },
        27 => AppEvent::ImagesSeen {
            images: vec![(format!("16.{place}"), format!("sha256:{n:064x}").parse().unwrap())],
        },
        _ => AppEvent::Drifted {
            target: ["s1", "s2", "p1"][usize::from(place) % 3].parse().unwrap(),
            rollout: RolloutId(Ulid(1000 + u128::from(n))),
            drift: (place > 1).then_some(Drift::Gone),
        },
    }
}

fn stream(draws: &[Draw]) -> Vec<Recorded<AppEvent>> {
    let events = draws.iter().zip(1..).map(|(draw, seq)| Recorded {
        seq,
        at: at(seq as i64),
        event: drawn(*draw, seq as i64),
    });
    events.collect()
}

/// Through JSON, as the journal stores and reads it.
fn through_json(event: &AppEvent) -> AppEvent {
    serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap()
}

#[test]
fn every_kind_of_fact_is_drawn() {
    for n in 0..KINDS {
        assert_eq!(kind(&drawn((n, 1, 1), 1)), n);
    }
}

proptest! {
    #[test]
    fn a_checkpoint_anywhere_changes_nothing(
        draws in prop::collection::vec((0..KINDS, 0..30_u8, 0..5_u8), 1..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let all = stream(&draws);
        let cut = cut.index(all.len()) + 1;
        let (before, after) = all.split_at(cut);
        let stands = Recorded {
            seq: cut as u64,
            at: before[cut - 1].at,
            event: through_json(&checkpoint(before.to_vec())),
        };
        let trimmed: Vec<_> = [&stands].into_iter().chain(after).cloned().collect();
        let expected = fold(all.clone());
        let mut applied = AppState::default();
        trimmed.iter().for_each(|event| applied.apply(event));
        prop_assert_eq!(&applied, &expected);
        prop_assert_eq!(&fold(trimmed.clone()), &expected);
        // The old events not trimmed yet, or those that the audit log retains still there.
        let whole: Vec<_> = before.iter().chain(&trimmed).cloned().collect();
        prop_assert_eq!(fold(whole), expected);
    }
}

#[test]
fn only_new_releases_and_those_in_use_remember_what_changed() {
    let mut app_state = AppState::default();
    for n in 1..=4 {
        let mut release = release(n);
        release.change = Some(lowtide_model::inventory::Change {
            packages: Vec::new(),
            config: Vec::new(),
            files: lowtide_model::inventory::FileChanges::default(),
        });
        let released = AppEvent::Released {
            release: Box::new(release),
        };
        let promoted = AppEvent::Promoted {
            channel: "production".parse().unwrap(),
            release: RunId(Ulid(1)),
        };
        for event in [released, promoted] {
            app_state.apply(&Recorded {
                seq: 1,
                at: at(0),
                event,
            });
        }
    }
    let has_change: Vec<bool> = app_state
        .releases
        .iter()
        .map(|release| release.change.is_some())
        .collect();
    assert_eq!(has_change, [true, false, true, true]);
}

#[test]
fn what_released_versions_wrote_is_read() {
    let each = (0..5).flat_map(|place| (0..KINDS).map(move |kind| (kind, place + 1, place)));
    let draws: Vec<Draw> = each.collect();
    let facts = || stream(&draws).into_iter().map(|it| it.event);
    let after = std::iter::once(checkpoint(stream(&draws))).chain(facts());
    let streams = vec![
        ("facts".to_owned(), facts().collect()),
        ("after a checkpoint".to_owned(), after.collect()),
    ];
    corpus::holds("apps", streams, |events| {
        serde_json::to_value(fold(events.to_vec())).unwrap()
    });
}
