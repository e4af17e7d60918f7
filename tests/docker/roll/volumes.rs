//! Volumes nobody named: data stays, and what a candidate brought goes with it.

use super::stage::*;
use lowtide::runtime::kinds::containers::{verbs, volumes};

fn all() -> Vec<String> {
    docker(&["volume", "ls", "-q"]).lines().map(ToOwned::to_owned).collect()
}

async fn volume(stage: &Stage, container: &str, target: &str) -> String {
    let inspected = stage.inspect(container).await;
    let mounts = inspected["Mounts"].as_array().unwrap();
    let mount = mounts.iter().find(|m| m["Destination"] == target);
    mount.unwrap_or_else(|| panic!("nothing at {target}"))["Name"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_new_images_own_volume_goes_with_its_candidate_and_no_other_does() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let named = format!("{}-named", stage.name);
    let old = stage.run(
        &["-v", "/anonymous", "-v", &format!("{named}:/named")],
        &["sleep", "1000"],
    );
    docker(&["exec", &old, "sh", "-c", "echo kept > /data/file"]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    let data = volume(&stage, &old, "/data").await;
    assert_eq!(volume(&stage, &candidate, "/data").await, data);
    let (anonymous, more) = (
        volume(&stage, &old, "/anonymous").await,
        volume(&stage, &candidate, "/more").await,
    );

    verbs::stop(&stage.engine, &old, Some(jiff::SignedDuration::ZERO))
        .await
        .unwrap();
    volumes::remove_candidate(&stage.engine, &candidate, &old)
        .await
        .unwrap();
    volumes::remove_candidate(&stage.engine, &candidate, &old)
        .await
        .unwrap();
    let left = all();
    assert!(!left.contains(&more), "made for the candidate alone");
    for volume in [&data, &anonymous, &named] {
        assert!(left.contains(volume), "{volume}");
    }
    verbs::start(&stage.engine, &old).await.unwrap();
    assert_eq!(docker(&["exec", &old, "cat", "/data/file"]), "kept");
}

#[tokio::test]
async fn a_candidates_volume_that_somebody_else_uses_stays() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let old = stage.run(&[], &["sleep", "1000"]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    let more = volume(&stage, &candidate, "/more").await;
    let (name, mount) = (format!("{}-other", stage.name), format!("{more}:/borrowed"));
    docker(&[
        "create",
        "--name",
        &name,
        "-v",
        &mount,
        "lowtide-test/busybox:1",
        "true",
    ]);
    volumes::remove_candidate(&stage.engine, &candidate, &old)
        .await
        .unwrap();
    assert!(all().contains(&more));
    docker(&["rm", &name]);
    docker(&["volume", "rm", &more]);
}

#[tokio::test]
async fn nothing_is_removed_when_the_old_container_is_gone() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let old = stage.run(&[], &["sleep", "1000"]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    let (data, more) = (
        volume(&stage, &old, "/data").await,
        volume(&stage, &candidate, "/more").await,
    );
    docker(&["rm", "-f", &old]);
    volumes::remove_candidate(&stage.engine, &candidate, &old)
        .await
        .unwrap();
    assert!(all().contains(&data) && all().contains(&more));
    docker(&["volume", "rm", &data, &more]);
}

#[tokio::test]
async fn a_volume_the_new_image_no_longer_declares_keeps_its_data() {
    let stage = Stage::new();
    stage.image("old", OLD);
    let new = stage.image("new", &NEW.replace("VOLUME /data /more\n", ""));
    let old = stage.run(&[], &["sleep", "1000"]);
    docker(&["exec", &old, "sh", "-c", "echo kept > /data/file"]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    docker(&["rm", "-f", &old]);
    verbs::start(&stage.engine, &candidate).await.unwrap();
    assert_eq!(docker(&["exec", &candidate, "cat", "/data/file"]), "kept");
}
