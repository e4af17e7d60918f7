//! The pieces by themselves: sweeps, readiness, probes, commands, files.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_takes_only_what_carries_all_its_labels() {
    let (ours, theirs) = (unique("ours"), unique("theirs"));
    let run = |instance: &str| {
        let label = format!("io.lowtide.instance={instance}");
        docker(&["network", "create", "--label", &label, &unique("net")], "");
        docker(&["volume", "create", "--label", &label], "");
        docker(&["run", "-d", "--label", &label, BASE, "sleep", "1000"], "")
    };
    let (own, other) = (run(&ours), run(&theirs));
    let selector = |instance: &str| vec![("io.lowtide.instance".to_owned(), instance.to_owned())];
    let swept = engine().sweep(&selector(&ours)).await.unwrap();
    assert_eq!((swept.containers, swept.networks, swept.volumes), (1, 1, 1));
    assert!(engine().look(&own).await.is_err());
    assert!(engine().look(&other).await.is_ok());
    assert_eq!(engine().sweep(&selector(&ours)).await.unwrap().containers, 0);
    assert!(engine().sweep(&[]).await.is_err(), "a sweep of everything is refused");
    engine().sweep(&selector(&theirs)).await.unwrap();
}

/// As `dockerd --mtu` says. Docker itself gives other networks 1500 bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_of_a_test_has_the_mtu_of_the_default_one() {
    let labels = BTreeMap::from([("io.lowtide.instance".to_owned(), unique("mtu"))]);
    let (engine, name) = (engine(), unique("mtu"));
    let id = engine
        .create_network(&name, TestNetwork::Egress, &labels)
        .await
        .unwrap();
    let option = "{{index .Options \"com.docker.network.driver.mtu\"}}";
    let mtu = |network: &str| docker(&["network", "inspect", "--format", option, network], "");
    let (ours, default) = (mtu(&id), mtu("bridge"));
    engine.remove_network(&id).await.unwrap();
    assert!(
        !default.trim().is_empty(),
        "the engine under test is started with --mtu"
    );
    assert_eq!(ours, default);
}

/// A container made by someone else; gone with the test.
struct Foreign(String);

impl Foreign {
    fn run(arguments: &[&str], command: &[&str]) -> Self {
        Self(docker(&[&["run", "-d"], arguments, command].concat(), ""))
    }
    async fn ready(&self, check: ReadyCheck, seconds: i64, via: &ProbePath) -> ReadyVerdict {
        let rule = within(check, jiff::SignedDuration::from_secs(seconds));
        let limit = rule.timeout.unsigned_abs();
        engine()
            .ready(&self.0, &rule, limit, via, &CancellationToken::new(), &mut |_| {})
            .await
            .unwrap()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-fv", &self.0]).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_is_seen_at_once() {
    let looping = Foreign::run(&["--restart", "always"], &[BASE, "false"]);
    let begun = Instant::now();
    let steady = ReadyCheck::Steady {
        stay_up: jiff::SignedDuration::from_secs(50),
    };
    let verdict = looping.ready(steady, 55, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Restarting { .. }), "{verdict:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_are_reported() {
    let healthy = Foreign::run(
        &[
            "--health-cmd",
            "test -e /ok",
            "--health-interval",
            "200ms",
            "--health-retries",
            "100",
        ],
        &[BASE, "sh", "-c", "usleep 300000; touch /ok; sleep 1000"],
    );
    let verdict = healthy.ready(up(), 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");

    let sick = Foreign::run(
        &[
            "--health-cmd",
            "echo no database; false",
            "--health-interval",
            "200ms",
            "--health-retries",
            "1",
        ],
        &[BASE, "sleep", "1000"],
    );
    let verdict = sick.ready(ReadyCheck::Healthcheck, 50, &ProbePath::HostView).await;
    assert_eq!(
        verdict,
        ReadyVerdict::Unhealthy {
            last: "no database".to_owned()
        }
    );

    let none = Foreign::run(&[], &[BASE, "sleep", "1000"]);
    let verdict = none.ready(ReadyCheck::Healthcheck, 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Unhealthy { .. }), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_by_command_and_by_log_with_a_terminal() {
    let container = Foreign::run(
        &["-t"],
        &[
            BASE,
            "sh",
            "-c",
            "usleep 300000; touch /ok; echo ready to serve; sleep 1000",
        ],
    );
    let command = ["sh", "-c", "test -e /ok"].map(ToOwned::to_owned).to_vec();
    let verdict = container
        .ready(ReadyCheck::Exec { command }, 50, &ProbePath::HostView)
        .await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let verdict = container.ready(log("ready to serve$"), 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let verdict = container.ready(log("someone else"), 1, &ProbePath::HostView).await;
    assert_eq!(
        verdict,
        ReadyVerdict::TimedOut {
            last: "no line of its log matches someone else".to_owned()
        }
    );
}

/// An engine truncates a log with one file under its reader, and ends the stream then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_found_though_the_log_was_rotated_while_it_was_read() {
    let script = "n=0; while [ $n -lt 30 ]; do yes starting | head -n 20000; n=$((n+1)); done; echo ready; sleep 1000";
    let container = Foreign::run(
        &["--log-opt", "max-size=40k", "--log-opt", "max-file=1"],
        &[BASE, "sh", "-c", script],
    );
    let verdict = container.ready(log("^ready$"), 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_can_join_the_container() {
    // Stands in for lowtide's own image: the same words, the same answer.
    let image = Image::build(
        "RUN printf '#!/bin/sh\\nwget -S -O /dev/null http://127.0.0.1:$2$3 2>&1 | grep -o \"HTTP/1.[01] [0-9]*\" | tail -n 1 | cut -d \" \" -f 2 | grep .\\n' > /bin/lowtide && chmod +x /bin/lowtide",
    );
    let instance = unique("probe");
    let labels = BTreeMap::from([("io.lowtide.instance".to_owned(), instance.clone())]);
    let via = ProbePath::InContainer {
        image: image.tag.clone(),
        labels,
    };
    let server = Foreign::run(
        &[],
        &[
            BASE,
            "sh",
            "-c",
            "usleep 300000; mkdir /s; echo x > /s/x; httpd -f -p 127.0.0.1:8080 -h /s",
        ],
    );
    let verdict = server.ready(http("/x"), 55, &via).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let status = engine()
        .http_beside(&server.0, 8080, "/none", &via, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(status, Ok(404));
    let filter = format!("label=io.lowtide.instance={instance}");
    assert_eq!(docker(&["ps", "-aq", "--filter", &filter], ""), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_in_somebody_elses_container_is_ended_alone() {
    let container = Foreign::run(&[], &[BASE, "sleep", "1000"]);
    let command = ["sh", "-c", "sleep 999 & sleep 998"].map(ToOwned::to_owned);
    let bounds = ExecBounds {
        time: Duration::from_secs(1),
        output: 1 << 20,
        on_limit: OnLimit::KillCommand,
    };
    let cancel = CancellationToken::new();
    let end = engine()
        .exec(&container.0, &command, bounds, &cancel, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(end, ExecEnd::TimedOut);
    let running = docker(&["top", &container.0], "");
    assert!(running.contains("sleep 1000"), "{running}");
    assert!(!running.contains("sleep 99"), "{running}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_left_by_a_command_does_not_hold_it_up() {
    let container = Foreign::run(&[], &[BASE, "sleep", "1000"]);
    let command = ["sh", "-c", "sleep 999 & echo started; exit 5"].map(ToOwned::to_owned);
    let bounds = ExecBounds {
        time: Duration::from_secs(50),
        output: 1 << 20,
        on_limit: OnLimit::KillCommand,
    };
    let mut output = Vec::new();
    let end = engine()
        .exec(&container.0, &command, bounds, &CancellationToken::new(), &mut |b| {
            output.extend_from_slice(b);
        })
        .await
        .unwrap();
    assert_eq!(end, ExecEnd::Exited { code: 5 });
    assert_eq!(output, b"started\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_read_within_bounds() {
    let container = Foreign::run(
        &[],
        &[
            BASE,
            "sh",
            "-c",
            "mkdir -p /a/b; echo 1 > /a/x.xml; echo 2 > /a/b/y.xml; ln -s /etc/passwd /a/z.xml; ln -s /a /link; head -c 2m /dev/zero > /a/big; echo done; sleep 1000",
        ],
    );
    let verdict = container.ready(log("^done$"), 50, &ProbePath::HostView).await;
    assert!(matches!(verdict, ReadyVerdict::Ready { .. }), "{verdict:?}");
    let bounds = |stream| ArchiveBounds { stream, files: 10 };
    let engine = engine();
    let mut table = Vec::new();
    for pattern in [
        "/a/*.xml",
        "/link/*.xml",
        "/a/**/*.xml",
        "/a/x.xml",
        "/a/b",
        "/none/*.xml",
        "/none",
    ] {
        let files = engine.files(&container.0, pattern, bounds(8 << 20)).await.unwrap();
        let mut names: Vec<String> = files.into_iter().map(|f| f.path).collect();
        if names.is_empty() {
            names.push("none".to_owned());
        }
        table.push(format!("{pattern}: {}", names.join(" ")));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    /a/*.xml: /a/x.xml
    /link/*.xml: /link/x.xml
    /a/**/*.xml: /a/b/y.xml /a/x.xml
    /a/x.xml: /a/x.xml
    /a/b: /a/b/y.xml
    /none/*.xml: none
    /none: none
    ");
    assert!(engine.files(&container.0, "/a/*.xml", bounds(1 << 20)).await.is_err());
}
