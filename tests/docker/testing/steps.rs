//! What the tests of an image can come to.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_arrive_tests_pass_and_the_image_starts_as_it_ships() {
    let image = Image::running(
        "if [ -n \"$TESTING_TOOLS\" ]; then wget -qO /tools.sh http://files:8080/tools.sh || exit 1; echo tools arrived; fi; \
         mkdir -p /www; echo \"$NEEDED ${TESTING_TOOLS:-off}\" > /www/mode; exec httpd -f -p 8080 -h /www",
    );
    let mut test = policy(
        http("/mode"),
        vec![
            exec("sh /tools.sh && echo ran the tests"),
            step(StepAction::Restart),
            step(StepAction::Http {
                port: 8080,
                path: "/missing".to_owned(),
                status: 404,
            }),
        ],
    );
    let tools = "mkdir /s; echo 'mkdir -p /data/results; ln -s /data/results /results; echo \"<report><ok><ok>\" > /results/a.xml; echo kept > /results/a.log' > /s/tools.sh; exec httpd -f -p 8080 -h /s";
    test.how = TestSetup::Sidecars(BTreeMap::from([(
        "files".to_owned(),
        sidecar(tools, http("/tools.sh")),
    )]));
    test.junit = Some("/results/*.xml".to_owned());
    test.artefacts = vec!["/data/results".to_owned()];
    let attempt = Attempt::new(Some(test), http("/mode"));

    let tested = attempt.both(&image).await.unwrap();

    let steps: Vec<&str> = tested.steps.iter().map(|s| s.step.as_str()).collect();
    assert_eq!(
        steps,
        [
            "exec sh -c sh /tools.sh && echo ran the tests",
            "restart",
            "GET /missing on port 8080 answers 404"
        ]
    );
    assert_eq!(tested.report.unwrap().passed, 2);
    assert!(attempt.said().contains("tools arrived"), "{}", attempt.said());
    assert!(attempt.said().contains("ran the tests"));
    let log = attempt.work.path().join("test.log");
    assert!(std::fs::read_to_string(&log).unwrap().contains("ran the tests"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let artefact = attempt.work.path().join("artefacts/data/results/a.log");
    assert_eq!(std::fs::read_to_string(artefact).unwrap(), "kept\n");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_tests_are_named() {
    let image = Image::running("exec sleep 1000");
    let script = "mkdir /r; echo '<report><ok><bad>Cart.total</bad>' > /r/x.xml; echo assertion at line 7; exit 3";
    let mut test = policy(up(), vec![exec(script)]);
    test.junit = Some("/r/*.xml".to_owned());
    let attempt = Attempt::new(Some(test), up());
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::TestFailed);
    assert!(
        failure.detail.ends_with("exited with 3; 1 of 2 tests failed"),
        "{failure}"
    );
    assert_eq!(failure.excerpt.first().unwrap(), "failed: Cart.total");
    assert_eq!(failure.excerpt.last().unwrap(), "assertion at line 7");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_believed_over_an_exit_code_of_zero() {
    let image = Image::running("exec sleep 1000");
    for (script, kind) in [
        (
            "mkdir /r; echo '<report><bad>Cart.total</bad>' > /r/x.xml",
            FailureKind::TestFailed,
        ),
        ("mkdir /r; echo 'oops' > /r/x.xml", FailureKind::TestReportInvalid),
        ("mkdir /r; echo '<report>' > /r/x.xml", FailureKind::TestReportInvalid),
        ("true", FailureKind::TestReportInvalid),
    ] {
        let mut test = policy(up(), vec![exec(script)]);
        test.junit = Some("/r/*.xml".to_owned());
        let attempt = Attempt::new(Some(test), up());
        let failure = failure(attempt.both(&image).await);
        assert_eq!(failure.kind, kind, "{script}: {failure}");
        attempt.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_a_step_can_fail_has_its_kind() {
    let image = Image::running("exec sleep 1000");
    let hog = "x=$(head -c 200m /dev/zero | tr '\\0' x); echo $x | wc -c";
    for (script, kind) in [
        (hog, FailureKind::OutOfMemory),
        (
            "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
            FailureKind::TestOutputFlood,
        ),
        ("nosuch", FailureKind::TestFailed),
    ] {
        let attempt = Attempt::new(Some(policy(up(), vec![exec(script)])), up());
        let failure = failure(attempt.both(&image).await);
        assert_eq!(failure.kind, kind, "{script}: {failure}");
        attempt.nothing_is_left();
    }
    let attempt = Attempt::new(
        Some(policy(
            up(),
            vec![step(StepAction::Exec {
                command: vec!["/no/such/script".to_owned()],
            })],
        )),
        up(),
    );
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::TestFailed);
    assert_eq!(failure.detail, "exec /no/such/script: a command was not found (127)");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_ends_during_a_step_is_reported() {
    let image = Image::running("while [ ! -e /stop ]; do usleep 20000; done; echo giving up; exit 9");
    let attempt = Attempt::new(Some(policy(up(), vec![exec("touch /stop; sleep 1000")])), up());
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::ContainerExited, "{failure}");
    assert_eq!(failure.detail, "the container exited with 9 during the tests");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_does_not_end_is_ended() {
    let image = Image::running("exec sleep 1000");
    let mut test = policy(up(), vec![exec("echo begun; sleep 1000")]);
    test.timeout = jiff::SignedDuration::from_secs(2);
    let attempt = Attempt::new(Some(test), up());
    let begun = Instant::now();
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::TestTimeout, "{failure}");
    assert_eq!(failure.excerpt.last().unwrap(), "begun");
    assert!(begun.elapsed() < Duration::from_secs(40));
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_a_start_can_fail_has_its_kind() {
    let hog = "x=$(head -c 200m /dev/zero | tr '\\0' x); echo $x | wc -c; sleep 1000";
    for (image, kind) in [
        (Image::running("echo no config; exit 4"), FailureKind::ContainerExited),
        (Image::build("ENTRYPOINT [\"/nosuch\"]"), FailureKind::ContainerExited),
        (
            Image::running("echo 'curl: (6) Could not resolve host: example.org'; exit 6"),
            FailureKind::MirrorUnreachable,
        ),
        (
            Image::running(&format!(
                "exec sh -c \"{}\"",
                hog.replace('"', "\\\"").replace('$', "\\$")
            )),
            FailureKind::OutOfMemory,
        ),
        (
            Image::running("yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            FailureKind::TestOutputFlood,
        ),
    ] {
        let attempt = Attempt::new(Some(policy(log("never"), Vec::new())), up());
        let failure = failure(attempt.bootstrap(&image).await);
        assert_eq!(failure.kind, kind, "{failure} {:?}", failure.excerpt);
        attempt.nothing_is_left();
    }
}

/// Invariant 8: in steps, logs, excerpts, artefacts and names of tests; of the configuration, the image and a sidecar.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_the_test_environment_are_reported_nowhere() {
    let text =
        "ENV IMAGE_TOKEN=canary-of-the-image\nCMD [\"sh\", \"-c\", \"echo $MYPASSWORD $IMAGE_TOKEN; exec sleep 1000\"]";
    let image = Image::build(text);
    // In pieces, as a program with a small buffer writes it.
    let step = "echo step $MYPASSWORD; printf %s \"${MYPASSWORD%-test}\"; sleep 0.3; echo -test; mkdir /r; \
        echo \"<report><ok><bad>Case $MYPASSWORD</bad>\" > /r/x.xml; echo \"kept $MYPASSWORD $IMAGE_TOKEN\" > /r/a.log; exit 3";
    let mut test = policy(up(), vec![exec(step)]);
    test.env.insert("MYPASSWORD".to_owned(), "canary-of-the-test".into());
    test.junit = Some("/r/*.xml".to_owned());
    test.artefacts = vec!["/r/a.log".to_owned()];
    let mut db = sidecar("echo $DB_PASS; exec sleep 1000", up());
    db.env.insert("DB_PASS".to_owned(), "canary-of-the-sidecar".into());
    test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
    let attempt = Attempt::new(Some(test), up());

    let effect = attempt.bootstrap(&image).await.unwrap();
    let failure = failure(attempt.test(&effect).await);

    assert_eq!(failure.kind, FailureKind::TestFailed, "{failure}");
    let mut texts = vec![failure.to_string(), failure.excerpt.join("\n"), attempt.said()];
    for file in ["bootstrap.log", "test.log", "artefacts/r/a.log", "artefacts/r/x.xml"] {
        texts.push(std::fs::read_to_string(attempt.work.path().join(file)).unwrap());
    }
    for text in &texts {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("of-the"), "{text}");
    }
    assert!(texts[1..].iter().all(|text| text.contains("[hidden]")), "{texts:?}");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_fills_the_disk_is_stopped_at_its_limit() {
    let image = Image::running("exec sleep 1000");
    let fill = "dd if=/dev/zero of=/big bs=1M count=8 && exec sleep 1000";
    let mut test = policy(up(), vec![exec(fill)]);
    test.limits.disk = 4 << 20;
    let attempt = Attempt::new(Some(test), up());
    let effect = attempt.bootstrap(&image).await.unwrap();
    let failure = failure(attempt.test(&effect).await);
    assert_eq!(failure.kind, FailureKind::TestDiskFlood, "{failure}");
    assert!(failure.detail.ends_with("4194304 are allowed"), "{failure}");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_is_reported_of_an_engine_that_shares_our_disk() {
    let free = engine().free_space(&ProbePath::HostView).await.unwrap();
    assert!(free.is_some_and(|bytes| bytes > 0), "{free:?}");
}
