//! Images that are no services: programs that end, bases that have nothing to start.

use super::*;
use lowtide::report::words;

fn exit(code: u8) -> ReadyCheck {
    ReadyCheck::Exit { code }
}

fn shipped(image: &Image, starts: bool) -> Test {
    Test {
        image: image.id.parse().unwrap(),
        round: 0,
        bootstrapped: None,
        production: if starts {
            Production::Start
        } else {
            Production::HasNoCommand
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_ready_by_its_exit_code() {
    let image = Image::running("echo usage: tool FILE; exit 2");
    let attempt = Attempt::new(None, exit(2));
    let tested = attempt.test(&shipped(&image, true)).await.unwrap();
    assert!(tested.production_ready_ms.is_some());
    assert!(attempt.said().contains("usage: tool FILE"), "{}", attempt.said());
    attempt.nothing_is_left();

    let attempt = Attempt::new(None, exit(0));
    let failure = failure(attempt.test(&shipped(&image, true)).await);
    assert_eq!(failure.kind, FailureKind::NotReadyInProduction);
    assert_eq!(
        failure.detail,
        "the container without the testing tools exited with code 2, not 0"
    );
    assert_eq!(failure.excerpt, ["usage: tool FILE"]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_end_is_late() {
    let image = Image::running("exec sleep 1000");
    let mut attempt = Attempt::new(None, exit(0));
    attempt.app.ready.timeout = jiff::SignedDuration::from_secs(1);
    let failure = failure(attempt.test(&shipped(&image, true)).await);
    assert_eq!(failure.kind, FailureKind::NotReadyInProduction);
    assert!(failure.detail.contains("was not ready within 1 s"), "{failure}");
    attempt.nothing_is_left();
}

/// The image's own command is the test, with what it wrote taken out of the ended container.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_command_is_the_test() {
    let image = Image::build(&format!(
        "RUN busybox mkdir /results\nCMD {}",
        json!([
            "sh",
            "-c",
            "[ -n \"$TESTING_TOOLS\" ] || exit 64; echo '<report><ok>a<ok>b' >/results/a.xml"
        ])
    ));
    let mut test = policy(exit(0), Vec::new());
    test.junit = Some("/results/*.xml".to_owned());
    test.how = TestSetup::Sidecars(BTreeMap::from([
        ("seed".to_owned(), sidecar("echo seeded", exit(0))),
        ("db".to_owned(), sidecar("exec sleep 1000", up())),
    ]));
    let attempt = Attempt::new(Some(test), exit(64));
    let tested = attempt.both(&image).await.unwrap();
    assert_eq!(tested.report.unwrap().passed, 2);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_to_start_is_said_at_once() {
    let image = Image::build("");
    let attempt = Attempt::new(Some(policy(up(), Vec::new())), up());
    let bootstrapped = failure(attempt.bootstrap(&image).await);
    assert_eq!(bootstrapped.kind, FailureKind::NothingToStart, "{bootstrapped}");
    attempt.nothing_is_left();
    let shipped = failure(attempt.test(&shipped(&image, true)).await);
    assert_eq!(shipped.kind, FailureKind::NothingToStart, "{shipped}");
    attempt.nothing_is_left();
}

/// A compose file may bring the command that a base has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_is_not_started_as_it_ships() {
    let image = Image::build("");
    let mut test = policy(up(), vec![exec("true")]);
    test.how = TestSetup::Compose(ComposeTest::default());
    let attempt = Attempt::new(Some(test), up());
    let compose = json!({"services": {"web": {"build": ".", "command": ["sleep", "1000"]}}});
    attempt.write("compose.yml", &compose.to_string());
    let mut effect = attempt.bootstrap(&image).await.unwrap();
    effect.production = Production::HasNoCommand;
    let tested = attempt.test(&effect).await.unwrap();
    assert_eq!((tested.steps.len(), tested.production_ready_ms), (1, None));
    assert!(attempt.said().contains(words::NOT_STARTED), "{}", attempt.said());
    attempt.nothing_is_left();
}
