//! Nights as repositories live through them, and deliveries that happen twice.

use super::*;
use crate::support::github::fake::{Fake, Scripted};
use lowtide::channels::channel::{Channel, Contacts};
use lowtide::channels::github::route::Post;
use lowtide::channels::list::Address;
use lowtide::clients::github::issue::Listed;
use lowtide::decide::halt::Lifted;
use lowtide::model::failure::HaltReason;
use lowtide::model::halt::Require;
use lowtide::model::message::{Addressees, Keys, Message, MessageBody};
use lowtide::report::message_page::Sender;
use lowtide::runtime::channels::github::post::post;

/// Issues, comments and statuses at a glance.
fn seen(fake: &Fake) -> String {
    let world = fake.world();
    let mut lines = Vec::new();
    for issue in &world.issues {
        let state = if issue.open { "open" } else { "closed" };
        lines.push(format!("#{} {state} {:?}: {}", issue.number, issue.labels, issue.title));
    }
    for (number, comments) in &world.comments {
        for comment in comments {
            let title = comment.lines().find(|l| l.starts_with("**")).unwrap_or_default();
            lines.push(format!("comment on #{number}: {title}"));
        }
    }
    for (sha, status) in &world.statuses {
        let text = |name: &str| status[name].as_str().unwrap().to_owned();
        let (context, state) = (text("context"), text("state"));
        lines.push(format!("{} {context} {state}: {}", &sha[..7], text("description")));
    }
    lines.join("\n").replace('\u{200b}', "")
}

#[tokio::test]
async fn an_incident_from_its_first_night_to_its_last() {
    let mut house = House::new().await;
    house.night(NEW, tests_failed()).await;
    insta::assert_snapshot!(seen(&house.fake), @r#"
    #41 open ["lowtide"]: web: tests failed at 3f2a9c1 (1 failing)
    3f2a9c1 lowtide/web failure: 1 of 2 tests failed.
    "#);
    let first = house.fake.writes();
    assert_eq!(first.len(), 3, "label, issue, status: {first:?}");

    house.night(NEW, tests_failed()).await;
    assert_eq!(
        house.fake.writes(),
        Vec::<String>::new(),
        "the same failure is told once"
    );

    house.night(NEW, build_failed()).await;
    let body = house.fake.world().issues[0].body.clone();
    assert!(body.contains("exit code 100"), "{body}");
    insta::assert_snapshot!(seen(&house.fake), @r#"
    #41 open ["lowtide"]: web: the build failed at 3f2a9c1
    comment on #41: **web: the build failed at 3f2a9c1**
    3f2a9c1 lowtide/web failure: 1 of 2 tests failed.
    3f2a9c1 lowtide/web failure: The build failed: exit code 100 at line 7 of the Dockerfile.
    "#);

    house.night(OLD, house.released(OLD)).await;
    insta::assert_snapshot!(seen(&house.fake), @r#"
    #41 closed ["lowtide"]: web: the build failed at 3f2a9c1
    comment on #41: **web: the build failed at 3f2a9c1**
    comment on #41: **web: runs succeed again**
    3f2a9c1 lowtide/web failure: 1 of 2 tests failed.
    3f2a9c1 lowtide/web failure: The build failed: exit code 100 at line 7 of the Dockerfile.
    1111111 lowtide/web success: Built, tested and released as 20261123.4.
    "#);
    house.fake.writes();

    house.night(OLD, unchanged()).await;
    assert_eq!(
        house.fake.writes(),
        Vec::<String>::new(),
        "a night that changes nothing says nothing"
    );

    house.night(NEW, tests_failed()).await;
    assert_eq!(house.fake.world().issues.len(), 2, "another incident is another issue");
    assert_eq!(house.waiting().await, 0);
}

#[tokio::test]
async fn what_is_not_the_repository_s_fault_is_not_reported_there() {
    let mut house = House::new().await;
    let conclusion = failed(
        FailureKind::RegistryUnreachable,
        "registry.example.org: connection refused",
    );
    house.night(NEW, conclusion).await;
    house.night(NEW, unchanged()).await;
    insta::assert_snapshot!(seen(&house.fake), @"3f2a9c1 lowtide/web success: A rebuild changes nothing in the released image.");
}

/// Every notice of an incident, delivered twice: killed between GitHub's answer and the note that it came.
#[tokio::test]
async fn a_delivery_that_is_repeated_changes_nothing() {
    let house = House::new().await;
    let github = client(&house.fake, house.folder.path(), PATIENT);
    let sender = Sender {
        instance: "harbour".to_owned(),
        timezone: "UTC".to_owned(),
        public_url: None,
    };
    house
        .fake
        .world()
        .pulls
        .insert(NEW.to_owned(), vec![(7, Some("2026-11-20T08:00:00Z"), NEW)]);
    let mut house = house;
    house.last = Some(release(0, OLD));
    for conclusion in [tests_failed(), build_failed(), unchanged()] {
        house.ends(NEW, conclusion).await;
        let due = house.bot.store.due_notices(clock::now(), 50, |_| true).await.unwrap();
        for pending in &due {
            let Address::Github(place) = &pending.notice.address else {
                panic!("{pending:?}")
            };
            post(&github, &pending.notice, place, None, &sender).await.unwrap();
            house.fake.writes();
            post(&github, &pending.notice, place, None, &sender).await.unwrap();
            assert_eq!(
                house.fake.writes(),
                Vec::<String>::new(),
                "{}",
                pending.notice.keys.dedup
            );
        }
        house.deliver().await;
        assert_eq!(
            house.fake.writes(),
            Vec::<String>::new(),
            "nor does the pass after the next start"
        );
    }
    insta::assert_snapshot!(seen(&house.fake), @r#"
    #41 closed ["lowtide"]: web: the build failed at 3f2a9c1
    comment on #7: **web: tests failed at 3f2a9c1 (1 failing)**
    comment on #41: **web: the build failed at 3f2a9c1**
    comment on #41: **web: runs succeed again**
    3f2a9c1 lowtide/web failure: 1 of 2 tests failed.
    3f2a9c1 lowtide/web failure: The build failed: exit code 100 at line 7 of the Dockerfile.
    3f2a9c1 lowtide/web success: A rebuild changes nothing in the released image.
    "#);
}

#[tokio::test]
async fn a_response_that_is_lost_on_its_way_makes_no_second_issue() {
    for request in ["POST /repos/example/web/issues", "POST /repos/example/web/statuses"] {
        let mut house = House::new().await;
        house.fake.script(Scripted {
            on: request,
            status: 502,
            headers: vec![],
            body: "Bad Gateway",
            done: true,
        });
        house.night(NEW, tests_failed()).await;
        assert_eq!(house.waiting().await, 1, "{request}");
        house.restart().await;
        due_now(&house).await;
        house.deliver().await;
        assert_eq!(house.waiting().await, 0, "{request}");
        let world = house.fake.world();
        assert_eq!((world.issues.len(), world.statuses.len()), (1, 1), "{request}");
    }
}

/// Moves what waits for its next try to now.
async fn due_now(house: &House) {
    let later = clock::now() + jiff::SignedDuration::from_hours(24);
    for pending in house.bot.store.due_notices(later, 50, |_| true).await.unwrap() {
        let delivery = lowtide::store::outbox::Delivery::Later {
            at: clock::now(),
            error: String::new(),
        };
        let dedup = pending.notice.keys.dedup;
        house
            .bot
            .store
            .record_delivery(dedup, delivery, clock::now())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn when_issues_cannot_be_listed_none_is_opened() {
    let mut house = House::new().await;
    house.fake.script(Scripted {
        on: "GET /repos/example/web/issues",
        status: 500,
        headers: vec![],
        body: "Oops",
        done: false,
    });
    house.night(NEW, tests_failed()).await;
    assert_eq!(house.fake.world().issues.len(), 0);
    assert_eq!(house.waiting().await, 1, "the issue; the status is set");
    house.night(OLD, house.released(OLD)).await;
    assert_eq!(house.fake.world().issues.len(), 0);
    assert_eq!(house.waiting().await, 2, "its end waits behind it");
    due_now(&house).await;
    house.deliver().await;
    house.deliver().await;
    insta::assert_snapshot!(seen(&house.fake), @r#"
    #41 closed ["lowtide"]: web: tests failed at 3f2a9c1 (1 failing)
    comment on #41: **web: runs succeed again**
    3f2a9c1 lowtide/web failure: 1 of 2 tests failed.
    1111111 lowtide/web success: Built, tested and released as 20261123.2.
    "#);
    assert_eq!(house.waiting().await, 0);
}

#[tokio::test]
async fn an_issue_that_lost_its_label_is_remembered_by_its_number() {
    let mut house = House::new().await;
    house.fake.world().drops_labels = true;
    house.night(NEW, tests_failed()).await;
    house.restart().await;
    house.night(NEW, build_failed()).await;
    house.night(OLD, unchanged()).await;
    let world = house.fake.world();
    let issues: Vec<_> = world.issues.iter().map(|issue| (issue.open, &issue.labels)).collect();
    assert_eq!(issues, [(false, &vec![])]);
    assert_eq!(world.comments[&41].len(), 2);
}

#[tokio::test]
async fn an_issue_closed_by_hand_opens_again_for_another_cause() {
    let mut house = House::new().await;
    house.night(NEW, tests_failed()).await;
    house.fake.world().issues[0].open = false;
    house.night(NEW, tests_failed()).await;
    assert!(!house.fake.world().issues[0].open, "the same cause leaves it alone");
    house.night(NEW, build_failed()).await;
    assert!(house.fake.world().issues[0].open);
    assert_eq!(house.fake.world().issues.len(), 1);
}

#[tokio::test]
async fn the_pull_request_is_notified_only_when_the_commit_is_to_blame() {
    // Last release, pull requests of the commit, and where a comment is written.
    let merged = (7, Some("2026-11-20T08:00:00Z"), NEW);
    let other = (5, Some("2026-11-01T08:00:00Z"), OLD);
    let open = (9, None, OLD);
    for (last, pulls, commented) in [
        (Some(OLD), vec![other, merged, open], vec![7]),
        (Some(OLD), vec![other, open], vec![5]),
        (Some(OLD), vec![open], vec![]),
        (Some(OLD), vec![], vec![]),
        (Some(NEW), vec![merged], vec![]),
        (None, vec![merged], vec![]),
    ] {
        let mut house = House::new().await;
        house.last = last.map(|sha| release(0, sha));
        house.fake.world().pulls.insert(NEW.to_owned(), pulls.clone());
        house.night(NEW, tests_failed()).await;
        house.night(NEW, build_failed()).await;
        let numbers = |world: &crate::support::github::fake::World| {
            let on = world.comments.iter().filter(|(number, _)| **number < 41);
            on.flat_map(|(number, texts)| vec![*number; texts.len()])
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(&house.fake.world()), commented, "{last:?} {pulls:?}");
        assert_eq!(house.waiting().await, 0);
    }
}

#[tokio::test]
async fn other_or_unknown_bases_blame_no_commit() {
    let mut house = House::new().await;
    house.last = Some(release(0, OLD));
    let state = house.run(1, NEW);
    let mut other = bases();
    other[0].pin = BasePin::Local { image: None };
    let same = bases();
    for (known, blamed) in [(Some(&same), true), (Some(&other), false), (None, false)] {
        let end = consequences::RunEnd {
            app_state: &house.bot.app_state(&house.app.name),
            last_bases: known.map(Vec::as_slice),
            timezone: "UTC",
        };
        let consequences = consequences::run_ended(&state, &tests_failed(), &end, clock::now());
        let github = policy("https://api.example.org", house.folder.path());
        let contacts = Contacts {
            maintainers: &[],
            github_repo: Some("example/web"),
        };
        let places = consequences
            .messages
            .iter()
            .flat_map(|message| github.route(message, contacts));
        let comments = places.filter(|of| matches!(of.address.post, Post::PullComment { .. }));
        assert_eq!(comments.count(), usize::from(blamed), "{known:?}");
    }
    assert_eq!(consequences::compared_with(&state, &tests_failed()), Some(id(0)));
    assert_eq!(consequences::compared_with(&state, &unchanged()), None);
}

#[tokio::test]
async fn a_halt_is_an_issue_until_somebody_resumes() {
    let house = House::new().await;
    let app = house.app.name.clone();
    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "web-1 answers 500");
    let halt = |rollout: &str| Message {
        keys: Keys {
            dedup: format!("rollout/{rollout}"),
            thread: format!("rollout/{rollout}"),
        },
        addressees: Addressees::Both,
        at: clock::now(),
        body: MessageBody::Halted {
            app: app.clone(),
            target: Some("container-web".parse().unwrap()),
            rollout: Some(rollout.parse().unwrap()),
            reason: HaltReason::Reverted {
                failure: failure.clone(),
            },
            tag: Some("20261123.1".to_owned()),
            back: true,
            log: vec!["@root: <b>```</b>".to_owned()],
            incident: None,
            require: Require::Reason,
        },
    };
    for rollout in ["01JDCS4Z00ABCDEFGHJKMNPQRS", "01JDCS4Z00ABCDEFGHJKMNPQRT"] {
        house.bot.notify(&halt(rollout)).await.unwrap();
        house.deliver().await;
    }
    let lifted = Lifted {
        why: "the database is back".to_owned(),
        form: None,
        probation: 0,
    };
    let resumed = consequences::resumed(&app, "kim", &lifted, Some((clock::now(), None)), clock::now());
    house
        .bot
        .commit(Batch::new(), &app, &[], &resumed.messages)
        .await
        .unwrap();
    house.deliver().await;
    insta::assert_snapshot!(seen(&house.fake), @r#"
    #41 closed ["lowtide"]: web: rolled back on container-web, the new container did not become ready
    #42 closed ["lowtide"]: web: rolled back on container-web, the new container did not become ready
    comment on #41: **web: resumed by kim**
    comment on #42: **web: resumed by kim**
    "#);
}

#[tokio::test]
async fn more_issues_than_a_page_are_all_looked_at() {
    let mut house = House::new().await;
    house.night(NEW, tests_failed()).await;
    let github = client(&house.fake, house.folder.path(), PATIENT);
    for _ in 0..150 {
        github.create_issue("example/web", "another", "another").await.unwrap();
    }
    let issues = github.issues("example/web", Listed::Open).await.unwrap();
    assert_eq!(issues.len(), 151);
    assert!(issues.iter().all(|issue| issue.number != 7), "no pull request");
    house.fake.writes();
    house.night(NEW, unchanged()).await;
    let closed = house.fake.writes();
    insta::assert_snapshot!(closed.join("\n"), @r"
    POST /repos/example/web/issues/41/comments
    PATCH /repos/example/web/issues/41
    POST /repos/example/web/statuses/3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e
    ");
}
