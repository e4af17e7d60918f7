//! The host of lowtide is lost with its state, between the stop of an old container and the start of the new one, which run on an
//! engine elsewhere. A backup from before the stop is restored, and goes on.

use crate::bot::{Start, Victim, git_that_counts};
use crate::journal::{self, Journal};
use crate::mail::MailProxy;
use crate::point::{Blow, Moment, Point};
use crate::proxy::Proxy;
use crate::trial::{Ended, settle};
use crate::verdict;
use crate::watch::Watch;
use crate::world::{Ground, World};
use tokio::time::Instant;

pub(crate) async fn run(ground: &Ground, name: String) -> Ended {
    let began = Instant::now();
    let world = World::new(ground).await;
    let (first, second) = (Victim::new(Blow::Kill), Victim::new(Blow::Kill));
    let before_the_stop = Point::engine("POST /containers/*/stop", 1, Moment::Before);
    // The first one of whoever goes on from there.
    let before_the_start = Point::engine("POST /containers/*/start", 1, Moment::Before);
    let early = Proxy::start(world.path(), ground.socket.clone(), before_the_stop, first.clone());
    let late_at = world.path().join("late");
    std::fs::create_dir(&late_at).unwrap();
    let late = Proxy::start(&late_at, ground.socket.clone(), before_the_start, second.clone());
    let mail = MailProxy::start(&ground.mail, Point::Never, second.clone()).await;
    let start = |proxy: &Proxy| world.start(&proxy.socket, mail.port, ground, git_that_counts(world.path(), None));
    let watch = Watch::start(ground, &world.id, &world.olds);
    let mut wrong = Vec::new();
    let mut found = "—".to_owned();
    let (early, late) = (start(&early), || start(&late));
    match live(&world, &early, late, (&first, &second), &mut found).await {
        Ok(journal) => wrong.extend(verdict::wrong(ground, &world, &journal).await),
        Err(why) => wrong.push(why),
    }
    wrong.extend(watch.wrong());
    let ended = Ended {
        name,
        found,
        took: began.elapsed(),
        story: if wrong.is_empty() { String::new() } else { early.tail() },
        wrong,
        calls: Vec::new(),
    };
    world.remove(ground).await;
    ended
}

async fn live(
    world: &World,
    early: &Start,
    late: impl Fn() -> Start,
    (first, second): (&Victim, &Victim),
    found: &mut String,
) -> Result<Journal, String> {
    let mut bot = early.serve(first);
    bot.run_now(&world.id).await?;
    first.falls().await;
    bot.ended().await.ok_or("it did not go down before the stop")?;
    let backup = world.path().join("backup.tar");
    let path = backup.to_string_lossy().into_owned();
    if early.done(&["backup", &path]).await != Some(0) {
        return Err("no backup".to_owned());
    }
    // It goes on, and is lost for good.
    let late = late();
    let mut bot = late.serve(second);
    second.falls().await;
    bot.ended().await.ok_or("it did not go down before the start")?;
    let journal = journal::read(world).await?;
    *found = journal.as_ref().map_or("nothing".to_owned(), Journal::place);
    std::fs::remove_dir_all(late.state()).map_err(|e| e.to_string())?;
    if late.done(&["restore", &path]).await != Some(0) {
        return Err("not restored".to_owned());
    }
    let mut elsewhere = late.serve(second);
    let settled = settle(world, &mut elsewhere).await;
    elsewhere.end().await;
    settled
}
