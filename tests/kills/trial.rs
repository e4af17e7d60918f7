//! One trial: a world, a rollout, one blow, and what came of it.

use crate::bot::{Bot, PATIENCE, Victim};
use crate::kind::{Falls, Kind, Way};
use crate::machine::Machine;
use crate::point::{Blow, Point};
use crate::proxy::Proxy;
use crate::world::{Ground, World};
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::model::rollout::RolloutConclusion;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// Of one plan, until its point is reached.
const TRIALS: usize = 8;

pub(crate) struct Ended {
    pub(crate) name: String,
    /// Where the journal stood when lowtide fell.
    pub(crate) found: String,
    pub(crate) conclusion: String,
    pub(crate) took: Duration,
    /// The blow fell, if there was to be one.
    struck: bool,
    pub(crate) wrong: Vec<String>,
    /// The log's end.
    pub(crate) story: String,
    /// Shapes of the engine calls made.
    pub(crate) calls: Vec<String>,
}

/// What is tried.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) way: Way,
    pub(crate) falls: Falls,
    pub(crate) point: Point,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}{}", self.kind, self.way, self.point, self.falls)
    }
}

/// `machine`: whose engine it is, where the plan lets a host fall.
///
/// A rollout may lack a call that the calm one had: an image that exits is started once more when its exit is seen before
/// it is waited for, and that is up to the engine's pace. Another trial then.
pub(crate) async fn run(ground: &Ground, machine: Option<&Machine>, plan: &Plan) -> Ended {
    let mut ended = once(ground, machine, plan).await;
    let mut trials = 1;
    while !ended.struck && ended.wrong.is_empty() && trials < TRIALS {
        ended = once(ground, machine, plan).await;
        trials += 1;
    }
    if !ended.struck {
        ended.wrong.push("the point was never reached".to_owned());
    }
    ended
}

async fn once(ground: &Ground, machine: Option<&Machine>, plan: &Plan) -> Ended {
    let began = Instant::now();
    let (kind, way) = (plan.kind, plan.way);
    let victim = Victim::new(match plan.falls {
        Falls::Lowtide | Falls::Both => Blow::Kill,
        Falls::Host => Blow::Spared,
    });
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(
        directory.path(),
        ground.socket.clone(),
        plan.point.clone(),
        victim.clone(),
    );
    let world = World::new(ground, kind, way, &proxy.socket, directory).await;
    let mut bot = world.start().serve(&victim);
    let mut found = "—".to_owned();
    let mut wrong = Vec::new();
    let fell = plan.point != Point::Never
        && tokio::select! {
            () = victim.falls() => true,
            _ = over(&world, &mut bot) => victim.is_struck(),
        };
    if fell {
        if plan.falls != Falls::Host {
            bot.ended().await;
        }
        if let Some(machine) = machine {
            machine.reboot().await;
        }
        found = place(&world).await;
        if plan.falls != Falls::Host {
            bot = world.start().serve(&victim);
        }
    }
    let conclusion = over(&world, &mut bot).await;
    bot.end().await;
    match (&conclusion, way) {
        (Some(RolloutConclusion::Done), Way::Forward) | (Some(RolloutConclusion::Reverted { .. }), Way::Back) => {}
        (other, _) => wrong.push(format!("it ended as {other:?}")),
    }
    wrong.extend(left(ground, &world, kind, way));
    let story = world.start().tail();
    world.remove();
    Ended {
        name: plan.to_string(),
        found,
        conclusion: conclusion.map_or("never".to_owned(), |c| {
            if c == RolloutConclusion::Done {
                "done".to_owned()
            } else {
                "reverted".to_owned()
            }
        }),
        took: began.elapsed(),
        struck: fell || plan.point == Point::Never,
        wrong,
        story,
        calls: proxy.calls(),
    }
}

/// How the rollout ended; `None` when it did not.
async fn over(world: &World, bot: &mut Bot) -> Option<RolloutConclusion> {
    let mut changes = bot.changes();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lives = bot.lives();
        if let Some(store) = world.store()
            && let Ok(events) = store.rollout_events(world.rollout).await
            && let Some(RolloutEvent::Concluded { conclusion }) = events.last().map(|last| &last.event)
        {
            return Some(conclusion.clone());
        }
        if !lives || !bot.moves(&mut changes, deadline).await {
            return None;
        }
    }
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
            | RolloutEvent::Suspended { .. }
            | RolloutEvent::LateNoticeSent { .. }
            | RolloutEvent::StepAbandoned,
        )
        | None => "begun".to_owned(),
    }
}

/// Every task runs what it should, and the service has its own settings again.
fn left_of_service(world: &World, way: Way) -> Vec<String> {
    let name = format!("{}-a", world.id);
    let version = match way {
        Way::Forward => ":new",
        Way::Back => ":old",
    };
    let running = ["service", "ps", "--filter", "desired-state=running", "--format"];
    let tasks = world.docker(&[&running[..], &["{{.Image}} {{.CurrentState}}", &name]].concat());
    let mut wrong: Vec<String> = tasks
        .lines()
        .filter(|task| !(task.contains(version) && task.contains("Running")))
        .map(|task| format!("a task is {task}"))
        .collect();
    if tasks.lines().count() != 2 {
        wrong.push(format!("{} tasks", tasks.lines().count()));
    }
    let spec = world.docker(&[
        "service",
        "inspect",
        "-f",
        "{{.Spec.UpdateConfig.Delay}} {{json .Spec.Labels}}",
        &name,
    ]);
    if !spec.starts_with("7s ") || spec.contains("io.lowtide.rollout") {
        wrong.push(format!("the service has {spec}"));
    }
    wrong
}

/// What is not as it should be once the rollout is over.
fn left(ground: &Ground, world: &World, kind: Kind, way: Way) -> Vec<String> {
    let mut wrong = Vec::new();
    if kind == Kind::Service {
        return left_of_service(world, way);
    }
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
        if now != format!("true {} {}", kind.policy(), kind == Kind::Removed) {
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
            let last_change = world.docker(&[
                "exec",
                &format!("{}-edge", world.id),
                "sh",
                "-c",
                "tail -n 1 /told 2>/dev/null || true",
            ]);
            if last_change == "pause" {
                wrong.push("the router still holds requests back".to_owned());
            }
        }
        Kind::Removed => {
            let tags = world.docker(&["images", "--format", "{{.Tag}}", "lowtide/keep"]);
            let ours = world.rollout.to_string().to_ascii_lowercase();
            let ours = &ours[ours.len() - 8..];
            if tags.lines().any(|tag| tag.starts_with(ours)) {
                wrong.push("the old image is still kept".to_owned());
            }
        }
        Kind::Plain | Kind::Routed | Kind::Always | Kind::Service => {}
    }
    wrong
}
