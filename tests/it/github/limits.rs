//! Refusals: limits, tokens, addresses, servers that are down, slow or rude.

use super::*;
use crate::support::github::fake::{Fake, Scripted};
use jiff::{SignedDuration, Timestamp};
use lowtide::clients::github::error::GithubError;
use lowtide::clients::github::issue::Listed;

fn refusal(status: u16, headers: Vec<(&'static str, String)>, body: &'static str) -> Scripted {
    Scripted {
        on: "GET /repos/example/web/issues",
        status,
        headers,
        body,
        done: false,
    }
}

async fn refused(scripted: Scripted) -> GithubError {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), fake::TOKEN).unwrap();
    fake.script(scripted);
    let github = client(&fake, folder.path(), PATIENT);
    github.issues("example/web", Listed::Open).await.unwrap_err()
}

/// Seconds from now, give or take what the test itself takes.
fn ahead(until: Timestamp) -> i64 {
    until.duration_since(clock::now()).as_secs()
}

#[tokio::test]
async fn limits_name_the_time_of_the_next_try() {
    let reset = (clock::now() + SignedDuration::from_secs(1800)).as_second().to_string();
    let spent = |reset: &str| {
        vec![
            ("x-ratelimit-remaining", "0".to_owned()),
            ("x-ratelimit-reset", reset.to_owned()),
        ]
    };
    let after = |seconds: &str| vec![("retry-after", seconds.to_owned())];
    // Status, headers, words, and how many seconds ahead; `None`: not said.
    for (status, headers, words, seconds) in [
        (403, spent(&reset), "API rate limit exceeded for user ID 1.", Some(1800)),
        (429, spent(&reset), "", Some(1800)),
        (403, after("90"), "You have exceeded a secondary rate limit.", Some(90)),
        (429, after("90"), "", Some(90)),
        (403, vec![], "You have exceeded a secondary rate limit.", None),
        (429, vec![], "", None),
        (429, after("soon"), "", None),
        (429, after("999999999999999"), "", Some(24 * 3600)),
        (429, after("-5"), "", Some(0)),
        (403, spent("0"), "", Some(0)),
    ] {
        let error = refused(refusal(status, headers.clone(), words)).await;
        let GithubError::Limited { until, .. } = &error else {
            panic!("{status} {headers:?}: {error:?}")
        };
        assert!(error.retryable() && error.everywhere());
        match (until.map(ahead), seconds) {
            (Some(found), Some(said)) => assert!((said - 60..=said).contains(&found), "{headers:?}: {found}"),
            (found, said) => assert_eq!(found, said, "{headers:?}"),
        }
    }
}

#[tokio::test]
async fn what_each_refusal_means() {
    let mut errors = Vec::new();
    for (status, words) in [
        (401, "Bad credentials"),
        (403, "Resource not accessible by personal access token"),
        (404, "Not Found"),
        (410, "Issues are disabled for this repo"),
        (422, "Validation Failed"),
        (500, "Server Error"),
        (503, "Service Unavailable"),
    ] {
        let error = refused(refusal(status, vec![], words)).await;
        let then = match (error.retryable(), error.operator()) {
            (true, _) => "later",
            (false, true) => "when mended",
            (false, false) => "never",
        };
        errors.push(format!("{status} {then}: {error}"));
    }
    insta::assert_snapshot!(errors.join("\n"), @r"
    401 when mended: GitHub refuses the token: Bad credentials
    403 when mended: the token may not list the issues of example/web: Resource not accessible by personal access token
    404 never: cannot list the issues of example/web: it is not on GitHub, or the token may not see it
    410 never: cannot list the issues of example/web: issues are switched off in that repository
    422 never: GitHub refuses to list the issues of example/web (422): Validation Failed
    500 later: GitHub cannot list the issues of example/web now (500): Server Error
    503 later: GitHub cannot list the issues of example/web now (503): Service Unavailable
    ");
}

#[tokio::test]
async fn while_github_demands_silence_nothing_is_requested() {
    let mut house = House::new().await;
    house.fake.script(refusal(
        403,
        vec![("retry-after", "3600".to_owned())],
        "secondary rate limit",
    ));
    house.night(NEW, tests_failed()).await;
    let sent = house.fake.world().requests.len();
    assert_eq!(sent, 1, "the status is not even tried");
    assert_eq!(house.waiting().await, 2);
    house.deliver().await;
    house.restart().await;
    house.deliver().await;
    assert_eq!(house.fake.world().requests.len(), sent, "also after a restart");
    // The hour has passed.
    house.bot.store.set_mark("github-silent", clock::now()).await.unwrap();
    assert_eq!(house.deliver().await, 1, "the status; the issue has a time of its own");
}

#[tokio::test]
async fn a_wrong_token_waits_for_the_operator() {
    let mut house = House::new().await;
    let token = house.folder.path().join("token");
    std::fs::write(&token, "ghp_wrong").unwrap();
    house.night(NEW, tests_failed()).await;
    assert_eq!(house.waiting().await, 2, "kept");
    assert_eq!(house.fake.world().requests.len(), 1, "one refusal is enough");
    let later = clock::now() + SignedDuration::from_hours(1);
    let blind = house.bot.store.due_notices(later, 50, |_| true).await.unwrap();
    assert_eq!(blind[0].attempts + blind[1].attempts, 1);
    std::fs::remove_file(&token).unwrap();
    house.deliver().await;
    let undelivered = format!("{:?}", house.bot.store.undelivered().await.unwrap());
    assert!(!undelivered.contains("ghp_"), "{undelivered}");
    std::fs::write(&token, fake::TOKEN).unwrap();
    // The status was put off by the missing file, the issue by the wrong token.
    assert_eq!(house.waiting().await, 2);
}

#[tokio::test]
async fn tokens_and_addresses_that_fit_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let made = |api: &str| {
        Github::new(&GithubLogin::Token(SecretRef::File(token.clone())), api, PATIENT)
            .map(|_| ())
            .unwrap_err()
    };
    assert!(matches!(made("https://api.example.org"), GithubError::Secret(_)));
    std::fs::write(&token, "ghp_two\nlines").unwrap();
    let error = made("https://api.example.org");
    assert!(
        error.operator() && !format!("{error:?} {error}").contains("ghp_"),
        "{error:?}"
    );
    std::fs::write(&token, fake::TOKEN).unwrap();
    for api in [
        "http://api.example.org",
        "http://127.0.0.1.example.org",
        "ftp://x",
        "api.example.org",
    ] {
        let error = made(api);
        assert!(matches!(error, GithubError::Unusable { .. }), "{api}: {error:?}");
    }
}

#[tokio::test]
async fn an_enterprise_server_has_its_api_below_a_path() {
    let mut house = House::of(Fake::below("/api/v3").await).await;
    house.night(NEW, tests_failed()).await;
    assert_eq!(house.waiting().await, 0);
    assert_eq!(house.fake.world().issues.len(), 1);
    assert_eq!(house.fake.world().statuses.len(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_or_hangs_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, fake::TOKEN).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    // It takes connections and never answers.
    let github = Github::new(
        &GithubLogin::Token(SecretRef::File(token.clone())),
        &api,
        Duration::from_millis(300),
    )
    .unwrap();
    let error = github.issues("example/web", Listed::Open).await.unwrap_err();
    assert!(error.retryable() && error.everywhere(), "{error:?}");
    drop(listener);
    let github = Github::new(&GithubLogin::Token(SecretRef::File(token.clone())), &api, PATIENT).unwrap();
    let error = github.issues("example/web", Listed::Open).await.unwrap_err();
    assert!(
        matches!(error, GithubError::Unreachable { .. }) && error.retryable(),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_repository_nobody_knows_is_reported_to_the_operators() {
    let mut house = House::of_repo("example/gone").await;
    house.night(NEW, tests_failed()).await;
    assert_eq!(house.waiting().await, 0);
    insta::assert_snapshot!(house.bot.store.undelivered().await.unwrap().join("\n"), @"
    github/run-failed/web/01M7Q5CQG10000000000000001/web/test/test_failed/6f2f22193aae: cannot list the issues of example/gone: it is not on GitHub, or the token may not see it
    github/status/3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e/run-failed/web/01M7Q5CQG10000000000000001/web/test/test_failed/6f2f22193aae: cannot read the statuses of example/gone@3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e3f2a9c1d0e: it is not on GitHub, or the token may not see it
    ");
}
