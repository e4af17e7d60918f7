use super::*;
use crate::kinds::services::model::ServiceMark;
use lowtide_model::rollout::UpdateOrder;

const OLD: &str = "registry.example.org/web@old";
const NEW: &str = "registry.example.org/web@new";
const NOW: i64 = 1_000;
const SETTLE: SignedDuration = SignedDuration::from_secs(5);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn unit() -> ServiceUnit {
    ServiceUnit {
        index: 0,
        name: "web".to_owned(),
        id: "service".to_owned(),
        version: 1,
        mode: ServiceMode::Replicated { replicas: 2 },
        old_image: OLD.to_owned(),
        order: UpdateOrder::StopFirst,
        nodes: BTreeSet::new(),
        past: BTreeSet::new(),
        snapshot: String::new(),
    }
}

fn task(slot: u64, image: &str, state: TaskState, since: i64) -> ObservedTask {
    ObservedTask {
        id: format!("{slot}-{image}"),
        place: TaskPlace::Slot(slot),
        image: image.to_owned(),
        state,
        wanted: TaskWanted::Running,
        since: at(since),
        said: String::new(),
    }
}

/// `DONE of TOTAL`, or `all`, of two replicas on the way to the new image.
fn far(tasks: Vec<ObservedTask>) -> String {
    let found = FoundService {
        version: 2,
        image: NEW.to_owned(),
        mark: ServiceMark::Ours,
        update: UpdateState::Updating,
        said: String::new(),
        mode: ServiceMode::Replicated { replicas: 2 },
        tasks,
        nodes: BTreeSet::new(),
    };
    match reached(&unit(), &found, NEW, SETTLE, at(NOW)) {
        Reached::All => "all".to_owned(),
        Reached::Some { done, total, .. } => format!("{done} of {total}"),
    }
}

/// A task counts from the moment at which it has run for the settle time, neither sooner nor later.
#[test]
fn a_task_has_settled_at_its_settle_time() {
    let both = |since| {
        vec![
            task(1, NEW, TaskState::Running, NOW - 60),
            task(2, NEW, TaskState::Running, since),
        ]
    };
    assert_eq!(far(both(NOW - 4)), "1 of 2");
    assert_eq!(far(both(NOW - 5)), "all");
    assert_eq!(far(both(NOW - 6)), "all");
}

/// Enough new tasks run, but the service is not done while Swarm still wants an old task to run.
#[test]
fn a_task_of_the_old_image_that_is_still_wanted_is_not_all() {
    let new = || (1..=2).map(|slot| task(slot, NEW, TaskState::Running, NOW - 60));
    assert_eq!(far(new().collect()), "all");
    let mut left = task(2, OLD, TaskState::Running, NOW - 600);
    assert_eq!(far(new().chain([left.clone()]).collect()), "2 of 2");
    left.wanted = TaskWanted::Stopped;
    assert_eq!(far(new().chain([left]).collect()), "all");
}
