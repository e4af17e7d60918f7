//! Which points there are, and the table of what came of each.

use crate::point::{Blow, Moment, Point, mutates};
use crate::trial::{self, Ended, Plan, Under};
use crate::world::Ground;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

pub(crate) async fn run() {
    let ground = Arc::new(Ground::prepare().await);
    let calm = trial::run(&ground, plan(Point::Never)).await;
    show(&calm);
    if std::env::var_os("LOWTIDE_CRASH_CALLS").is_some() {
        for call in &calm.calls { println!("  {call}"); }
    }
    let mut failed = usize::from(!calm.wrong.is_empty());
    let mut plans = plans(&calm.calls);
    if let Ok(only) = std::env::var("LOWTIDE_CRASH_ONLY") {
        plans.retain(|plan| plan.name().contains(&only));
    }
    let count = plans.len();
    if failed == 0 {
        failed += all(&ground, plans).await;
    }
    if let Some(ground) = Arc::into_inner(ground) {
        ground.remove().await;
    }
    assert_eq!(failed, 0, "{failed} of {count} kill points do not converge");
    println!("{count} kill points converge");
}

/// Several at a time: most of a trial is waiting.
async fn all(ground: &Arc<Ground>, plans: Vec<Plan>) -> usize {
    let jobs = std::env::var("LOWTIDE_CRASH_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let queue = Arc::new(Mutex::new(VecDeque::from(plans)));
    let workers: Vec<_> = (0..jobs)
        .map(|_| {
            let (ground, queue) = (Arc::clone(ground), Arc::clone(&queue));
            tokio::spawn(async move {
                let mut failed = 0;
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(plan) = next else { return failed };
                    let ended = trial::run(&ground, plan).await;
                    failed += usize::from(!ended.wrong.is_empty());
                    show(&ended);
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

fn show(ended: &Ended) {
    let end = if ended.wrong.is_empty() {
        "released, done".to_owned()
    } else {
        format!("WRONG: {}", ended.wrong.join("; "))
    };
    println!("{:<46} | {:<32} | {:>4.1} s | {end}", ended.name, ended.found, ended.took.as_secs_f32());
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
            (true, _) => &[Moment::Before, Moment::Unanswered, Moment::Answered],
            // After an answer is before the next call.
            (false, true) if streams(shape) => &[Moment::Before, Moment::Unanswered, Moment::Answered],
            (false, true) => &[Moment::Before, Moment::Unanswered],
            (false, false) if *nth == 1 => &[Moment::Unanswered],
            (false, false) => &[],
        };
        plans.extend(moments.iter().map(|moment| plan(Point::engine(shape, *nth, *moment))));
    }
    plans.push(plan(Point::MailConnect));
    plans.push(plan(Point::MailTaken));
    plans.extend((1..=8).map(|nth| plan(Point::Git { nth })));
    plans
}

/// Its answer comes while the engine is still at it.
fn streams(shape: &str) -> bool {
    ["POST /build", "POST /session", "POST /images/*/push", "POST /exec/*/start"].contains(&shape)
}
