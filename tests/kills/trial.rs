//! One trial: a world, a rollout, one blow, and what came of it.

use crate::bot::{PATIENCE, Victim, pause};
use crate::kind::{Kind, Way};
use crate::point::{Blow, Point};
use crate::proxy::Proxy;
use crate::world::{Ground, World};
use lowtide::model::rollout::{RolloutConclusion, RolloutEvent};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct Ended {
    pub(crate) name: String,
    /// Where the journal stood when lowtide fell.
    pub(crate) found: String,
    pub(crate) conclusion: String,
    pub(crate) took: Duration,
    pub(crate) wrong: Vec<String>,
    /// The log's end.
    pub(crate) story: String,
    /// Shapes of the engine calls made.
    pub(crate) calls: Vec<String>,
}

pub(crate) fn name(kind: Kind, way: Way, point: &Point) -> String {
    format!("{kind}, {way}: {point}")
}

pub(crate) async fn run(ground: &Ground, kind: Kind, way: Way, point: Point) -> Ended {
    let began = Instant::now();
    let name = name(kind, way, &point);
    let calm = point == Point::Never;
    let victim = Victim::new(Blow::Kill);
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), ground.socket.clone(), point, victim.clone());
    let world = World::new(ground, kind, way, &proxy.socket, directory).await;
    let mut bot = world.start().serve(&victim);
    let mut found = "—".to_owned();
    let mut wrong = Vec::new();
    if !calm {
        tokio::select! {
            () = victim.falls() => {}
            _ = over(&world) => wrong.push("the point was never reached".to_owned()),
        }
        if wrong.is_empty() {
            bot.ended().await;
            found = place(&world).await;
            bot = world.start().serve(&victim);
        }
    }
    let conclusion = over(&world).await;
    bot.end().await;
    match (&conclusion, way) {
        (Some(RolloutConclusion::Done), Way::Forward) | (Some(RolloutConclusion::Reverted { .. }), Way::Back) => {}
        (other, _) => wrong.push(format!("it ended as {other:?}")),
    }
    wrong.extend(left(ground, &world, kind, way));
    let story = world.start().tail();
    world.remove();
    Ended {
        name,
        found,
        conclusion: conclusion.map_or("never".to_owned(), |c| {
            if c == RolloutConclusion::Done {
                "done".to_owned()
            } else {
                "reverted".to_owned()
            }
        }),
        took: began.elapsed(),
        wrong,
        story,
        calls: proxy.calls(),
    }
}

/// How the rollout ended; `None` when it did not.
async fn over(world: &World) -> Option<RolloutConclusion> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(store) = world.store()
            && let Ok(events) = store.rollout_events(world.rollout).await
            && let Some(RolloutEvent::Concluded { conclusion }) = events.last().map(|last| &last.event)
        {
            return Some(conclusion.clone());
        }
        pause().await;
    }
    None
}

async fn place(world: &World) -> String {
    let Some(store) = world.store() else {
        return "no journal".to_owned();
    };
    let events = store.rollout_events(world.rollout).await.unwrap_or_default();
    match events.last().map(|last| &last.event) {
        Some(RolloutEvent::StepStarted { step, .. }) => format!("{step} begun"),
        Some(RolloutEvent::StepEnded { .. }) => "step ended".to_owned(),
        Some(RolloutEvent::BakeStarted { .. }) => "baking".to_owned(),
        Some(RolloutEvent::RevertDecided { .. }) => "going back".to_owned(),
        Some(RolloutEvent::Concluded { .. }) => "over".to_owned(),
        Some(
            RolloutEvent::Opened { .. }
            | RolloutEvent::Expedited { .. }
            | RolloutEvent::Entered { .. }
            | RolloutEvent::Held { .. }
            | RolloutEvent::Deferred { .. }
            | RolloutEvent::StepAbandoned,
        )
        | None => "begun".to_owned(),
    }
}

/// What is not as it should be once the rollout is over.
fn left(ground: &Ground, world: &World, kind: Kind, way: Way) -> Vec<String> {
    let mut wrong = Vec::new();
    let served = world.served();
    let names = world.docker(&[
        "ps",
        "-a",
        "--format",
        "{{.Names}}",
        "--filter",
        &format!("name={}", world.id),
    ]);
    let mut names: Vec<&str> = names.lines().filter(|name| !name.ends_with("-edge")).collect();
    names.sort_unstable();
    if names != served {
        wrong.push(format!("containers: {}", names.join(" ")));
        return wrong;
    }
    for name in &served {
        let format = "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.AutoRemove}}";
        let now = world.docker(&["inspect", "-f", format, name]);
        let policy = if kind == Kind::Removed {
            "true no true"
        } else {
            "true unless-stopped false"
        };
        if now != policy {
            wrong.push(format!("{name} is {now}"));
        }
        let image = world.docker(&["inspect", "-f", "{{.Image}}", name]);
        let expected = match way {
            Way::Forward => ground.new.as_str(),
            Way::Back => ground.old.as_str(),
        };
        if !name.ends_with("-tenant") && image != expected {
            wrong.push(format!("{name} runs {image}"));
        }
    }
    match kind {
        Kind::Held => {
            let held = world.docker(&["inspect", "-f", "container:{{.Id}}", &served[0]]);
            let mode = world.docker(&["inspect", "-f", "{{.HostConfig.NetworkMode}}", &served[1]]);
            if held != mode {
                wrong.push(format!("the tenant lives in {mode}, not in {held}"));
            }
        }
        Kind::Paused => {
            let told = world.docker(&[
                "exec",
                &format!("{}-edge", world.id),
                "sh",
                "-c",
                "tail -n 1 /told 2>/dev/null || true",
            ]);
            if told == "pause" {
                wrong.push("the router still holds requests back".to_owned());
            }
        }
        Kind::Removed => {
            let kept = world.docker(&["images", "--format", "{{.Tag}}", "lowtide/keep"]);
            let ours = world.rollout.to_string().to_ascii_lowercase();
            let ours = &ours[ours.len() - 8..];
            if kept.lines().any(|tag| tag.starts_with(ours)) {
                wrong.push("the old image is still kept".to_owned());
            }
        }
        Kind::Plain | Kind::Routed => {}
    }
    wrong
}
