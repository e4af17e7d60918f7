//! kill -9 before and after every engine call of a rollout that changes something, then a new start: a real lowtide on a real
//! engine (`LOWTIDE_TEST_ENGINE`, path of its socket). Every kind of container, forward and back.
//!
//! Each trial has containers and a state of its own: a release, and a rollout to it that was just opened. A proxy between
//! lowtide and the engine kills it at one call; it is started again and left alone until the rollout is over. The matrix is
//! printed, a line per kill point.
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
#[path = "../crash/point.rs"]
mod point;
#[path = "../crash/proxy.rs"]
mod proxy;
mod trial;
mod world;

use kind::{Kind, Way};
use point::{Moment, Point, mutates};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use world::Ground;

/// One test, because the points share two cores, and their count is its result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kill_point_of_a_rollout_converges() {
    let ground = Arc::new(Ground::prepare());
    let mut work = VecDeque::new();
    let mut failed = 0;
    for (kind, way) in Kind::ALL
        .into_iter()
        .flat_map(|kind| [(kind, Way::Forward), (kind, Way::Back)])
    {
        let calm = trial::run(&ground, kind, way, Point::Never).await;
        failed += show(&calm);
        work.extend(points(&calm.calls).into_iter().map(|point| (kind, way, point)));
    }
    if let Ok(only) = std::env::var("LOWTIDE_KILLS_ONLY") {
        work.retain(|(kind, way, point)| trial::name(*kind, *way, point).contains(&only));
    }
    let count = work.len();
    failed += all(&ground, work).await;
    assert_eq!(failed, 0, "{failed} of {count} kill points do not converge");
    println!("{count} kill points converge");
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
            points.push(Point::engine(shape, *nth, Moment::Unanswered));
        }
    }
    points
}

/// Several at a time: most of a trial is waiting.
async fn all(ground: &Arc<Ground>, work: VecDeque<(Kind, Way, Point)>) -> usize {
    let jobs = std::env::var("LOWTIDE_KILLS_JOBS").ok().and_then(|n| n.parse().ok());
    let queue = Arc::new(Mutex::new(work));
    let workers: Vec<_> = (0..jobs.unwrap_or(4))
        .map(|_| {
            let (ground, queue) = (Arc::clone(ground), Arc::clone(&queue));
            tokio::spawn(async move {
                let mut failed = 0;
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some((kind, way, point)) = next else { return failed };
                    failed += show(&trial::run(&ground, kind, way, point).await);
                }
            })
        })
        .collect();
    let mut failed = 0;
    for worker in workers {
        failed += worker.await.unwrap();
    }
    failed
}

fn show(ended: &trial::Ended) -> usize {
    let end = if ended.wrong.is_empty() {
        ended.conclusion.clone()
    } else {
        format!("WRONG: {}", ended.wrong.join("; "))
    };
    println!(
        "{:<62} | {:<36} | {:>4.1} s | {end}",
        ended.name,
        ended.found,
        ended.took.as_secs_f32()
    );
    if !ended.wrong.is_empty() {
        println!("{}", ended.story);
    }
    usize::from(!ended.wrong.is_empty())
}
