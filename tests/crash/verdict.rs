//! What must be true once nothing more happens, whatever was done to lowtide before.

use crate::journal::Journal;
use crate::mail::message_ids;
use crate::world::{Ground, LABEL, UNIT, World, list, preserved};
use lowtide::fleet::app_state::AppEvent;
use lowtide::model::release::Release;
use lowtide::model::rollout::RolloutConclusion;
use lowtide::model::run::Conclusion;
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Everything that is wrong.
pub(crate) async fn wrong(ground: &Ground, world: &World, journal: &Journal) -> Vec<String> {
    let mut wrong = Vec::new();
    let release = published(journal, &mut wrong);
    if let Some(release) = &release {
        served(ground, world, release, &mut wrong).await;
        containers(ground, world, release, &mut wrong).await;
    }
    leftovers(ground, world, release.as_ref(), &mut wrong).await;
    mails(ground, world, &mut wrong);
    if !ground.bystander_untouched().await {
        wrong.push("a container of someone else was touched".to_owned());
    }
    wrong
}

/// One run released, one rollout done, one promotion.
fn published(journal: &Journal, wrong: &mut Vec<String>) -> Option<Release> {
    let releases: Vec<&Release> = journal
        .runs
        .iter()
        .filter_map(|run| match &run.conclusion {
            Some(Conclusion::Released { release }) => Some(release),
            other => {
                wrong.push(format!("a run ended as {other:?}"));
                None
            }
        })
        .collect();
    if releases.len() != 1 {
        wrong.push(format!("{} releases", releases.len()));
    }
    for rollout in &journal.rollouts {
        if rollout.conclusion != Some(RolloutConclusion::Done) {
            wrong.push(format!("a rollout ended as {:?}", rollout.conclusion));
        }
    }
    if journal.rollouts.len() != 1 {
        wrong.push(format!("{} rollouts", journal.rollouts.len()));
    }
    let promoted = journal
        .app
        .iter()
        .filter(|e| matches!(e, AppEvent::Promoted { .. }))
        .count();
    if promoted != 1 {
        wrong.push(format!("{promoted} promotions"));
    }
    if journal.app_state.halted.is_some() || !journal.app_state.quarantine.is_empty() {
        wrong.push("the app is halted".to_owned());
    }
    releases.first().map(|release| (*release).clone())
}

/// One release under one tag, and the channel's tag, with one digest.
async fn served(ground: &Ground, world: &World, release: &Release, wrong: &mut Vec<String>) {
    let path = format!("{}/app", world.id);
    let (_, body) = get(&ground.registry, &format!("/v2/{path}/tags/list")).await;
    let tags: Value = serde_json::from_str(&body).unwrap_or_default();
    let tags: BTreeSet<&str> = tags["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if tags != BTreeSet::from(["stable", release.tag.as_str()]) {
        wrong.push(format!(
            "the registry has the tags {tags:?}, the release is {}",
            release.tag
        ));
    }
    let expected = release.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    for tag in tags {
        let (head, _) = get(&ground.registry, &format!("/v2/{path}/manifests/{tag}")).await;
        if !head.contains(&expected) || expected.is_empty() {
            wrong.push(format!("{tag} is not {expected}"));
        }
    }
}

/// The new ones, under the old names, as the old ones were; nothing else.
async fn containers(ground: &Ground, world: &World, release: &Release, wrong: &mut Vec<String>) {
    let found = list(
        &ground.engine,
        "/containers/json?all=1",
        &format!("{LABEL}={}", world.id),
    )
    .await;
    if found.len() != world.olds.len() {
        let names: Vec<String> = found.iter().map(|c| c["Names"].to_string()).collect();
        wrong.push(format!("containers: {}", names.join(" ")));
    }
    for old in &world.olds {
        let name = &old.name;
        let now = ground
            .engine
            .raw_get(&format!("/containers/{name}/json"))
            .await
            .unwrap_or_default();
        if now["Image"] != release.images.first().image.as_str() || now["Id"] == *old.id {
            wrong.push(format!("{name} does not run the release"));
        }
        if now["State"]["Health"]["Status"] != "healthy" {
            wrong.push(format!("{name} is {}", now["State"]["Health"]["Status"]));
        }
        if preserved(&now) != old.shape {
            wrong.push(format!("{name} was {}, is {}", old.shape, preserved(&now)));
        }
        if now["Config"]["Labels"][UNIT] != old.unit {
            wrong.push(format!("{name} is another unit's"));
        }
    }
}

/// Nothing of ours but the release.
async fn leftovers(ground: &Ground, world: &World, release: Option<&Release>, wrong: &mut Vec<String>) {
    let instance = std::fs::read_to_string(world.path().join("state/instance")).unwrap_or_default();
    let label = format!("io.lowtide.instance={}", instance.trim());
    for container in list(&ground.engine, "/containers/json?all=1", &label).await {
        if container["Labels"][LABEL] != *world.id {
            wrong.push(format!("left over: container {}", container["Names"]));
        }
    }
    for network in list(&ground.engine, "/networks?", &label).await {
        wrong.push(format!("left over: network {}", network["Name"]));
    }
    let volumes = ground.engine.raw_get("/volumes").await.unwrap_or_default();
    for volume in volumes["Volumes"].as_array().into_iter().flatten() {
        if volume["Labels"]["io.lowtide.instance"] == instance.trim() {
            wrong.push(format!("left over: volume {}", volume["Name"]));
        }
    }
    for image in list(
        &ground.engine,
        "/images/json?all=0",
        &format!("io.lowtide.app={}", world.id),
    )
    .await
    {
        if release.is_none_or(|release| image["Id"] != release.images.first().image.as_str()) {
            wrong.push(format!("left over: image {} {}", image["Id"], image["RepoTags"]));
        }
    }
    for run in std::fs::read_dir(world.path().join("state/runs"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if run.path().join("source").exists() {
            wrong.push("left over: a work tree".to_owned());
        }
    }
}

/// One message, perhaps twice; never two.
fn mails(ground: &Ground, world: &World, wrong: &mut Vec<String>) {
    let ids = message_ids(&ground.mail, &world.address());
    let different: BTreeSet<&String> = ids.iter().collect();
    if different.len() != 1 || ids.len() > 2 {
        wrong.push(format!("mails: {ids:?}"));
    }
}

/// Head and body of a GET on the registry.
async fn get(registry: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(registry).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {registry}\r\nAccept: application/vnd.docker.distribution.manifest.v2+json, \
         application/vnd.oci.image.manifest.v1+json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    (head.to_owned(), body.to_owned())
}
