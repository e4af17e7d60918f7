//! Health checks that fail at first: while the testing tools arrive, that says nothing.

use super::*;
use std::collections::BTreeMap;

const SECOND: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// Its health check fails ten times, then passes: far longer than its own settings allow.
fn slow(health: &str, besides: &str) -> Image {
    let check = "echo .>>/tmp/n; [ $(wc -l </tmp/n) -gt 10 ] && exit 0; echo no database; exit 1";
    Image::build(&format!(
        "RUN busybox ln -s busybox /bin/wc\nHEALTHCHECK --interval=200ms --retries=1 {health} CMD {besides}{check}\nCMD echo begun; exec sleep 1000"
    ))
}

fn inspected(container: &str, field: &str) -> Value {
    let format = format!("{{{{json {field}}}}}");
    serde_json::from_str(&docker(&["inspect", "--format", &format, container], "")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_unhealthy_does_not_end_the_time_for_the_testing_tools() {
    // In production mode it is healthy at once.
    let image = slow("", "[ -n \"$TESTING_TOOLS\" ] || exit 0; ");
    let attempt = Attempt::new(
        Some(policy(ReadyCheck::Healthcheck, Vec::new())),
        ReadyCheck::Healthcheck,
    );
    let effect = attempt.bootstrap(&image).await.unwrap();
    let container = effect.bootstrapped.as_ref().unwrap().container.clone();
    // The image's own settings but for the start period, which is the time that the configuration gives.
    let (own, given) = (
        inspected(&image.id, ".Config.Healthcheck"),
        inspected(&container, ".Config.Healthcheck"),
    );
    assert_eq!(own["Interval"], 200_000_000);
    for setting in ["Test", "Interval", "Retries", "Timeout"] {
        assert_eq!(given[setting], own[setting], "{setting}");
    }
    assert_eq!(given["StartPeriod"], 60_000_000_000_u64);
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();
}

/// Nothing is changed of what ships: there the same check is what a rollout would see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_it_ships_the_images_own_settings_decide() {
    let image = slow("", "");
    let attempt = Attempt::new(Some(policy(up(), Vec::new())), ReadyCheck::Healthcheck);
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::NotReadyInProduction, "{failure}");
    assert_eq!(
        failure.detail,
        "the container without the testing tools is unhealthy: no database"
    );
    assert_eq!(failure.excerpt, ["begun", "health check (exit code 1): no database"]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_never_passes_is_reported_with_its_last_words() {
    let image = Image::build(
        "HEALTHCHECK --interval=200ms --retries=1 CMD echo no database; exit 1\nCMD echo begun; exec sleep 1000",
    );
    let mut test = policy(ReadyCheck::Healthcheck, Vec::new());
    // Long enough for one check on a slow machine.
    test.ready.timeout = SECOND * 5;
    let attempt = Attempt::new(Some(test), up());
    let failure = failure(attempt.bootstrap(&image).await);
    assert_eq!(failure.kind, FailureKind::NotReady, "{failure}");
    assert_eq!(failure.excerpt, ["begun", "health check (exit code 1): no database"]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_start_period_of_its_own_is_waited_for_in_both_modes() {
    let image = slow("--start-period=1m", "");
    let mut test = policy(ReadyCheck::Healthcheck, vec![step(StepAction::Restart)]);
    test.ready.timeout = SECOND;
    let mut attempt = Attempt::new(Some(test), ReadyCheck::Healthcheck);
    attempt.app.ready.timeout = SECOND;
    let effect = attempt.bootstrap(&image).await.unwrap();
    let container = effect.bootstrapped.as_ref().unwrap().container.clone();
    assert_eq!(
        inspected(&container, ".Config.Healthcheck.StartPeriod"),
        60_000_000_000_u64
    );
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_may_take_its_time_as_well() {
    let slow = slow("", "");
    let image = Image::running("exec sleep 1000");
    let mut test = policy(up(), Vec::new());
    let sidecar = Sidecar {
        image: slow.tag.parse().unwrap(),
        env: BTreeMap::new(),
        command: Vec::new(),
        ready: within(ReadyCheck::Healthcheck, PATIENCE),
    };
    test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), sidecar)]));
    let attempt = Attempt::new(Some(test), up());
    attempt.both(&image).await.unwrap();
    attempt.nothing_is_left();
}
