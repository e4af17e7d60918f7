//! Secrets reach nobody but those they are for: three nights, then everything that was written anywhere is searched.

use crate::house::{GIT_TOKEN, House, IN_ADDRESS, IN_ENVIRONMENT, Version};
use crate::search::Needles;
use crate::support::github::fake;
use crate::support::mail;
use crate::support::serving::PATIENCE;
use serde_json::Value;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

/// All arguments of all processes, whenever someone looks; once each.
#[derive(Clone, Default)]
struct Arguments(Arc<Mutex<std::collections::BTreeSet<Vec<u8>>>>);

impl Arguments {
    fn look(&self) {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        self.0.lock().unwrap().extend(lines);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_shows_nobody_what_it_was_trusted_with() {
    let arguments = Arguments::default();
    let (at_git, at_lines) = (arguments.clone(), arguments.clone());
    let mut house = House::new("{ images: 3 }", move |_| at_git.look()).await;
    house.start_old().await;
    let before = house.inspect().await;
    let mut lines = 0_usize;
    let mut bot = house.serve(move |_| {
        lines += 1;
        // Each look reads a hundred files, and a trace has thousands of lines.
        if lines.is_multiple_of(20) {
            at_lines.look();
        }
    });
    let address = listening(&mut bot);

    house.commit(Version::Good);
    assert!(house.night(), "{:#?}", house.said);
    assert_ne!(house.inspect().await["Id"], before["Id"], "the release was rolled out");
    house.commit(Version::Failing);
    assert!(!house.night(), "its tests fail");
    house.commit(Version::Dying);
    assert!(!house.night(), "it dies where the other served");
    let halt_mail = |mail: &Value| {
        mail["headers"]["subject"]
            .as_str()
            .unwrap_or_default()
            .contains("rolled back")
    };
    let halted = house.mail.arrives(PATIENCE, halt_mail).to_string();
    assert!(
        halted.contains("no login with [hidden] at postgres://app:[hidden]@db/app"),
        "{halted}"
    );
    assert_eq!(house.inspect().await["Config"]["Env"], before["Config"]["Env"]);
    while !is_on_github(&house) {
        bot.says("\"notice delivered\",\"channel\":\"github\"");
    }
    query_everything(&mut house);
    let pages = ["/", "/metrics", "/healthz"].map(|path| get(&address, path));
    let log = bot.end();

    let needles = Needles::new(&[
        "tide-secret",
        fake::TOKEN,
        GIT_TOKEN,
        mail::PASSWORD,
        IN_ENVIRONMENT,
        IN_ADDRESS,
    ]);
    // They were there to be found.
    let there = house.inspect().await.to_string();
    assert_eq!(needles.within(there.as_bytes()), [IN_ENVIRONMENT, IN_ADDRESS]);
    let mut found = needles.below(&house.path("state"), &house.path("state/seal.key"));
    for (place, text) in written(&house, &log, &pages.concat(), &arguments).await {
        found.extend(needles.within(text.as_bytes()).iter().map(|s| format!("{place}: {s}")));
    }
    assert!(found.is_empty(), "{found:#?}");
    house.remove().await;
}

/// Everything outside the state directory: where, and what.
async fn written(house: &House, log: &str, pages: &str, arguments: &Arguments) -> Vec<(String, String)> {
    let mut written: Vec<(String, String)> = house.said.clone();
    written.extend(log.lines().map(|line| (format!("the log: {line}"), line.to_owned())));
    written.push(("the pages".to_owned(), pages.to_owned()));
    written.push(("GitHub".to_owned(), house.github.texts().join("\n")));
    for mail in house.mail.stored() {
        written.push(("a mail".to_owned(), mail.to_string()));
    }
    for line in arguments.0.lock().unwrap().iter() {
        let line = String::from_utf8_lossy(line).replace('\0', " ");
        written.push((format!("arguments: {line}"), line));
    }
    for image in house.images().await {
        let id = image["Id"].as_str().unwrap().to_owned();
        for path in ["json", "history"] {
            let shown = house.engine.raw_get(&format!("/images/{id}/{path}")).await.unwrap();
            written.push((format!("an image's {path}"), shown.to_string()));
        }
    }
    let labels = house.inspect().await["Config"]["Labels"].to_string();
    written.push(("labels".to_owned(), labels));
    written
}

/// The whole way from a run to GitHub: statuses of both ends, and one issue for the incident.
fn is_on_github(house: &House) -> bool {
    let world = house.github.world();
    let states: Vec<&str> = world
        .statuses
        .iter()
        .filter_map(|(_, status)| status["state"].as_str())
        .collect();
    let both = states.contains(&"success") && states.contains(&"failure");
    both && world.issues.iter().any(|issue| issue.open)
}

fn query_everything(house: &mut House) {
    let app = house.app.clone();
    let history = house.lowtide(&["history", "--json"]);
    let history: Value = serde_json::from_slice(&history.stdout).unwrap();
    let ids: Vec<String> = history["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["run"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 3);
    for id in &ids {
        house.lowtide(&["show", id]);
        house.lowtide(&["show", id, "--json"]);
    }
    let backup = house.path("state/backup.db").display().to_string();
    for arguments in [
        &["check"][..],
        &["check", "--connect", "--format", "json"],
        &["plan", &app],
        &["plan", "--json"],
        &["status"],
        &["status", "--json"],
        &["history"],
        &["backup", &backup],
    ] {
        let output = house.lowtide(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

fn listening(bot: &mut crate::support::serving::Serving) -> String {
    let line = bot.said("the plan are served");
    let line: Value = serde_json::from_str(&line).unwrap();
    line["address"].as_str().unwrap().to_owned()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.0 200"), "{response}");
    response
}
