//! The node goes away and comes back, by its availability.

use super::stage::*;
use lowtide::decide::rollout::Next;
use lowtide::kinds::services::model::{FoundService, ObservedTask, TaskState, TaskWanted, UpdateState};
use lowtide::kinds::services::step::ServiceStep;
use lowtide::model::rollout::RolloutConclusion;

fn availability(word: &str) {
    let node = docker(&["info", "-f", "{{.Swarm.NodeID}}"]);
    docker(&["node", "update", "--availability", word, &node]);
}

struct Active;

impl Drop for Active {
    fn drop(&mut self) {
        let node = quiet(&["info", "-f", "{{.Swarm.NodeID}}"]);
        quiet(&["node", "update", "--availability", "active", &node]);
    }
}

/// 30: during a pause Swarm builds every replacement from the new spec.
#[tokio::test]
async fn a_drain_during_a_pause_is_seen_and_rolled_back() {
    let _node = NODE.write().await;
    let _active = Active;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", FALLS));
    let name = stage.create("", &["--replicas", "2", "--restart-delay", "200ms"], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_wait).await;
    let sees = async |what: &dyn Fn(&FoundService) -> bool| {
        loop {
            if what(&roll.found().await) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let soon = std::time::Duration::from_secs(60);
    let paused = |found: &FoundService| found.update == UpdateState::Paused;
    tokio::time::timeout(soon, sees(&paused)).await.unwrap();
    availability("drain");
    let wanted = |found: &lowtide::kinds::services::model::FoundService| {
        let wanted = found.tasks.iter().filter(|task| task.wanted == TaskWanted::Running);
        wanted.map(|task| task.image.clone()).collect::<Vec<_>>()
    };
    // A paused start-first update leaves two tasks in one slot, so there may be three.
    let all = |found: &FoundService, image: &str| {
        let wanted = wanted(found);
        wanted.len() >= 2 && wanted.iter().all(|task| task == image)
    };
    let moved = |found: &FoundService| all(found, &new.service_image());
    tokio::time::timeout(soon, sees(&moved)).await.unwrap();
    availability("active");
    let ended = roll.drive().await;
    assert!(is_reverted(&ended), "{ended:?}");
    assert!(all(&roll.found().await, &old.service_image()));
}

/// 39
#[tokio::test]
async fn a_paused_node_is_not_waited_for() {
    let _node = NODE.write().await;
    let _active = Active;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &["--mode", "global"], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.until(is_update).await;
    assert_eq!(roll.units()[0].nodes.len(), 1);
    availability("pause");
    assert_eq!(roll.drive().await, RolloutConclusion::Done);
    availability("active");
    let comes = async {
        loop {
            let found = roll.found().await;
            let runs = |task: &ObservedTask| task.image == new.service_image() && task.state == TaskState::Running;
            if found.tasks.iter().any(runs) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), comes)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_global_service_is_moved() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &["--mode", "global"], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    let done = |next: &Next<ServiceStep>| matches!(next, Next::StartBake { .. });
    assert_eq!(roll.until(done).await, None);
    let found = roll.found().await;
    let runs = found
        .tasks
        .iter()
        .filter(|task| task.image == new.service_image() && task.state == TaskState::Running);
    assert_eq!(runs.count(), 1);
    assert_eq!(roll.drive().await, RolloutConclusion::Done);
}
