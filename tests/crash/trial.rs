//! One trial: a world, a cycle, one blow, and what came of it.

use crate::bot::{Bot, PATIENCE, Start, Victim, git_that_counts};
use crate::journal::{self, Journal};
use crate::mail::MailProxy;
use crate::point::{Blow, Point};
use crate::proxy::Proxy;
use crate::verdict;
use crate::watch::Watch;
use crate::world::{Ground, World};
use std::time::Duration;
use tokio::time::Instant;

/// Who begins the cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Under {
    /// A bot that is asked.
    Serve,
    /// `run --now` with no bot; a bot finishes it.
    Command,
}

pub(crate) struct Plan {
    pub(crate) point: Point,
    pub(crate) blow: Blow,
    pub(crate) under: Under,
}

impl Plan {
    pub(crate) fn name(&self) -> String {
        let blow = match self.blow {
            Blow::Kill => "",
            Blow::Term => ", SIGTERM",
            Blow::Spared => ", spared",
        };
        let under = match self.under {
            Under::Serve => "",
            Under::Command => ", without a bot",
        };
        format!("{}{blow}{under}", self.point)
    }
}

pub(crate) struct Ended {
    pub(crate) name: String,
    /// Where the journal stood when lowtide fell.
    pub(crate) found: String,
    pub(crate) took: Duration,
    pub(crate) wrong: Vec<String>,
    /// The log's end, when something is wrong.
    pub(crate) story: String,
    /// Shapes of the engine calls made.
    pub(crate) calls: Vec<String>,
}

pub(crate) async fn run(ground: &Ground, plan: Plan) -> Ended {
    let world = World::new(ground).await;
    let ended = in_world(ground, &world, &plan).await;
    world.remove(ground).await;
    ended
}

/// The world stays, for whoever wants to look at it.
pub(crate) async fn in_world(ground: &Ground, world: &World, plan: &Plan) -> Ended {
    let began = Instant::now();
    let victim = Victim::new(plan.blow);
    let proxy = Proxy::start(world.path(), ground.socket.clone(), plan.point.clone(), victim.clone());
    let mail = MailProxy::start(&ground.mail, plan.point.clone(), victim.clone()).await;
    let nth = match &plan.point {
        Point::Git { nth } => Some(*nth),
        Point::Engine { .. } | Point::MailConnect | Point::MailTaken | Point::Never => None,
    };
    let start = world.start(&proxy.socket, mail.port, ground, git_that_counts(world.path(), nth));
    let watch = Watch::start(ground, &world.id, &world.olds);
    let mut wrong = Vec::new();
    let mut found = "—".to_owned();
    let done = live(world, plan, &start, &victim, &mut found).await;
    match done {
        Ok(journal) => wrong.extend(verdict::wrong(ground, world, &journal).await),
        Err(why) => wrong.push(why),
    }
    wrong.extend(watch.wrong());
    Ended {
        name: plan.name(),
        found,
        took: began.elapsed(),
        story: if wrong.is_empty() { String::new() } else { start.tail() },
        wrong,
        calls: proxy.calls(),
    }
}

async fn live(
    world: &World,
    plan: &Plan,
    start: &Start,
    victim: &Victim,
    found: &mut String,
) -> Result<Journal, String> {
    let mut bot = match plan.under {
        Under::Serve => start.serve(victim),
        Under::Command => start.spawn(&["run", &world.id, "--now"], victim),
    };
    if plan.under == Under::Serve {
        // It may fall before it answers; who asked asks again.
        let requested = bot.run_now(&world.id).await;
        if let Err(why) = requested
            && plan.point == Point::Never
        {
            return Err(why);
        }
    }
    if plan.point == Point::Never {
        return settle(world, &mut bot).await;
    }
    fall(world, &mut bot, victim, plan).await?;
    let journal = journal::read(world).await?;
    *found = journal.as_ref().map_or("nothing yet".to_owned(), Journal::place);
    let nobody_knows = journal.is_none_or(|journal| journal.runs.is_empty());
    drop(bot);
    let mut next = start.serve(victim);
    if nobody_knows {
        next.run_now(&world.id).await?;
    }
    let settled = settle(world, &mut next).await;
    next.end().await;
    settled
}

/// Until it is down, by the blow and by nothing else.
async fn fall(world: &World, bot: &mut Bot, victim: &Victim, plan: &Plan) -> Result<(), String> {
    let by_git = matches!(plan.point, Point::Git { .. });
    tokio::select! {
        () = victim.falls() => {}
        settled = settle(world, bot) => match settled {
            _ if by_git && !bot.lives() => {}
            Ok(_) => return Err("the point was never reached".to_owned()),
            Err(why) => if !victim.is_struck() { return Err(format!("before the blow: {why}")) },
        },
    }
    let status = bot.ended().await.ok_or("it did not go down")?;
    match plan.blow {
        Blow::Kill => Ok(()),
        Blow::Term if status.code() == Some(0) => Ok(()),
        Blow::Term => Err(format!("after SIGTERM: {status}")),
        Blow::Spared => Err(format!("it was spared: {status}")),
    }
}

/// Waits until nothing more happens by itself, as long as anything does.
pub(crate) async fn settle(world: &World, bot: &mut Bot) -> Result<Journal, String> {
    let mut changes = bot.changes();
    let mut deadline = Instant::now() + PATIENCE;
    let (mut events, mut was_settled) = (0, false);
    loop {
        let lives = bot.lives();
        let journal = journal::read(world).await?;
        let place = journal.as_ref().map_or("no journal".to_owned(), Journal::place);
        if let Some(journal) = journal {
            let settled = journal.is_settled();
            let moved = journal.events != events;
            // Streams are read one after the other; only what is the same twice was so at one time.
            if settled && was_settled && !moved {
                return Ok(journal);
            }
            was_settled = settled;
            events = journal.events;
            if moved {
                deadline = Instant::now() + PATIENCE;
            }
        }
        if was_settled {
            continue;
        }
        if !lives {
            return Err("lowtide ended by itself".to_owned());
        }
        if !bot.moves(&mut changes, deadline).await {
            return Err(format!("never settled: {place}"));
        }
    }
}

/// The second one goes away with the exit code for it, and the first one does not mind.
pub(crate) async fn two_bots(ground: &Ground, name: String) -> Ended {
    let began = Instant::now();
    let world = World::new(ground).await;
    let victim = Victim::new(Blow::Kill);
    let proxy = Proxy::start(world.path(), ground.socket.clone(), Point::Never, victim.clone());
    let mail = MailProxy::start(&ground.mail, Point::Never, victim.clone()).await;
    let start = world.start(&proxy.socket, mail.port, ground, git_that_counts(world.path(), None));
    let mut bot = start.serve(&victim);
    let mut wrong = Vec::new();
    if let Err(why) = bot.run_now(&world.id).await {
        wrong.push(why);
    }
    let second = start.beside().await;
    if second != Some(5) {
        wrong.push(format!("the second ended with {second:?}"));
    }
    match settle(&world, &mut bot).await {
        Ok(journal) => wrong.extend(verdict::wrong(ground, &world, &journal).await),
        Err(why) => wrong.push(why),
    }
    bot.end().await;
    let ended = Ended {
        name,
        found: "held".to_owned(),
        took: began.elapsed(),
        story: if wrong.is_empty() { String::new() } else { start.tail() },
        wrong,
        calls: proxy.calls(),
    };
    world.remove(ground).await;
    ended
}
