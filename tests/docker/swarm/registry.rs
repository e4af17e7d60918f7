//! Images that nodes cannot have, and logins that run out.

use super::stage::*;
use lowtide::clients::credentials::Credential;
use lowtide::decide::rollout::Next;
use lowtide::kinds::services::model::TaskState;
use lowtide::kinds::services::step::{ServiceOutcome, ServiceStep};
use lowtide::kinds::track::Ended;
use lowtide::model::failure::FailureKind;
use lowtide::model::rollout::RolloutConclusion;
use lowtide::model::secret::Secret;
use lowtide::runtime::kinds::services::verbs;
use std::time::Duration;

fn auth(password: &str) -> Credential {
    Credential::Basic {
        username: "lowtide".to_owned(),
        password: Secret::new(password.to_owned()),
    }
}

/// 37: with a tag the node would run whatever it has under that name; with the digest it can only fail.
#[tokio::test]
async fn a_digest_that_cannot_be_pulled_fails_and_runs_nothing_else() {
    let _node = NODE.read().await;
    let stage = Stage::new();
    let (old, mut new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &[], &old);
    // The tag is on the node, and means another image.
    new.digest = Some(format!("sha256:{}", "2".repeat(64)).parse().unwrap());
    let mut roll = Roll::new(&stage, one(&name), &new);
    let prepull =
        |next: &Next<ServiceStep>| matches!(next, Next::Do { step, .. } if step.to_string().starts_with("pull"));
    roll.until(prepull).await;
    // As if it had been there, and was gone again.
    let Next::Do { attempt, step } = roll.plan().await else {
        panic!()
    };
    roll.begin(attempt, &step);
    roll.end(Ended::Well {
        outcome: ServiceOutcome::Prepulled {
            startup: jiff::SignedDuration::from_secs(1),
        },
    });
    let ended = roll.drive().await;
    assert!(matches!(ended, RolloutConclusion::Refused { .. }), "{ended:?}");
    assert_eq!(why(&ended).kind, FailureKind::StartFailed);
    assert!(why(&ended).detail.contains("No such image"), "{}", why(&ended).detail);
    let found = roll.found().await;
    let ran = found.tasks.iter().filter(|task| task.image == new.service_image());
    assert!(ran.into_iter().all(|task| task.state != TaskState::Running));
}

/// 36
#[tokio::test]
async fn a_fresh_login_restarts_nothing_and_lets_a_lost_task_come_back() {
    let _node = NODE.write().await;
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY_AUTH").unwrap();
    docker(&["login", "-u", "lowtide", "-p", "tide-secret", &registry]);
    let stage = Stage::at(&registry);
    let (old, new) = (stage.image("1", SERVES), stage.image("2", SERVES));
    let name = stage.create("", &["--with-registry-auth", "--restart-delay", "3s"], &old);
    let mut roll = Roll::new(&stage, one(&name), &new);
    roll.auth = Some(auth("tide-secret"));
    assert_eq!(roll.drive().await, RolloutConclusion::Done);
    let before = stage.tasks(&name);
    verbs::refresh_auth(&stage.engine, &name, &auth("of yesterday"))
        .await
        .unwrap();
    assert_eq!(stage.tasks(&name), before);
    // The node loses image and task: the login of yesterday cannot bring them back.
    let ours = format!("ancestor={}", new.images.first().image);
    let container = docker(&["ps", "-q", "--filter", &ours]);
    docker(&["kill", &container]);
    docker(&["rm", &container]);
    docker(&["rmi", "-f", new.images.first().image.as_str()]);
    let comes_to = async |state: TaskState| {
        loop {
            let found = roll.found().await;
            if found
                .tasks
                .iter()
                .any(|task| task.state == state && !before.contains(&task.id))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let soon = Duration::from_secs(60);
    tokio::time::timeout(soon, comes_to(TaskState::Rejected)).await.unwrap();
    verbs::refresh_auth(&stage.engine, &name, &auth("tide-secret"))
        .await
        .unwrap();
    tokio::time::timeout(soon, comes_to(TaskState::Running)).await.unwrap();
}
