//! `check --connect` where everything answers.

use crate::bot::PATIENCE;
use crate::house::{House, Version};

#[tokio::test]
async fn everything_is_reached_and_the_test_mail_arrives() {
    let mut house = House::new("{}", |_| {}).await;
    let commit = house.commit(Version::Good);
    let output = house.lowtide(&["check", "--connect", "--mail", "me@example.org"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let engine = house.engine.version().await.unwrap();
    let known = said
        .replace(&house.app, "APP")
        .replace(&house.registry, "REGISTRY")
        .replace(&commit[..12], "COMMIT")
        .replace(&engine.version, "VERSION")
        .replace(&engine.api, "API");
    let words: Vec<String> = known
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(words.join("\n"), @"");
    assert!(output.status.success());
    let mail = house.mail.arrives(PATIENCE, |mail| mail["to"][0] == "me@example.org");
    assert_eq!(mail["user"], "bot");
    house.remove().await;
}
