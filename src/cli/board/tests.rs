use super::*;
use insta::assert_snapshot;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::preview::OrderReason;
use lowtide_model::rollout::UpdateOrder;
use lowtide_model::rollout::{Part, RolloutConclusion};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn id() -> RolloutId {
    RolloutId(ulid::Ulid(9))
}

fn replica(index: usize) -> Replica {
    Replica {
        name: format!("web-{}", index + 1),
        index,
        of: 2,
    }
}

fn moves(tasks: Option<u64>) -> Progress {
    let one = |name: &str| Move {
        name: name.to_owned(),
        part: Part::Release,
        from: Some("t0".to_owned()),
        order: Some(UpdateOrder::StopFirst),
        why: OrderReason::NoRouter,
        tasks,
        phase: Phase::Waiting,
    };
    Progress::RolloutMoves {
        app: "web".parse().unwrap(),
        rollout: id(),
        target: "front".parse().unwrap(),
        tag: "t1".to_owned(),
        replicas: vec![one("web-1"), one("web-2")],
    }
}

fn step(replica: Option<Replica>, step: &str, phase: Phase) -> Progress {
    Progress::StepStarted {
        rollout: id(),
        step: step.to_owned(),
        replica,
        phase: Some(phase),
    }
}

fn ended(replica: Option<Replica>, step: &str, failure: Option<Failure>) -> Progress {
    Progress::StepEnded {
        rollout: id(),
        step: step.to_owned(),
        replica,
        took_ms: 1000,
        failure,
    }
}

fn not_ready(answer: &str) -> Progress {
    Progress::NotReady {
        rollout: id(),
        replica: replica(0),
        answer: answer.to_owned(),
    }
}

fn waits(reason: WaitReason) -> Progress {
    Progress::RolloutWaits { rollout: id(), reason }
}

const READY: &str = "wait until new container is ready";

/// The first replica arrives, the second does not.
fn a_rollout_that_fails() -> Vec<Progress> {
    let forward = Phase::Moving;
    let failure = Failure::new(
        FailureKind::UnhealthyAfterRoll,
        "not ready within 60 s: GET / answers 503",
    );
    vec![
        Progress::RolloutOpened {
            app: "web".parse().unwrap(),
            target: "front".parse().unwrap(),
            rollout: id(),
            run: lowtide_model::name::RunId(ulid::Ulid(7)),
        },
        step(None, "preflight", forward),
        ended(None, "preflight", None),
        moves(None),
        step(Some(replica(0)), READY, forward),
        not_ready("it has run for 1 s"),
        not_ready("it has run for 2 s"),
        not_ready("GET / answers 503"),
        Progress::Ready {
            rollout: id(),
            replica: replica(0),
            took_ms: 4300,
        },
        ended(Some(replica(0)), READY, None),
        step(Some(replica(1)), READY, forward),
        ended(Some(replica(1)), READY, Some(failure.clone())),
        Progress::RolloutReturns { rollout: id(), failure },
        step(Some(replica(1)), "stop new container", Phase::Returning),
        ended(Some(replica(1)), "stop new container", None),
        step(Some(replica(0)), "stop new container", Phase::Returning),
    ]
}

/// The lines of a terminal-less watch, and after each the rows of a terminal.
fn watched(seen: &[Progress]) -> String {
    let mut board = Board::new("UTC");
    let mut out = Vec::new();
    for (second, progress) in (0..).zip(seen) {
        match board.fold(progress, at(second)) {
            Some(Update::Change(text)) => out.push(text),
            Some(Update::News(text)) => out.push(format!("! {text}")),
            None => {}
        }
        let rows = words::rows(&board.rows(), at(second + 1));
        let drawn = rows.iter().map(|row| format!("{:20}| {}  {}", "", row.text, row.clock));
        out.extend(drawn.map(|row| row.trim_end().to_owned()));
    }
    out.join("\n")
}

#[test]
fn a_revert_is_watched() {
    assert_snapshot!(watched(&a_rollout_that_fails()), @"
      front: preflight
                        |   front  preflight  1 s
      web-1: t0 → t1, stop-first (no router would pick up a new container)
      web-2: t0 → t1, stop-first (no router would pick up a new container)
                        |   web-1  stop-first  waits for its turn
                        |   web-2  stop-first  waits for its turn
      web-1: wait until new container is ready
                        |   web-1  stop-first  wait until new container is ready  1 s
                        |   web-2  stop-first  waits for its turn
      web-1: not ready yet: it has run for 1 s
                        |   web-1  stop-first  wait until new container is ready (it has run for 1 s)  2 s
                        |   web-2  stop-first  waits for its turn
                        |   web-1  stop-first  wait until new container is ready (it has run for 2 s)  3 s
                        |   web-2  stop-first  waits for its turn
      web-1: not ready yet: GET / answers 503
                        |   web-1  stop-first  wait until new container is ready (GET / answers 503)  4 s
                        |   web-2  stop-first  waits for its turn
      web-1: ready after 4 s
                        |   web-1  stop-first  wait until new container is ready (GET / answers 503)  5 s
                        |   web-2  stop-first  waits for its turn
                        |   web-1  stop-first  is being moved
                        |   web-2  stop-first  waits for its turn
      web-2: wait until new container is ready
                        |   web-1  stop-first  runs the release
                        |   web-2  stop-first  wait until new container is ready  1 s
    !   web-2: wait until new container is ready failed: the new container did not become ready: not ready within 60 s: GET / answers 503
                        |   web-1  stop-first  runs the release
                        |   web-2  stop-first  failed: the new container did not become ready: not ready within 60 s: GET / answers 503
    !   front: rolling back: the new container did not become ready: not ready within 60 s: GET / answers 503
                        |   web-1  stop-first  runs the release
                        |   web-2  stop-first  failed: the new container did not become ready: not ready within 60 s: GET / answers 503
      web-2: stop new container
                        |   web-1  stop-first  runs the release
                        |   web-2  stop-first  stop new container  1 s
                        |   web-1  stop-first  runs the release
                        |   web-2  stop-first  rolling back
      web-1: stop new container
                        |   web-1  stop-first  stop new container  1 s
                        |   web-2  stop-first  rolling back
    ");
}

#[test]
fn a_bake_counts_down_and_the_rows_go() {
    let seen = [
        moves(None),
        waits(WaitReason::Baking { until: at(120) }),
        step(Some(replica(1)), "remove old container", Phase::Finishing),
        ended(Some(replica(1)), "remove old container", None),
        Progress::RolloutEnded {
            app: "web".parse().unwrap(),
            target: "front".parse().unwrap(),
            rollout: id(),
            conclusion: Box::new(RolloutConclusion::Done),
        },
    ];
    assert_snapshot!(watched(&seen), @"
    web-1: t0 → t1, stop-first (no router would pick up a new container)
    web-2: t0 → t1, stop-first (no router would pick up a new container)
                      |   web-1  stop-first  waits for its turn
                      |   web-2  stop-first  waits for its turn
    front: is being watched until 2026-09-21 14:15 UTC
                      |   web-1  stop-first  runs the release and is watched  1 min 58 s left
                      |   web-2  stop-first  runs the release and is watched  1 min 58 s left
    web-2: remove old container
                      |   web-1  stop-first  runs the release, the old one goes
                      |   web-2  stop-first  remove old container  1 s
                      |   web-1  stop-first  runs the release, the old one goes
                      |   web-2  stop-first  runs the release, the old one goes
    ");
}

#[test]
fn services_show_their_tasks() {
    let converging = |done| {
        waits(WaitReason::Converging {
            service: "web-1".to_owned(),
            done,
            total: 3,
            deadline: at(180),
        })
    };
    let seen = [
        moves(Some(3)),
        step(Some(replica(0)), "update service", Phase::Moving),
        ended(Some(replica(0)), "update service", None),
        converging(0),
        converging(2),
        step(Some(replica(1)), "update service", Phase::Moving),
        waits(WaitReason::Paused),
    ];
    assert_snapshot!(watched(&seen), @"
      web-1 (3 tasks): t0 → t1, stop-first (no router would pick up a new container)
      web-2 (3 tasks): t0 → t1, stop-first (no router would pick up a new container)
                        |   web-1  stop-first  waits for its turn
                        |   web-2  stop-first  waits for its turn
      web-1: update service
                        |   web-1  stop-first  update service  1 s
                        |   web-2  stop-first  waits for its turn
                        |   web-1  stop-first  is being moved
                        |   web-2  stop-first  waits for its turn
      web-1: 0 of 3 tasks, until 2026-09-21 14:16 UTC at the latest
                        |   web-1  stop-first  0 of 3 tasks are replaced  at most 2 min 56 s left
                        |   web-2  stop-first  waits for its turn
      web-1: 2 of 3 tasks, until 2026-09-21 14:16 UTC at the latest
                        |   web-1  stop-first  2 of 3 tasks are replaced  at most 2 min 55 s left
                        |   web-2  stop-first  waits for its turn
      web-2: update service
                        |   web-1  stop-first  runs the release
                        |   web-2  stop-first  update service  1 s
    !   front: everything is paused
                        |   web-1  stop-first  runs the release
                        |   web-2  stop-first  update service  2 s
    ");
}

#[test]
fn who_comes_late_sees_rows_too() {
    let seen = [step(Some(replica(1)), READY, Phase::Moving)];
    assert_snapshot!(watched(&seen), @"
    web-2: wait until new container is ready
                      |   1 of 2  waits for its turn
                      |   web-2   wait until new container is ready  1 s
    ");
}

#[test]
fn progress_is_documented_json() {
    let lines: Vec<String> = a_rollout_that_fails()[3..]
        .iter()
        .map(|progress| serde_json::to_string(progress).unwrap())
        .collect();
    let mut kinds: Vec<&str> = Vec::new();
    let mut shown = Vec::new();
    for line in &lines {
        let kind = line.split('"').nth(3).unwrap();
        if !kinds.contains(&kind) {
            kinds.push(kind);
            shown.push(line.as_str());
        }
        let again: Progress = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), *line);
    }
    assert_snapshot!(shown.join("\n"), @r#"
    {"progress":"rollout_moves","app":"web","rollout":"00000000000000000000000009","target":"front","tag":"t1","replicas":[{"name":"web-1","part":"release","from":"t0","order":"stop-first","why":"no_router","tasks":null,"phase":"waiting"},{"name":"web-2","part":"release","from":"t0","order":"stop-first","why":"no_router","tasks":null,"phase":"waiting"}]}
    {"progress":"step_started","rollout":"00000000000000000000000009","step":"wait until new container is ready","replica":{"name":"web-1","index":0,"of":2},"phase":"moving"}
    {"progress":"not_ready","rollout":"00000000000000000000000009","replica":{"name":"web-1","index":0,"of":2},"answer":"it has run for 1 s"}
    {"progress":"ready","rollout":"00000000000000000000000009","replica":{"name":"web-1","index":0,"of":2},"took_ms":4300}
    {"progress":"step_ended","rollout":"00000000000000000000000009","step":"wait until new container is ready","replica":{"name":"web-1","index":0,"of":2},"took_ms":1000,"failure":null}
    {"progress":"rollout_returns","rollout":"00000000000000000000000009","failure":{"kind":"unhealthy_after_roll","detail":"not ready within 60 s: GET / answers 503"}}
    "#);
}
