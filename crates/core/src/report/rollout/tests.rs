use super::*;
use insta::assert_snapshot;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn moves(name: &str, from: Option<&str>, why: OrderReason, phase: Phase) -> Move {
    let order = match why {
        OrderReason::RouterTakesUp => UpdateOrder::StartFirst,
        OrderReason::Configured
        | OrderReason::Dependent
        | OrderReason::NoRouter
        | OrderReason::RouterPauses
        | OrderReason::Bars { .. }
        | OrderReason::Refused { .. }
        | OrderReason::Service
        | OrderReason::Command => UpdateOrder::StopFirst,
    };
    Move {
        name: name.to_owned(),
        part: Part::Release,
        from: from.map(str::to_owned),
        order: Some(order),
        why,
        tasks: None,
        phase,
    }
}

fn line(unit: impl Into<Option<usize>>, step: &str, state: PlannedState) -> Planned {
    let what = What::Step { step: step.to_owned() };
    let unit = unit.into();
    Planned { unit, what, state }
}

fn done(seconds: i64) -> PlannedState {
    PlannedState::Done {
        took: SignedDuration::from_secs(seconds),
    }
}

fn bake() -> Planned {
    let lasts = SignedDuration::from_secs(120);
    Planned {
        unit: None,
        what: What::Bake { lasts },
        state: PlannedState::Ahead,
    }
}

/// The first of two replicas is moved, the second gets ready, and what lives in its network has its turn after it.
pub(in crate::report) fn half_way() -> RolloutPreview {
    let bars = vec![Bar::PublishedPort { port: "80/tcp".into() }];
    let since = at("2026-11-24T07:04:56Z");
    let mut tenant = moves("web-2-cache", Some("redis"), OrderReason::Dependent, Phase::Waiting);
    tenant.part = Part::Dependent;
    RolloutPreview {
        chosen: Chosen::Preflighted,
        moves: vec![
            moves("web-1", Some("20261109.x-3"), OrderReason::RouterTakesUp, Phase::Moved),
            moves("web-2", Some("20261109.x-3"), OrderReason::Bars { bars }, Phase::Moving),
            tenant,
        ],
        steps: vec![
            line(None, "preflight", done(2)),
            line(None, "pull", done(14)),
            line(0, "create new container", done(1)),
            line(0, "start new container", done(0)),
            line(1, "create new container", PlannedState::Failed),
            line(1, "create new container", done(1)),
            line(1, "wait until new container is ready", PlannedState::Running { since }),
            line(1, "rename to web-2", PlannedState::Ahead),
            line(2, "create new container", PlannedState::Ahead),
            bake(),
            line(2, "remove old container", PlannedState::Ahead),
            line(1, "remove old container", PlannedState::Ahead),
            line(0, "remove old container", PlannedState::Ahead),
        ],
        ends: Some(RolloutConclusion::Done),
    }
}

/// Preflight has not run yet.
pub(in crate::report) fn assumed() -> RolloutPreview {
    RolloutPreview {
        chosen: Chosen::Assumed,
        moves: vec![moves("N", None, OrderReason::NoRouter, Phase::Waiting)],
        steps: vec![
            line(None, "preflight", PlannedState::Ahead),
            line(0, "create new container", PlannedState::Ahead),
            bake(),
        ],
        ends: Some(RolloutConclusion::Done),
    }
}

/// One of six services of a stack is under way.
pub(in crate::report) fn stack() -> RolloutPreview {
    let since = at("2026-11-24T07:04:00Z");
    let service = |n: usize| {
        let phase = if n == 0 { Phase::Moving } else { Phase::Waiting };
        Move {
            tasks: Some(3),
            ..moves(&format!("shop_{n}"), Some("t0"), OrderReason::Service, phase)
        }
    };
    RolloutPreview {
        chosen: Chosen::Preflighted,
        moves: (0..6).map(service).collect(),
        steps: vec![
            line(0, "update service", done(1)),
            Planned {
                unit: Some(0),
                what: What::Tasks { total: 3 },
                state: PlannedState::Running { since },
            },
            line(1, "update service", PlannedState::Ahead),
        ],
        ends: None,
    }
}

#[test]
fn every_order_has_its_words() {
    let bars = || vec![Bar::Device, Bar::WritableVolume { path: "/data".into() }];
    let all = [
        OrderReason::Configured,
        OrderReason::Dependent,
        OrderReason::NoRouter,
        OrderReason::RouterPauses,
        OrderReason::RouterTakesUp,
        OrderReason::Bars { bars: bars() },
        OrderReason::Refused { bars: bars() },
        OrderReason::Service,
        OrderReason::Command,
    ];
    let mut lines: Vec<String> = all
        .into_iter()
        .map(|why| order(&moves("web", None, why, Phase::Waiting)))
        .collect();
    let unseen = Move {
        order: None,
        ..moves("web", None, OrderReason::Service, Phase::Waiting)
    };
    lines.push(order(&unseen));
    assert_snapshot!(lines.join("\n"), @"
    stop-first (as configured)
    stop-first (it depends on another one)
    stop-first (no router would pick up a new container)
    stop-first (its router can only hold requests back)
    start-first (its router picks up new containers)
    stop-first (it uses a device, it writes to the volume at /data)
    stop-first (start-first is refused: it uses a device, it writes to the volume at /data)
    stop-first (by what its tasks allow)
    by its command
    in the order that its tasks allow
    ");
}

#[test]
fn an_opening_is_reported_with_its_length() {
    let now = at("2026-11-24T07:00:00Z");
    let until = at("2026-11-24T09:00:00Z");
    let opens = Some(at("2026-11-24T08:30:00Z"));
    let all = [
        Entry::At { opens, until },
        Entry::At { opens: None, until },
        Entry::Ignored,
        Entry::Unknown,
    ];
    let lines: Vec<String> = all
        .into_iter()
        .map(|it| entry(it, now, "UTC").unwrap_or_else(|| "–".to_owned()))
        .collect();
    assert_snapshot!(lines.join("\n"), @"
    its window is then open for 30 min, until 2026-11-24 09:00 UTC
    its window is open for another 2 h, until 2026-11-24 09:00 UTC
    it waits for no window
    –
    ");
}

#[test]
fn an_end_that_is_not_good_is_reported() {
    let mut preview = half_way();
    assert_eq!(ends(&preview), None);
    let failure = lowtide_model::failure::Failure::new(
        lowtide_model::failure::FailureKind::PreflightRefused,
        "web-1: no start-first (it uses a device)",
    );
    preview.ends = Some(RolloutConclusion::Refused { failure });
    assert_snapshot!(ends(&preview).unwrap(), @"as it stands: refused, the old one serves: the container cannot be recreated faithfully: web-1: no start-first (it uses a device)");
}
