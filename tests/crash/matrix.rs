//! Which points there are, and the table of what came of each.

use crate::lost;
use crate::point::{Blow, Moment, Point, mutates};
use crate::prefixes::Finished;
use crate::trial::{self, Ended, Plan, Under};
use crate::world::Ground;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

pub(crate) async fn run() {
    let ground = Arc::new(Ground::prepare().await);
    let finished = match Finished::make(&ground).await {
        Ok((finished, calm)) => {
            show(&calm);
            Ok((finished, calm.calls))
        }
        Err(calm) => {
            show(&calm);
            Err("the cycle that nothing happens to does not end well")
        }
    };
    let (finished, calls) = finished.unwrap();
    let mut work: Vec<Work> = finished.cuts.iter().copied().map(Work::Prefix).collect();
    work.extend(plans(&calls).into_iter().map(Work::Blow));
    work.push(Work::TwoBots);
    work.push(Work::LostHost);
    if let Ok(only) = std::env::var("LOWTIDE_CRASH_ONLY") {
        work.retain(|work| only.split(',').any(|text| work.name().contains(text)));
    }
    let count = work.len();
    let finished = Arc::new(finished);
    let failed = all(&ground, &finished, work).await;
    if let Some(finished) = Arc::into_inner(finished) {
        finished.world.remove(&ground).await;
    }
    if let Some(ground) = Arc::into_inner(ground) {
        ground.remove().await;
    }
    // Again at the end, where it is found: the table above is long.
    assert!(
        failed.is_empty(),
        "{} of {count} kill points do not converge:\n{}",
        failed.len(),
        failed.join("\n")
    );
    println!("{count} kill points converge");
}

enum Work {
    Blow(Plan),
    Prefix(usize),
    TwoBots,
    LostHost,
}

impl Work {
    fn name(&self) -> String {
        match self {
            Work::Blow(plan) => plan.name(),
            Work::Prefix(cut) => format!("prefix of {cut} events"),
            Work::TwoBots => "a second bot on the same state".to_owned(),
            Work::LostHost => "lost between stop and start, restored".to_owned(),
        }
    }

    async fn done(self, ground: &Ground, finished: &Finished) -> Ended {
        match self {
            Work::Blow(plan) => trial::run(ground, plan).await,
            Work::Prefix(cut) => finished.resume(ground, cut).await,
            Work::TwoBots => trial::two_bots(ground, self.name()).await,
            Work::LostHost => lost::run(ground, self.name()).await,
        }
    }
}

/// Several at a time: most of a trial is waiting.
async fn all(ground: &Arc<Ground>, finished: &Arc<Finished>, work: Vec<Work>) -> Vec<String> {
    let jobs = std::env::var("LOWTIDE_CRASH_JOBS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4);
    let queue = Arc::new(Mutex::new(VecDeque::from(work)));
    let workers: Vec<_> = (0..jobs)
        .map(|_| {
            let (ground, finished, queue) = (Arc::clone(ground), Arc::clone(finished), Arc::clone(&queue));
            tokio::spawn(async move {
                let mut failed = Vec::new();
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(work) = next else { return failed };
                    let ended = work.done(&ground, &finished).await;
                    if !ended.wrong.is_empty() {
                        failed.push(format!("{}: {}", ended.name, ended.wrong.join("; ")));
                    }
                    show(&ended);
                }
            })
        })
        .collect();
    let mut failed = Vec::new();
    for worker in workers {
        failed.extend(worker.await.unwrap());
    }
    failed
}

fn show(ended: &Ended) {
    let end = if ended.wrong.is_empty() {
        "released, done".to_owned()
    } else {
        format!("WRONG: {}", ended.wrong.join("; "))
    };
    println!(
        "{:<46} | {:<32} | {:>4.1} s | {end}",
        ended.name,
        ended.found,
        ended.took.as_secs_f32()
    );
    if !ended.story.is_empty() {
        println!("{}", ended.story);
    }
}

fn plan(point: Point) -> Plan {
    Plan {
        point,
        blow: Blow::Kill,
        under: Under::Serve,
    }
}

fn plans(calls: &[String]) -> Vec<Plan> {
    let everything = std::env::var("LOWTIDE_CRASH").is_ok_and(|v| v == "all");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut plans = Vec::new();
    for shape in calls {
        let nth = counts.entry(shape).or_default();
        *nth += 1;
        let moments: &[Moment] = match (everything, mutates(shape)) {
            (true, _) => &[Moment::Before, Moment::ResponseLost, Moment::ResponseBegun],
            // Each effect done and not known of; what comes after an answer is before the next call, and reading leaves
            // nothing behind.
            (false, true) if streams(shape) => &[Moment::Before, Moment::ResponseLost, Moment::ResponseBegun],
            (false, true) if *nth == 1 => &[Moment::Before, Moment::ResponseLost],
            (false, true) => &[Moment::ResponseLost],
            (false, false) => &[],
        };
        plans.extend(moments.iter().map(|moment| plan(Point::engine(shape, *nth, *moment))));
    }
    plans.push(plan(Point::MailConnect));
    plans.push(plan(Point::MailTaken));
    plans.extend((1..=4).map(|nth| plan(Point::Git { nth })));
    for (shape, nth) in PARKED {
        plans.push(Plan {
            blow: Blow::Term,
            ..plan(Point::engine(shape, nth, Moment::ResponseBegun))
        });
    }
    for (shape, nth) in [PARKED[0], PARKED[2]] {
        plans.push(Plan {
            under: Under::Command,
            ..plan(Point::engine(shape, nth, Moment::ResponseLost))
        });
    }
    plans
}

/// In mid-build, in mid-test, between the stop of the old and the start of the new container, while the new one gets ready.
const PARKED: [(&str, usize); 4] = [
    ("POST /build", 1),
    ("POST /exec/*/start", 1),
    ("POST /containers/*/stop", 1),
    ("POST /containers/*/start", 3),
];

/// Its answer comes while the engine is still at it.
fn streams(shape: &str) -> bool {
    [
        "POST /build",
        "POST /session",
        "POST /images/*/push",
        "POST /exec/*/start",
    ]
    .contains(&shape)
}
