//! `check --connect` where everything answers.

use crate::house::{House, Version};
use crate::support::serving::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_reached_and_the_test_mail_arrives() {
    let mut house = House::new("{}", |_| {}).await;
    let commit = house.commit(Version::Good);
    // What a rollout would move is not there yet: the row says so, and the summary agrees.
    let early = house.lowtide(&["check", "--connect"]);
    let said = String::from_utf8(early.stdout).unwrap().replace(&house.app, "APP");
    assert_eq!(early.status.code(), Some(1), "{said}");
    let row = said
        .lines()
        .find(|line| line.starts_with("target APP/label-APP "))
        .unwrap();
    assert!(row.contains("FAILED  here has no container with the label "), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.ends_with("the configuration has no problems; 1 of 6 connections FAILED"),
        "{last}"
    );
    house.start_old().await;
    let output = house.lowtide(&["check", "--connect", "--mail", "me@example.org"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let engine = house.engine.version().await.unwrap();
    let known = said
        .replace(&house.app, "APP")
        .replace(&house.registry, "REGISTRY")
        .replace(&commit[..12], "COMMIT")
        .replace(&engine.version, "VERSION")
        .replace(&engine.api, "API")
        .replace(&house.folder.path().display().to_string(), "FOLDER");
    let words: Vec<String> = known
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(words.join("\n"), @r"
    engine here ok VERSION, API API, linux/amd64
    registry REGISTRY ok logged in
    git APP ok COMMIT
    target APP/label-APP ok APP
    mail ok a test mail is on its way to me@example.org
    github example/web ok the token sees it
    FOLDER/lowtide.yml: 1 app, no problems; 6 connections work
    ");
    assert!(output.status.success());
    let mail = house.mail.arrives(PATIENCE, |mail| mail["to"][0] == "me@example.org");
    assert_eq!(mail["user"], "bot");
    house.remove().await;
}
