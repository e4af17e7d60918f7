//! lowtide in a container, with a published port, a state on a volume and the engine's socket, replaces that container.

mod house;

use house::{House, Image};
use lowtide::model::rollout::RolloutConclusion;

#[tokio::test]
async fn it_rolls_its_own_container() {
    let house = House::new("");
    house.roll_to(Image::Good).await;
    assert_eq!(house.concluded().await, RolloutConclusion::Done);
    house.is_settled(Image::Good).await;
    assert_eq!(
        house.docker(&["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", &house.name]),
        "unless-stopped"
    );
}

#[tokio::test]
async fn an_image_that_exits_at_once_never_gets_the_state() {
    let house = House::new("");
    house.roll_to(Image::Exits).await;
    let conclusion = house.concluded().await;
    assert!(
        matches!(conclusion, RolloutConclusion::Reverted { .. }),
        "{conclusion:?}"
    );
    house.is_settled(Image::Old).await;
    assert!(house.is_halted().await);
}

#[tokio::test]
async fn an_image_that_never_takes_the_state_is_rolled_back() {
    let house = House::new("ready: { stay_up: 1s, timeout: 5s }");
    house.roll_to(Image::Sleeps).await;
    let conclusion = house.concluded().await;
    assert!(
        matches!(conclusion, RolloutConclusion::Reverted { .. }),
        "{conclusion:?}"
    );
    house.is_settled(Image::Old).await;
    assert!(house.is_halted().await);
}

/// What it makes of the database cannot be read by the old one, which goes on from before.
#[tokio::test]
async fn an_image_that_changes_the_database_and_dies_is_rolled_back_with_it() {
    let house = House::new("ready: { stay_up: 1s, timeout: 5s }");
    house.roll_to(Image::Migrates).await;
    // Nobody else has the database open while a stranger writes it.
    house.file("migrated", true).await;
    house.file("handover.json", false).await;
    let conclusion = house.concluded().await;
    assert!(
        matches!(conclusion, RolloutConclusion::Reverted { .. }),
        "{conclusion:?}"
    );
    house.is_settled(Image::Old).await;
}

/// Whoever has the state is killed as soon as it has begun the step.
#[tokio::test]
async fn killed_at_any_step_it_arrives() {
    for step in [
        "start the helper",
        "create new container",
        "stop old container",
        "start new container",
        "rename to",
        "hand over to the new lowtide",
        "remove the helper",
    ] {
        let house = House::new("");
        house.roll_to(Image::Good).await;
        house.begins(step).await;
        house.kill_owner();
        let conclusion = house.concluded().await;
        let end = match conclusion {
            RolloutConclusion::Done => Image::Good,
            RolloutConclusion::Reverted { .. } => Image::Old,
            RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. }
            | RolloutConclusion::Stuck { .. } => panic!("killed at {step}: {conclusion:?}"),
        };
        house.is_settled(end).await;
    }
}

/// Only the update helper can go on there: it is killed while nobody else runs.
#[tokio::test]
async fn the_helper_killed_in_the_gap_comes_back() {
    let house = House::new("");
    house.roll_to(Image::Good).await;
    house.begins("set restart policy no").await;
    house.kill("helper");
    assert_eq!(house.concluded().await, RolloutConclusion::Done);
    house.is_settled(Image::Good).await;
}

/// A target of another kind does not take lowtide's own container by the way.
#[tokio::test]
async fn as_an_ordinary_target_it_is_refused_with_a_hint() {
    let house = House::named_as_ordinary();
    house.roll_to(Image::Good).await;
    let RolloutConclusion::Refused { failure } = house.concluded().await else {
        panic!("it was not refused")
    };
    assert!(failure.detail.contains("`- self: {}`"), "{}", failure.detail);
    house.is_settled(Image::Old).await;
}
