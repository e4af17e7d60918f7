//! A tester beside the image, and steps in other containers than the one under test.

use super::*;

/// Serves `page`, with a change of it in reach of steps.
const SERVER: &str = "mkdir -p /www; echo page > /www/index.html; exec httpd -f -p 8080 -h /www";

fn tester(script: &str) -> Tester {
    Tester {
        from: TesterFrom::Image(BASE.parse().unwrap()),
        command: ["sh", "-c", script].map(ToOwned::to_owned).to_vec(),
        env: BTreeMap::from([("PAGE".to_owned(), "page".into())]),
        junit: None,
        artefacts: Vec::new(),
        timeout: None,
    }
}

fn tested_by(tester: Tester, steps: Vec<TestStep>) -> Attempt {
    let mut test = policy(http("/"), steps);
    test.tester = Some(tester);
    Attempt::new(Some(test), up())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tester_reaches_the_image_and_its_end_is_the_verdict() {
    let image = Image::running(SERVER);
    let script = "mkdir -p /r/shots; echo '<report><ok><ok>' > /r/a.xml; printf '\\211PNG' > /r/shots/a.png; \
                  test -z \"$TESTING_TOOLS\" && wget -qO - http://web:8080/ | grep \"$PAGE\"";
    let mut outside = tester(script);
    outside.junit = Some("/r/*.xml".to_owned());
    outside.artefacts = vec!["/r/shots".to_owned()];
    let attempt = tested_by(outside, vec![exec("grep page /www/index.html")]);
    let effect = attempt.bootstrap(&image).await.unwrap();
    assert_eq!(attempt.left().len(), 3, "the image, its tester, their network");
    let tested = attempt.test(&effect).await.unwrap();
    let steps: Vec<&str> = tested.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["exec sh -c grep page /www/index.html", "the tester"]);
    assert_eq!(tested.report.unwrap().passed, 2);
    let kept = attempt.work.path().join("artefacts/tester/r");
    assert_eq!(std::fs::read(kept.join("shots/a.png")).unwrap(), b"\x89PNG");
    assert!(kept.join("a.xml").is_file());
    attempt.nothing_is_left();
}

/// A real browser runs the page's script, and its screenshot is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_tests_a_page_and_leaves_a_screenshot() {
    let page =
        "<h1>Tide table</h1><p id=a></p><script>document.getElementById(\"a\").textContent=\"low at \"+(3+4)</script>";
    let image = Image::running(&format!(
        "mkdir -p /www; echo '{page}' > /www/index.html; exec httpd -f -p 8080 -h /www"
    ));
    let browser = "chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=640,400";
    let script = format!(
        "mkdir -p /e2e/screenshots; {browser} --screenshot=/e2e/screenshots/page.png http://web:8080/ && \
         {browser} --dump-dom http://web:8080/ | grep 'low at 7'"
    );
    let mut outside = tester(&script);
    outside.from = TesterFrom::Image("lowtide-test/chromium:1".parse().unwrap());
    outside.artefacts = vec!["/e2e/screenshots".to_owned()];
    let mut test = policy(http("/"), Vec::new());
    test.limits.memory = 1 << 30;
    test.limits.pids = 512;
    test.tester = Some(outside);
    let attempt = Attempt::new(Some(test), up());
    attempt.both(&image).await.unwrap();
    let screenshot = attempt.work.path().join("artefacts/tester/e2e/screenshots/page.png");
    let screenshot = std::fs::read(screenshot).unwrap();
    // PNG, section 11.2.2: the width and the height of the image are the first of its header.
    assert_eq!(&screenshot[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(&screenshot[16..24], [0, 0, 2, 128, 0, 0, 1, 144]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tester_that_fails_says_why() {
    let image = Image::running(SERVER);
    let mut named = tester("mkdir /r; echo '<report><ok><bad>Cart.total</bad>' > /r/a.xml; echo last words; exit 3");
    named.junit = Some("/r/*.xml".to_owned());
    named.artefacts = vec!["/r/a.xml".to_owned()];
    let attempt = tested_by(named, Vec::new());
    let named = failure(attempt.both(&image).await);
    assert_eq!(named.kind, FailureKind::TestFailed);
    assert_eq!(named.detail, "the tester exited with 3; 1 of 2 tests failed");
    assert_eq!(named.excerpt, ["failed: Cart.total", "--- the tester", "last words"]);
    assert!(attempt.work.path().join("artefacts/tester/r/a.xml").is_file());
    attempt.nothing_is_left();

    let mut slow = tester("exec sleep 1000");
    slow.timeout = Some(jiff::SignedDuration::from_secs(2));
    let mut gone = tester("true");
    gone.command = vec!["/no/such/program".to_owned()];
    let mut away = tester("true");
    away.from = TesterFrom::Image("127.0.0.1:1/no/such:image".parse().unwrap());
    let mut reported = tester("mkdir /r; echo '<report><bad>A.b</bad>' > /r/a.xml");
    reported.junit = Some("/r/a.xml".to_owned());
    for (tester, kind, detail) in [
        (slow, FailureKind::TestTimeout, "the tester did not end within 2 s"),
        (gone, FailureKind::TestFailed, "the tester did not start: "),
        (
            away,
            FailureKind::RegistryUnreachable,
            "the image 127.0.0.1:1/no/such:image of the tester cannot be had",
        ),
        (
            reported,
            FailureKind::TestFailed,
            "the tester exited with 0; 1 of 1 tests failed",
        ),
        (
            tester("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"),
            FailureKind::TestOutputFlood,
            "the tester ",
        ),
        // What it tests has ended: its own failure only follows from that.
        (
            tester("wget -qO - http://web:8080/cgi-bin/stop; sleep 1; exit 1"),
            FailureKind::ContainerExited,
            "the container exited with 9 during the tests",
        ),
    ] {
        let script = "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\ntouch /stop\\n' > /www/cgi-bin/stop; chmod +x /www/cgi-bin/stop; \
                      httpd -p 8080 -h /www; while [ ! -e /stop ]; do usleep 20000; done; exit 9";
        let image = Image::running(&format!("mkdir -p /www; echo page > /www/index.html; {script}"));
        let attempt = tested_by(tester, Vec::new());
        let failure = failure(attempt.both(&image).await);
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.detail.starts_with(detail), "{failure}");
        attempt.nothing_is_left();
    }
}

/// A service of the file is the tester: with its files, and without being started before the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_the_stack_is_the_tester() {
    let image = Image::running(SERVER);
    let stack = r#"
services:
  web: { build: ., depends_on: { db: { condition: service_healthy } } }
  db: { image: lowtide-test/busybox:1, command: sh -c 'touch /up && exec sleep 1000', healthcheck: { test: test -e /up, interval: 200ms, retries: 50 } }
  e2e:
    image: lowtide-test/busybox:1
    profiles: [test]
    depends_on: { web: { condition: service_healthy, required: true }, db: }
    volumes: ["./e2e:/e2e:ro"]
    working_dir: /e2e
    command: [sh, run.sh]
"#;
    let mut test = policy(http("/"), Vec::new());
    test.how = TestSetup::Compose(ComposeTest::default());
    let mut outside = tester("");
    outside.from = TesterFrom::Service("e2e".to_owned());
    outside.command = Vec::new();
    test.tester = Some(outside);
    let mut attempt = Attempt::new(Some(test), up());
    attempt.write("compose.yml", stack);
    attempt.write(
        "e2e/run.sh",
        "wget -qO - http://web:8080/ | grep \"$PAGE\" && echo seen from outside\n",
    );
    let effect = attempt.bootstrap(&image).await.unwrap();
    let bootstrapped = effect.bootstrapped.clone().unwrap();
    assert_eq!(bootstrapped.services.keys().collect::<Vec<_>>(), ["db", "web"]);
    let started = docker(
        &[
            "inspect",
            "-f",
            "{{.State.Status}}",
            bootstrapped.tester.as_deref().unwrap(),
        ],
        "",
    );
    assert_eq!(started, "created");
    attempt.test(&effect).await.unwrap();
    assert!(attempt.said().contains("seen from outside"), "{}", attempt.said());
    attempt.nothing_is_left();

    for (service, stack, why) in [
        (
            "gone",
            stack.to_owned(),
            "services: the tester, gone, is not there; there are web, db, e2e",
        ),
        (
            "e2e",
            stack.replace("build: ., depends_on: {", "build: ., depends_on: { e2e: ,"),
            "compose.yml:3: services.web.depends_on.e2e: needs the tester, which is started last",
        ),
    ] {
        attempt.write("compose.yml", &stack);
        let tester = attempt.app.tests[0].tester.as_mut().unwrap();
        tester.from = TesterFrom::Service(service.to_owned());
        let failure = failure(attempt.bootstrap(&image).await);
        assert_eq!(
            (failure.kind, failure.detail.as_str()),
            (FailureKind::ComposeRefused, why)
        );
        attempt.nothing_is_left();
    }
}

/// A tester from an image takes no name and no file from a service that is called like it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_be_called_tester() {
    let image = Image::running(SERVER);
    let stack = r#"
services:
  web: { build: . }
  tester: { image: lowtide-test/busybox:1, command: httpd -f -p 80 -h /site, volumes: ["./site:/site", "./one.txt:/one.txt"] }
"#;
    let mut test = policy(http("/"), Vec::new());
    test.how = TestSetup::Compose(ComposeTest::default());
    test.tester = Some(tester(
        "wget -qO - http://tester/x | grep site && wget -qO - http://web:8080/ && test ! -e /one.txt",
    ));
    let attempt = Attempt::new(Some(test), up());
    attempt.write("compose.yml", stack);
    attempt.write("site/x", "site\n");
    attempt.write("one.txt", "one\n");
    let effect = attempt.bootstrap(&image).await.unwrap();
    attempt.test(&effect).await.unwrap();
    attempt.nothing_is_left();
}

fn of(service: &str, step: TestStep) -> TestStep {
    TestStep {
        service: Some(service.to_owned()),
        ..step
    }
}

fn copy_in(from: &str, to: &str) -> TestStep {
    step(StepAction::CopyIn {
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

fn copy_out(from: &str, to: &str) -> TestStep {
    step(StepAction::CopyOut {
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_reach_sidecars_wait_and_copy() {
    let image = Image::running("exec sleep 1000");
    let steps = vec![
        copy_in("seed.sql", "/tmp/"),
        copy_in("fixtures", "/srv/new/deep"),
        of("db", copy_in("fixtures", "/tmp")),
        exec("grep 1 /tmp/seed.sql && test -x /srv/new/deep/run.sh && grep one /srv/new/deep/sub/one.txt"),
        // The folder that was there keeps its mode.
        of(
            "db",
            exec("grep one /tmp/sub/one.txt && test \"$(stat -c %a /tmp)\" = 1777 && touch /loaded"),
        ),
        of(
            "db",
            step(StepAction::Wait(within(
                ReadyCheck::Exec {
                    command: ["sh", "-c", "test -e /loaded"].map(ToOwned::to_owned).to_vec(),
                },
                PATIENCE,
            ))),
        ),
        of("db", step(StepAction::Restart)),
        of(
            "db",
            step(StepAction::Http {
                port: 80,
                path: "/sub/one.txt".to_owned(),
                status: 200,
            }),
        ),
        of("db", copy_out("/tmp/sub/one.txt", "db/first.txt")),
        copy_out("/srv/new/**/*.txt", "all"),
    ];
    let mut test = policy(up(), steps);
    let db = sidecar("chmod 1777 /tmp; exec httpd -f -p 80 -h /tmp", up());
    test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
    let attempt = Attempt::new(Some(test), up());
    attempt.write("seed.sql", "1\n");
    attempt.write("fixtures/sub/one.txt", "one\n");
    attempt.write("fixtures/run.sh", "");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(attempt.tree.path().join("fixtures/run.sh"), executable).unwrap();
    attempt.both(&image).await.unwrap();
    for kept in ["db/first.txt", "all/deep/sub/one.txt"] {
        let path = attempt.work.path().join("artefacts").join(kept);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\n", "{kept}");
    }
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_cannot_be_done_is_named() {
    let image = Image::running("exec sleep 1000");
    let second = Some(jiff::SignedDuration::from_secs(1));
    let limited = |step: TestStep| TestStep {
        timeout: second,
        ..step
    };
    let never = || {
        step(StepAction::Wait(within(
            ReadyCheck::Exec {
                command: ["sh", "-c", "exit 1"].map(ToOwned::to_owned).to_vec(),
            },
            PATIENCE,
        )))
    };
    for (step, kind, detail) in [
        (
            limited(exec("sleep 1000")),
            FailureKind::TestTimeout,
            "exec sh -c sleep 1000: this step may take 1 s",
        ),
        (
            limited(never()),
            FailureKind::TestTimeout,
            "wait for the container: this step may take 1 s",
        ),
        (
            limited(of("db", never())),
            FailureKind::TestTimeout,
            "wait for db: this step may take 1 s",
        ),
        (
            of("db", exec("exit 5")),
            FailureKind::TestFailed,
            "exec sh -c exit 5 in db exited with 5",
        ),
        (
            of("db", exec("touch /stop; sleep 1000")),
            FailureKind::SidecarFailed,
            "sidecar db exited with 7 during the tests",
        ),
        (
            copy_in("gone.sql", "/x"),
            FailureKind::TestFailed,
            "a step copies gone.sql, which is not in the commit",
        ),
        (
            of("db", copy_out("/none/*.log", "x")),
            FailureKind::TestFailed,
            "copy db:/none/*.log to the artefacts, as x: no file matches /none/*.log",
        ),
    ] {
        let mut test = policy(up(), vec![step]);
        let db = sidecar("while [ ! -e /stop ]; do usleep 20000; done; exit 7", up());
        test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
        let attempt = Attempt::new(Some(test), up());
        let failure = failure(attempt.both(&image).await);
        assert_eq!((failure.kind, failure.detail.as_str()), (kind, detail));
        attempt.nothing_is_left();
    }
}
