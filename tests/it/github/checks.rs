//! What a commit shows where lowtide is a GitHub App: check runs from their beginning to their end, and deployments.

use super::*;
use lowtide::channels::github::route::Place;
use lowtide::channels::list::{Address, Notice};
use lowtide::model::failure::{Finding, HaltReason};
use lowtide::model::halt::{Incident, Require};
use lowtide::model::message::{Addressees, ConfigCommit, Keys, Message, MessageBody, StageTime};
use lowtide::model::stages::build::Build;
use lowtide::report::message_page::Sender;
use lowtide::runtime::channels::github::post::post;
use serde_json::Value;
use std::collections::BTreeMap;

impl House {
    /// A run begins to build a commit.
    async fn begins(&mut self, sha: &str) -> RunState {
        self.nights += 1;
        let mut state = self.run(self.nights, sha);
        let build = Effect::Build(build(&state));
        let message = consequences::effect_started(&state, &build, clock::now()).unwrap();
        self.bot.notify(&message).await.unwrap();
        state.build_began = true;
        state.took = vec![
            StageTime {
                stage: Stage::Resolve,
                took_ms: 1_200,
            },
            StageTime {
                stage: Stage::Build,
                took_ms: 92_000,
            },
        ];
        state
    }

    async fn builds(&mut self, sha: &str, conclusion: Conclusion) {
        let state = self.begins(sha).await;
        self.deliver().await;
        self.end(&state, conclusion).await;
        self.deliver().await;
    }

    /// The check runs, oldest first, with their annotations.
    fn checks(&self) -> String {
        let world = self.fake.world();
        let line = |check: &Value| {
            let output = &check["output"];
            let annotation = |of: &Value| {
                format!(
                    "\n  {}:{} {}: {}",
                    text(&of["path"]),
                    of["start_line"],
                    text(&of["title"]),
                    text(&of["message"])
                )
            };
            let annotations = output["annotations"].as_array().unwrap().iter().take(3).map(annotation);
            format!(
                "{} {} {} {}: {}{}",
                &text(&check["head_sha"])[..7],
                text(&check["name"]),
                text(&check["status"]),
                check["conclusion"].as_str().unwrap_or("-"),
                text(&output["title"]),
                annotations.collect::<String>()
            )
        };
        world.checks.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn build(state: &RunState) -> Build {
    let resolved = state.resolved.as_ref().unwrap();
    Build {
        from: Box::new(resolved.repository().unwrap().clone()),
        platform: resolved.platform.clone(),
        tag: "lowtide/web:20261123.1".to_owned(),
        release_tag: "20261123.1".to_owned(),
        labels: BTreeMap::new(),
        because: Vec::new(),
    }
}

/// What the next pass over the outbox delivers.
async fn due(house: &House) -> Vec<(Notice, Place)> {
    let due = house.bot.store.due_notices(clock::now(), 50, |_| true).await.unwrap();
    let place = |pending: lowtide::store::outbox::Pending| match &pending.notice.address {
        Address::Github(place) => (pending.notice.clone(), place.clone()),
        Address::Mail(_) | Address::Webhook(_) => panic!("{pending:?}"),
    };
    due.into_iter().map(place).collect()
}

fn at(line: u32, title: &str) -> Finding {
    Finding {
        path: "tests/menu.php".to_owned(),
        line,
        title: title.to_owned(),
        message: vec![
            "Failed asserting that 500 matches 200.".to_owned(),
            "@root <b>".to_owned(),
        ],
    }
}

fn tests_failed_at(lines: u32) -> Conclusion {
    let failure = Failure::new(FailureKind::TestFailed, "1 of 2 tests failed")
        .with_findings((1..=lines).map(|line| at(line, &format!("Menu.case{line}"))));
    Conclusion::Failed {
        stage: Stage::Test,
        failure,
    }
}

#[tokio::test]
async fn a_run_is_seen_from_its_beginning_to_its_verdict() {
    let mut house = House::as_app().await;
    let state = house.begins(NEW).await;
    house.deliver().await;
    insta::assert_snapshot!(house.checks(), @"3f2a9c1 lowtide/web in_progress -: The image is being built and tested.");
    house.end(&state, tests_failed_at(2)).await;
    house.deliver().await;
    insta::assert_snapshot!(house.checks(), @"
    3f2a9c1 lowtide/web completed failure: 1 of 2 tests failed.
      tests/menu.php:1 Menu.case1: Failed asserting that 500 matches 200.
    @root <b>
      tests/menu.php:2 Menu.case2: Failed asserting that 500 matches 200.
    @root <b>
    ");
    house.builds(NEW, house.released(NEW)).await;
    insta::assert_snapshot!(house.checks(), @"
    3f2a9c1 lowtide/web completed failure: 1 of 2 tests failed.
      tests/menu.php:1 Menu.case1: Failed asserting that 500 matches 200.
    @root <b>
      tests/menu.php:2 Menu.case2: Failed asserting that 500 matches 200.
    @root <b>
    3f2a9c1 lowtide/web completed success: Built, tested and released as 20261123.2.
    ");
    let world = house.fake.world();
    assert_eq!(world.statuses.len(), 0, "a check run says it all");
    let url = format!("https://lowtide.example.org/runs/{}", id(1));
    assert_eq!(world.checks[0]["details_url"], url.as_str());
    let words = text(&world.checks[0]["output"]["text"]).replace(&id(1).to_string(), "RUN");
    let lines = words.lines().filter(|line| !line.starts_with("<sub>"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n").replace('\u{200b}', ""), @r"
    Nothing changed in production: what ran before still runs.

    ### In the browser

    - Run: <https://lowtide.example.org/runs/RUN>

    ### What happened

    In the tests inside the new image: tests failed.

    - Commit: 3f2a9c1 Say hello
    - Author: Dev

    - Page: <https://github.com/example/web/commit/3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e>

    ### Why

    1 of 2 tests failed.

    ### What to do next

    Correct the code or the named tests, and push; the next run picks it up.

    Everything recorded about this run:
    ```sh
    lowtide show RUN
    ```
    Once fixed, try now instead of tonight:
    ```sh
    lowtide run web
    ```

    ### Who needs to act

    The app's maintainers: the cause is in the repository.

    ### What ran

    - Resolve: 1\.2 s
    - Build: 1 min 32 s
    ");
}

#[tokio::test]
async fn trouble_that_is_not_the_repository_s_is_neutral() {
    let mut house = House::as_app().await;
    let conclusion = failed(
        FailureKind::RegistryUnreachable,
        "registry.example.org: connection refused",
    );
    house.builds(NEW, conclusion).await;
    house.builds(NEW, Conclusion::Cancelled { by: "kim".to_owned() }).await;
    let quarantined = SkipReason::Quarantined {
        digest: "sha256:1".to_owned(),
    };
    house.builds(NEW, Conclusion::Unchanged { why: quarantined }).await;
    insta::assert_snapshot!(house.checks(), @"
    3f2a9c1 lowtide/web completed neutral: The run could not finish, which says nothing of the commit. The registry does not answer: registry.example.org: connection refused.
    3f2a9c1 lowtide/web completed cancelled: Cancelled by kim.
    3f2a9c1 lowtide/web completed neutral: A rebuild gives the same image that was rolled back (1).
    ");
    assert_eq!(house.fake.world().issues.len(), 0);
}

#[tokio::test]
async fn a_commit_that_fails_before_its_build_has_a_check_and_one_that_is_not_built_has_none() {
    let mut house = House::as_app().await;
    house
        .night(
            NEW,
            failed(FailureKind::DockerfileInvalid, "line 3: unknown instruction RUNN"),
        )
        .await;
    house.night(OLD, unchanged()).await;
    house
        .night(OLD, failed(FailureKind::RegistryUnreachable, "no answer"))
        .await;
    insta::assert_snapshot!(house.checks(), @"3f2a9c1 lowtide/web completed failure: The Dockerfile cannot be read: line 3: unknown instruction RUNN.");
}

#[tokio::test]
async fn every_delivery_may_be_repeated() {
    let mut house = House::as_app().await;
    let state = house.begins(NEW).await;
    let begun = due(&house).await;
    house.deliver().await;
    house.end(&state, tests_failed_at(50)).await;
    let ended = due(&house).await;
    house.deliver().await;
    let once = house.checks();
    let policy = house.bot.in_force().fleet.channels.github.clone().unwrap();
    let github = Github::new(&policy.login, &policy.api, PATIENT).unwrap();
    let sender = Sender {
        instance: "harbour".to_owned(),
        timezone: "UTC".to_owned(),
        public_url: Some(PublicUrl("https://lowtide.example.org".to_owned())),
    };
    for (notice, place) in begun.iter().chain(&ended) {
        post(&github, notice, place, None, &sender).await.unwrap();
    }
    assert_eq!(house.checks(), once, "what has ended does not begin again");
    let world = house.fake.world();
    assert_eq!(world.checks.len(), 1);
    let annotations = world.checks[0]["output"]["annotations"].as_array().unwrap().len();
    assert_eq!(annotations, 50, "none twice");
}

#[tokio::test]
async fn a_rollback_turns_the_commit_red_and_each_rollout_is_a_deployment() {
    let mut house = House::as_app().await;
    house.builds(NEW, house.released(NEW)).await;
    house
        .bot
        .notify(&rolled_out(NEW, "01JDCS4Z00ABCDEFGHJKMNPQRS"))
        .await
        .unwrap();
    let unhealthy = Failure::new(FailureKind::UnhealthyAfterRoll, "web-1 answers 500");
    house
        .bot
        .notify(&halted(OLD, "01JDCS4Z00ABCDEFGHJKMNPQRT", unhealthy))
        .await
        .unwrap();
    let away = Failure::new(FailureKind::EngineUnreachable, "web1 does not answer");
    house
        .bot
        .notify(&halted(NEW, "01JDCS4Z00ABCDEFGHJKMNPQRV", away))
        .await
        .unwrap();
    house.deliver().await;
    insta::assert_snapshot!(house.checks(), @"
    3f2a9c1 lowtide/web completed success: Built, tested and released as 20261123.1.
    1111111 lowtide/web completed failure: A rollout was rolled back. The new container did not become ready: web-1 answers 500.
    ");
    insta::assert_snapshot!(deployments(&house), @"
    3f2a9c1 web/front: success (20261123.1 runs on front.) https://lowtide.example.org/rollouts/01JDCS4Z00ABCDEFGHJKMNPQRS
    1111111 web/front: failure (A rollout was rolled back. The new container did not become ready: web-1 answers 500.) https://lowtide.example.org/rollouts/01JDCS4Z00ABCDEFGHJKMNPQRT
    3f2a9c1 web/front: failure (A rollout was rolled back. The engine does not answer: web1 does not answer.) https://lowtide.example.org/rollouts/01JDCS4Z00ABCDEFGHJKMNPQRV
    ");
    assert_eq!(house.waiting().await, 0);
}

#[tokio::test]
async fn a_token_sets_statuses_with_a_link_and_takes_success_back() {
    let mut house = House::new().await;
    house.builds(NEW, house.released(NEW)).await;
    let unhealthy = Failure::new(FailureKind::UnhealthyAfterRoll, "web-1 answers 500");
    house
        .bot
        .notify(&halted(NEW, "01JDCS4Z00ABCDEFGHJKMNPQRT", unhealthy))
        .await
        .unwrap();
    house.deliver().await;
    let world = house.fake.world();
    let line = |(_, status): &(String, Value)| {
        format!(
            "{} {} {}",
            text(&status["state"]),
            text(&status["description"]),
            text(&status["target_url"])
        )
    };
    let lines: Vec<String> = world.statuses.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n").replace(&id(1).to_string(), "RUN"), @"
    success Built, tested and released as 20261123.1. https://lowtide.example.org/runs/RUN
    failure A rollout was rolled back. The new container did not become ready: web-1 answers 500. https://lowtide.example.org/apps/web
    ");
    assert_eq!(world.checks.len(), 0);
}

#[tokio::test]
async fn an_app_signs_its_own_requests_and_gets_one_token_per_account() {
    let house = House::as_app().await;
    let policy = house.bot.in_force().fleet.channels.github.clone().unwrap();
    let github = Github::new(&policy.login, &policy.api, PATIENT).unwrap();
    let installation = github.installation("example/web").await.unwrap().unwrap();
    assert_eq!(installation.permissions["checks"], "write");
    assert_eq!(installation.suspended_at, None);
    for _ in 0..3 {
        github.repository("example/web").await.unwrap();
    }
    insta::assert_snapshot!(house.fake.writes().join("\n"), @"POST /app/installations/17/access_tokens");
    std::fs::write(house.folder.path().join("app.pem"), "no key").unwrap();
    insta::assert_snapshot!(Github::new(&policy.login, &policy.api, PATIENT).unwrap_err(), @"notify.github cannot be used: app.key is no RSA private key in PEM form");
    let elsewhere = tempfile::tempdir().unwrap();
    let _other = InstalledApp::new(APP, elsewhere.path());
    std::fs::copy(elsewhere.path().join("app.pem"), house.folder.path().join("app.pem")).unwrap();
    let github = Github::new(&policy.login, &policy.api, PATIENT).unwrap();
    insta::assert_snapshot!(github.repository("example/web").await.unwrap_err(), @"GitHub refuses the token: Bad credentials");
}

#[tokio::test]
async fn a_suspended_app_keeps_what_it_has_to_say() {
    let mut house = House::as_app().await;
    house.fake.world().app.as_mut().unwrap().suspended = true;
    house.night(NEW, failed(FailureKind::TestFailed, "x")).await;
    assert_eq!(
        house
            .fake
            .writes()
            .iter()
            .filter(|write| write.contains("/repos/"))
            .count(),
        0
    );
    assert!(house.waiting().await > 0, "nothing is lost");
}

fn deployments(house: &House) -> String {
    let world = house.fake.world();
    let line = |(deployment, statuses): &(Value, Vec<Value>)| {
        let states: Vec<String> = statuses
            .iter()
            .map(|status| {
                format!(
                    "{} ({}) {}",
                    text(&status["state"]),
                    text(&status["description"]),
                    text(&status["log_url"])
                )
            })
            .collect();
        let sha = &text(&deployment["sha"])[..7];
        format!("{sha} {}: {}", text(&deployment["environment"]), states.join(", "))
    };
    world.deployments.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn message(rollout: &str, body: MessageBody) -> Message {
    Message {
        keys: Keys {
            dedup: format!("rollout/{rollout}"),
            thread: format!("rollout/{rollout}"),
        },
        addressees: Addressees::Both,
        at: clock::now(),
        body,
    }
}

fn rolled_out(sha: &str, rollout: &str) -> Message {
    let body = MessageBody::RolledOut {
        app: "web".parse().unwrap(),
        target: "front".parse().unwrap(),
        rollout: rollout.parse().unwrap(),
        tag: "20261123.1".to_owned(),
        digest: format!("sha256:{}", "a".repeat(64)),
        commit: Some(sha.to_owned()),
        change: None,
        units: 1,
    };
    message(rollout, body)
}

fn halted(sha: &str, rollout: &str, failure: Failure) -> Message {
    let incident = Incident {
        rollout: rollout.parse().unwrap(),
        app: "web".parse().unwrap(),
        target: "front".parse().unwrap(),
        timezone: "UTC".to_owned(),
        tag: "20261123.1".to_owned(),
        commit: Some(sha.to_owned()),
        irreversible: false,
        probation: false,
        opened: clock::now(),
        conclusion: None,
        timeline: Vec::new(),
        change: None,
        readiness: Vec::new(),
        candidates: Vec::new(),
        hooks: Vec::new(),
    };
    let body = MessageBody::Halted {
        app: "web".parse().unwrap(),
        target: Some("front".parse().unwrap()),
        rollout: Some(rollout.parse().unwrap()),
        reason: HaltReason::Reverted { failure },
        tag: Some("20261123.1".to_owned()),
        back: true,
        log: Vec::new(),
        incident: Some(Box::new(incident)),
        require: Require::Reason,
    };
    message(rollout, body)
}

#[tokio::test]
async fn a_commit_of_the_configuration_shows_whether_it_is_in_force() {
    let house = House::as_app().await;
    let told = |house: &House, repo: &str, sha: &str| {
        let finding = Finding {
            path: "lowtide.yml".to_owned(),
            line: 5,
            title: "bad-time".to_owned(),
            message: vec!["`soon` is not a time of day".to_owned()],
        };
        let refused = MessageBody::ConfigRefused {
            revision: sha.to_owned(),
            problems: "bad-time".to_owned(),
            commit: Some(Box::new(ConfigCommit {
                repo: repo.replace("GITHUB", &house.fake.api),
                findings: vec![finding],
            })),
        };
        let accepted = MessageBody::ConfigAccepted {
            revision: sha.to_owned(),
            repo: repo.replace("GITHUB", &house.fake.api),
            apps: 3,
        };
        [
            (lowtide::decide::notify::config_keys(sha), refused),
            (lowtide::decide::notify::config_accepted_keys(sha), accepted),
        ]
        .map(|(keys, body)| Message {
            keys,
            addressees: Addressees::Nobody,
            at: clock::now(),
            body,
        })
    };
    let [refused, _] = told(&house, "GITHUB/example/web.git", NEW);
    let [_, accepted] = told(&house, "GITHUB/example/web", OLD);
    let [elsewhere, also] = told(&house, "https://git.example.org/fleet.git", OLD);
    for message in [&refused, &accepted, &elsewhere, &also] {
        house.bot.notify(message).await.unwrap();
    }
    house.deliver().await;
    insta::assert_snapshot!(house.checks(), @"
    3f2a9c1 lowtide/(configuration) completed failure: Refused: 1 problem. The last valid one stays in effect.
      lowtide.yml:5 bad-time: `soon` is not a time of day
    1111111 lowtide/(configuration) completed success: In effect: 3 apps.
    ");
    assert_eq!(house.waiting().await, 0);

    let house = House::new().await;
    for message in [
        &told(&house, "GITHUB/example/web.git", NEW)[0],
        &told(&house, "GITHUB/example/web.git", OLD)[1],
    ] {
        house.bot.notify(message).await.unwrap();
    }
    house.deliver().await;
    let world = house.fake.world();
    let line = |(sha, status): &(String, Value)| {
        format!(
            "{} {} {}: {}",
            &sha[..7],
            text(&status["context"]),
            text(&status["state"]),
            text(&status["description"])
        )
    };
    insta::assert_snapshot!(world.statuses.iter().map(line).collect::<Vec<_>>().join("\n"), @"
    3f2a9c1 lowtide/(configuration) failure: Refused: 1 problem. The last valid one stays in effect.
    1111111 lowtide/(configuration) success: In effect: 3 apps.
    ");
}
