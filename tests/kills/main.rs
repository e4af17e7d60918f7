//! kill -9 before and after every engine call of a rollout that changes something, then a new start: a real lowtide on a real
//! engine (`LOWTIDE_TEST_ENGINE`, path of its socket). Every kind of container, forward and back.
//!
//! Each trial has containers and a state of its own: a release, and a rollout to it that was just opened. A proxy between
//! lowtide and the engine kills it at one call; it is started again and left alone until the rollout is over. Hosts fall too,
//! with lowtide and without it. The matrix is printed, a line per kill point.
//!
//! - `LOWTIDE_KILLS_ONLY=TEXT`: only points whose name contains the text.
//! - `LOWTIDE_KILLS_JOBS=N`: trials at a time, 4 if not given.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    reason = "a test that cannot go on must panic; the matrix is printed; not all of what is shared is used"
)]

#[path = "../crash/bot.rs"]
mod bot;
mod kind;
mod machine;
#[path = "../crash/point.rs"]
mod point;
#[path = "../crash/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod trial;
mod world;

use kind::{Falls, Kind, Way};
use machine::Machine;
use point::{Moment, Point, mutates};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use trial::Plan;
use world::Ground;

/// One test, because the points share two cores, and their count is its result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kill_point_of_a_rollout_converges() {
    let ground = Arc::new(Ground::prepare());
    let machines: Vec<Arc<Machine>> = Machine::all().into_iter().map(Arc::new).collect();
    let (mut failed, mut here, mut there) = (Vec::new(), VecDeque::new(), VecDeque::new());
    for kind in Kind::KILLED {
        let (unkind, found) = plans(&ground, None, kind, &[Falls::Lowtide]).await;
        failed.extend(unkind);
        here.extend(found);
    }
    match machines.first() {
        Some(machine) => {
            let (unkind, found) = plans(
                &machine.ground,
                Some(machine),
                Kind::Always,
                &[Falls::Both, Falls::Host],
            )
            .await;
            failed.extend(unkind);
            there.extend(found);
        }
        None => println!("no machine to reboot: processes may not have a network of their own here"),
    }
    let count = here.len() + there.len();
    failed.extend(all(&ground, &machines, here, there).await);
    // Said again: a log's end is what is read first, and often all that is kept of it.
    assert!(
        failed.is_empty(),
        "{} of {count} kill points do not converge:\n{}",
        failed.len(),
        failed.join("\n")
    );
    println!("{count} kill points converge");
}

/// Every point of a calm rollout of this kind, forward and back; and what went wrong with the calm ones.
async fn plans(ground: &Ground, machine: Option<&Machine>, kind: Kind, falls: &[Falls]) -> (Vec<String>, Vec<Plan>) {
    let only = std::env::var("LOWTIDE_KILLS_ONLY").unwrap_or_default();
    let (mut failed, mut plans) = (Vec::new(), Vec::new());
    for way in [Way::Forward, Way::Back] {
        let calm = Plan {
            kind,
            way,
            falls: Falls::Lowtide,
            point: Point::Never,
        };
        let ended = trial::run(ground, machine, &calm).await;
        failed.extend(show(&ended));
        for (falls, point) in falls
            .iter()
            .flat_map(|falls| points(&ended.calls).into_iter().map(|p| (*falls, p)))
        {
            plans.push(Plan {
                falls,
                point,
                ..calm.clone()
            });
        }
    }
    plans.retain(|plan| plan.to_string().contains(&only));
    (failed, plans)
}

/// What reading finds is the same before and after it: only calls that change something are points.
fn points(calls: &[String]) -> Vec<Point> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for shape in calls {
        let nth = counts.entry(shape).or_default();
        *nth += 1;
        // Housekeeping of the bot beside it is none of the rollout's.
        if mutates(shape) && shape != "POST /build/prune" {
            points.push(Point::engine(shape, *nth, Moment::Before));
            points.push(Point::engine(shape, *nth, Moment::ResponseLost));
        }
    }
    points
}

/// Several at a time on the engine that stays up: most of a trial is waiting. One at a time on each machine.
async fn all(
    ground: &Arc<Ground>,
    machines: &[Arc<Machine>],
    here: VecDeque<Plan>,
    there: VecDeque<Plan>,
) -> Vec<String> {
    let jobs = std::env::var("LOWTIDE_KILLS_JOBS").ok().and_then(|n| n.parse().ok());
    let (here, there) = (Arc::new(Mutex::new(here)), Arc::new(Mutex::new(there)));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..jobs.unwrap_or(4) {
        let (ground, queue) = (Arc::clone(ground), Arc::clone(&here));
        workers.spawn(async move {
            let mut failed = Vec::new();
            while let Some(plan) = take(&queue) {
                failed.extend(show(&trial::run(&ground, None, &plan).await));
            }
            failed
        });
    }
    for machine in machines {
        let (machine, queue) = (Arc::clone(machine), Arc::clone(&there));
        workers.spawn(async move {
            let mut failed = Vec::new();
            while let Some(plan) = take(&queue) {
                failed.extend(show(&trial::run(&machine.ground, Some(&machine), &plan).await));
            }
            failed
        });
    }
    workers.join_all().await.concat()
}

fn take(queue: &Mutex<VecDeque<Plan>>) -> Option<Plan> {
    queue.lock().unwrap().pop_front()
}

/// What was wrong, if anything was.
fn show(ended: &trial::Ended) -> Option<String> {
    let wrong = format!("WRONG: {}", ended.wrong.join("; "));
    let is_wrong = !ended.wrong.is_empty();
    println!(
        "{:<62} | {:<36} | {:>4.1} s | {}",
        ended.name,
        ended.found,
        ended.took.as_secs_f32(),
        if is_wrong { &wrong } else { &ended.conclusion },
    );
    if !is_wrong {
        return None;
    }
    println!("{}", ended.story);
    Some(format!("{} | {} | {wrong}\n{}", ended.name, ended.found, ended.story))
}
