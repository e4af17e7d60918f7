//! Every prefix of a finished cycle's journal, resumed for real, until the rollout opens: from there the containers
//! would have to be as the prefix has them, which `decide::rollout`'s tests simulate.
//!
//! A prefix ends at a transaction. It is put into a world of its own under names of its own, so that the registry and the
//! containers are as they were then.

use crate::bot::{Victim, git_that_counts};
use crate::journal;
use crate::mail::MailProxy;
use crate::point::{Blow, Point};
use crate::proxy::Proxy;
use crate::trial::{self, Ended, Plan, Under};
use crate::verdict;
use crate::watch::Watch;
use crate::world::{Ground, World};
use lowtide::clients::credentials::Credentials;
use lowtide::clients::registry::connect::{Registry, Timeouts};
use lowtide::clients::registry::copy::TagRule;
use lowtide::model::image::ServedDigest;
use lowtide::model::name::RunId;
use lowtide::model::release::Release;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::time::Instant;

/// A cycle that nothing happened to.
pub(crate) struct Finished {
    pub(crate) world: World,
    pub(crate) release: Release,
    /// Events up to the rollout, in the order they were written.
    events: Vec<Event>,
    /// Number of events of each prefix, the empty one not among them.
    pub(crate) cuts: Vec<usize>,
}

#[derive(Clone)]
struct Event {
    stream: String,
    seq: i64,
    version: i64,
    body: String,
    at: String,
    term: i64,
}

impl Finished {
    /// # Errors
    /// What was wrong although nothing happened.
    pub(crate) async fn make(ground: &Ground) -> Result<(Self, Ended), Ended> {
        let world = World::new(ground).await;
        let plan = Plan {
            point: Point::Never,
            blow: Blow::Kill,
            under: Under::Serve,
        };
        let ended = trial::in_world(ground, &world, &plan).await;
        if !ended.wrong.is_empty() {
            world.remove(ground).await;
            return Err(ended);
        }
        let journal = journal::read(&world).await.unwrap().unwrap();
        let release = journal.app_state.current().unwrap().clone();
        let events = events(&world.path().join("state/lowtide.db"));
        let cuts = (1..=events.len())
            .filter(|n| events.get(*n).is_none_or(|next| next.at != events[n - 1].at))
            .collect();
        let finished = Self {
            world,
            release,
            events,
            cuts,
        };
        Ok((finished, ended))
    }

    /// Resumes the first `cut` events in a world of their own.
    pub(crate) async fn resume(&self, ground: &Ground, cut: usize) -> Ended {
        let began = Instant::now();
        let world = World::new(ground).await;
        let last = &self.events[cut - 1];
        let names = Names::new(self, &world);
        self.write(&world, cut, &names);
        if self.events[..cut].iter().any(|e| is_published(&e.body)) {
            self.publish(ground, &world, &names).await;
        }
        let victim = Victim::new(Blow::Kill);
        let proxy = Proxy::start(world.path(), ground.socket.clone(), Point::Never, victim.clone());
        let mail = MailProxy::start(&ground.mail, Point::Never, victim.clone()).await;
        let start = world.start(&proxy.socket, mail.port, ground, git_that_counts(world.path(), None));
        let watch = Watch::start(ground, &world.id, &world.olds);
        let found = journal::read(&world)
            .await
            .map_or_else(|e| e, |j| j.map_or(String::new(), |j| j.place()));
        let mut bot = start.serve(&victim);
        let mut wrong = Vec::new();
        if !self.events[..cut].iter().any(|e| e.stream.starts_with("run/"))
            && let Err(why) = bot.run_now(&world.id).await
        {
            wrong.push(why);
        }
        match trial::settle(&world, &mut bot).await {
            Ok(journal) => wrong.extend(verdict::wrong(ground, &world, &journal).await),
            Err(why) => wrong.push(why),
        }
        bot.end().await;
        wrong.extend(watch.wrong());
        let ended = Ended {
            name: format!("prefix of {cut} events, to {} {}", kind(&last.stream), last.seq),
            found,
            took: began.elapsed(),
            story: if wrong.is_empty() { String::new() } else { start.tail() },
            wrong,
            calls: Vec::new(),
        };
        world.remove(ground).await;
        ended
    }

    fn write(&self, world: &World, cut: usize, names: &Names) {
        let (from, to) = (self.world.path().join("state"), world.path().join("state"));
        copy_directory(&from.join("mirrors"), &to.join("mirrors"));
        let path = to.join("lowtide.db");
        let source = Connection::open(from.join("lowtide.db")).unwrap();
        source.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        let mut database = Connection::open(&path).unwrap();
        let all = database.transaction().unwrap();
        let mut closed: BTreeMap<String, Option<String>> = BTreeMap::new();
        for event in &self.events[..cut] {
            let stream = names.of(&event.stream);
            closed.entry(stream.clone()).or_default();
            if event.stream.starts_with("run/") && event.body.contains("\"event\":\"concluded\"") {
                closed.insert(stream, Some(event.at.clone()));
            }
        }
        all.execute_batch(
            "DELETE FROM events; DELETE FROM outbox; DELETE FROM streams; DELETE FROM revisions; DELETE FROM ended; DELETE FROM audit;",
        )
        .unwrap();
        for event in &self.events[..cut] {
            all.execute(
                "INSERT INTO events (stream, seq, version, body, at, term) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    names.of(&event.stream),
                    event.seq,
                    event.version,
                    names.of(&event.body),
                    event.at,
                    event.term
                ],
            )
            .unwrap();
        }
        for (stream, closed) in closed {
            all.execute(
                "INSERT INTO streams (id, kind, app, opened, closed) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![stream, kind(&stream), world.id, self.events[0].at, closed],
            )
            .unwrap();
        }
        // What the store writes beside the events.
        all.execute_batch(
            "UPDATE streams SET cause = (SELECT json_extract(body, '$.trigger') FROM events WHERE stream = id AND seq = 1) \
               WHERE kind = 'run'; \
             UPDATE streams SET conclusion = (SELECT json_extract(body, '$.conclusion.conclusion') FROM events \
               WHERE stream = id ORDER BY seq DESC LIMIT 1) WHERE kind = 'run' AND closed IS NOT NULL;",
        )
        .unwrap();
        all.commit().unwrap();
    }

    /// The registry as it was when the prefix was written.
    async fn publish(&self, ground: &Ground, world: &World, names: &Names) {
        let registry = Registry::new(
            BTreeMap::new(),
            Credentials::new(BTreeMap::new(), None),
            Timeouts::default(),
        )
        .unwrap();
        let from = self.world.repository(ground).parse().unwrap();
        let to = world.repository(ground).parse().unwrap();
        let digest: ServedDigest = self.release.digest.as_ref().unwrap().to_string().try_into().unwrap();
        let tag = names.of(&self.release.tag);
        for (tag, rule) in [(tag.as_str(), TagRule::Immutable), ("stable", TagRule::Moving)] {
            registry.copy(&from, &digest, &to, tag, rule).await.unwrap();
        }
    }
}

fn is_published(body: &str) -> bool {
    body.contains("\"result\":\"published\"")
}

fn kind(stream: &str) -> &str {
    stream.split('/').next().unwrap_or_default()
}

/// Names in the finished world and in the new one.
struct Names(Vec<(String, String)>);

impl Names {
    fn new(finished: &Finished, world: &World) -> Self {
        let (old, new) = (finished.release.run, RunId(ulid::Ulid::generate()));
        Self(vec![
            (finished.world.id.clone(), world.id.clone()),
            (finished.world.address(), world.address()),
            (old.to_string(), new.to_string()),
            (old.short(), new.short()),
        ])
    }

    fn of(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (old, new)| text.replace(old, new))
    }
}

/// All before the first event of a rollout.
fn events(path: &Path) -> Vec<Event> {
    let database = Connection::open(path).unwrap();
    let mut statement = database
        .prepare("SELECT stream, seq, version, body, at, term FROM events ORDER BY at, stream DESC, seq")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Event {
            stream: row.get(0)?,
            seq: row.get(1)?,
            version: row.get(2)?,
            body: row.get(3)?,
            at: row.get(4)?,
            term: row.get(5)?,
        })
    });
    let events: Vec<Event> = rows.unwrap().map(Result::unwrap).collect();
    let opened = events
        .iter()
        .find(|e| e.stream.starts_with("rollout/"))
        .unwrap()
        .at
        .clone();
    events.into_iter().filter(|e| e.at < opened).collect()
}

fn copy_directory(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}
