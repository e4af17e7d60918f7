//! Secrets that the containers of a test are given: in their environment, and in nothing that is shown or stored.

use super::*;
use lowtide::model::secret::{EnvValue, SecretRef};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_reach_the_containers_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, value: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{value}\n")).unwrap();
        EnvValue::Secret(SecretRef::File(path))
    };
    let echo = |names: &str| format!("echo {names}; env; exec sleep 1000");
    let image = Image::running(&echo("candidate"));
    let mut test = policy(
        up(),
        vec![
            exec("test ${#IN_TEST}:${#IN_APP} = 12:11"),
            exec("echo \"$IN_TEST\" $IN_APP; mkdir -p /r; env > /r/env"),
        ],
    );
    test.artefacts = vec!["/r/env".to_owned()];
    test.env.insert("IN_TEST".to_owned(), secret("a", "wave-in-test"));
    let mut db = sidecar(&echo("db"), up());
    db.env.insert("PLAIN_NAME".to_owned(), secret("b", "wave-in-sidecar"));
    test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
    test.tester = Some(Tester {
        from: TesterFrom::Image(BASE.parse().unwrap()),
        command: ["sh", "-c", "env; test ${#WHO} = 14 && exit 5"]
            .map(ToOwned::to_owned)
            .to_vec(),
        env: BTreeMap::from([("WHO".to_owned(), secret("c", "wave-in-tester"))]),
        junit: None,
        artefacts: Vec::new(),
        timeout: None,
    });
    let mut attempt = Attempt::new(Some(test), up());
    attempt.app.env.insert("IN_APP".to_owned(), secret("d", "wave-in-app"));
    attempt.hidden = Hidden::of(&attempt.app);
    let journalled = serde_json::to_string(&attempt.app).unwrap();
    let effect = attempt.bootstrap(&image).await.unwrap();
    // What a container was given stays hidden though it is another value now.
    std::fs::write(folder.path().join("a"), "another value").unwrap();
    attempt.hidden = Hidden::of(&attempt.app);
    let failure = failure(attempt.test(&effect).await);
    assert_eq!(failure.detail, "the tester exited with 5");
    assert!(
        failure.excerpt.iter().any(|line| line == "WHO=[hidden]"),
        "{:?}",
        failure.excerpt
    );
    let mut shown = vec![
        journalled,
        attempt.said(),
        failure.to_string(),
        failure.excerpt.join("\n"),
    ];
    for entry in walkdir(attempt.work.path()) {
        shown.push(std::fs::read_to_string(entry).unwrap());
    }
    assert!(shown.len() > 6, "logs and an artefact");
    for text in shown {
        assert!(!text.contains("wave-in"), "{text}");
    }
    attempt.nothing_is_left();

    std::fs::remove_file(folder.path().join("b")).unwrap();
    let missing = super::failure(attempt.bootstrap(&image).await);
    assert_eq!(missing.kind, FailureKind::SecretMissing, "{missing}");
    attempt.nothing_is_left();
}

fn walkdir(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walkdir(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// A variable of the compose file is filled by a secret, and so is a file of the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_fill_the_variables_of_a_stack() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pw"), "wave-in-stack\n").unwrap();
    let image = Image::running("exec sleep 1000");
    let stack = r#"
services:
  web: { build: ., environment: ["DB_URL=mysql://app:${PW}@db/app"], secrets: [pw] }
secrets: { pw: { environment: PW } }
"#;
    let mut test = policy(
        up(),
        vec![exec(
            "test \"$DB_URL\" = mysql://app:wave-in-stack@db/app && grep wave-in-stack /run/secrets/pw && env",
        )],
    );
    let pw = EnvValue::Secret(SecretRef::File(folder.path().join("pw")));
    test.how = TestSetup::Compose(ComposeTest {
        env: BTreeMap::from([("PW".to_owned(), pw)]),
        ..ComposeTest::default()
    });
    let attempt = Attempt::new(Some(test), up());
    attempt.write("compose.yml", stack);
    attempt.both(&image).await.unwrap();
    assert!(!attempt.said().contains("wave-in"), "{}", attempt.said());
    attempt.nothing_is_left();
}

/// What the compose file gives to the build of a sibling is in the step that mounts it, and nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_reach_the_builds_of_siblings() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pw"), "wave-in-build").unwrap();
    let image = Image::running("exec sleep 1000");
    let stack = r#"
services:
  web: { build: ., depends_on: { tool: { condition: service_healthy } } }
  tool:
    build:
      secrets: [pw, { source: file, target: npm }]
      dockerfile_inline: |
        FROM lowtide-test/busybox:1
        RUN --mount=type=secret,id=pw,required=true grep -qx wave.in.build /run/secrets/pw && cat /run/secrets/pw
        RUN --mount=type=secret,id=npm,required=true grep -qx wave.of.npm /run/secrets/npm && touch /seen
        CMD exec sleep 1000
    healthcheck: { test: test -e /seen -a ! -e /run/secrets/npm, interval: 200ms, retries: 50 }
secrets: { pw: { environment: PW }, file: { file: ./npm.txt } }
"#;
    let mut test = policy(up(), vec![exec("true")]);
    let pw = EnvValue::Secret(SecretRef::File(folder.path().join("pw")));
    test.how = TestSetup::Compose(ComposeTest {
        env: BTreeMap::from([("PW".to_owned(), pw)]),
        ..ComposeTest::default()
    });
    let attempt = Attempt::new(Some(test), up());
    attempt.write("compose.yml", stack);
    attempt.write("npm.txt", "wave-of-npm\n");
    attempt.both(&image).await.unwrap();
    assert!(!attempt.said().contains("wave-in"), "{}", attempt.said());
    attempt.nothing_is_left();
}
