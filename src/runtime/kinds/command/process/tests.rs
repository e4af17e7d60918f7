use super::*;
use tokio::io::unix::AsyncFd;

async fn sh(script: &str, limit: Duration, stop: &CancellationToken) -> (Ended, Vec<String>) {
    let argv = ["sh", "-c", script].map(str::to_owned);
    let path = std::env::var_os("PATH").unwrap();
    let env = BTreeMap::from([("PATH".into(), path), ("NAMED".into(), "value".into())]);
    let program = Program {
        argv: &argv,
        env: &env,
        timeout: limit,
        command_lock: None,
    };
    let mut lines = Vec::new();
    let ended = run(program, &mut |line| lines.push(line.to_owned()), stop).await;
    (ended.unwrap(), lines)
}

const LONG: Duration = Duration::from_mins(5);

/// Whoever reaps it: an ended process is readable (pidfd_open(2)).
async fn vanishes(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK) else {
        return;
    };
    #[allow(
        deprecated,
        reason = "its successor is unsafe to call; an owned descriptor is what it asks for"
    )]
    let process = AsyncFd::new(process).unwrap();
    let ended = tokio::time::timeout(LONG, process.readable()).await;
    assert!(ended.is_ok(), "process {pid:?} still runs");
}

#[tokio::test]
async fn its_end_and_its_words_are_reported() {
    let never = CancellationToken::new();
    let (ended, lines) = sh("echo one; echo two >&2; printf three; exit 75", LONG, &never).await;
    assert_eq!(ended.end, End::Exited { code: 75 });
    assert_eq!(ended.output, ["one", "two", "three"]);
    assert_eq!(lines, ended.output);
    let (ended, _) = sh("kill -USR1 $$", LONG, &never).await;
    assert_eq!(ended.end, End::Signalled { signal: 10 });
}

#[tokio::test]
async fn it_has_the_environment_it_is_given_and_no_more() {
    let never = CancellationToken::new();
    let (ended, _) = sh(
        "env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= -e ^OLDPWD= -e ^PATH=; pwd; cat",
        LONG,
        &never,
    )
    .await;
    assert_eq!(ended.output, ["NAMED=value", "/"]);
}

#[tokio::test]
async fn what_hangs_is_ended_with_its_children() {
    let never = CancellationToken::new();
    // The inner shell ignores TERM, and its output stays open.
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait";
    let (ended, lines) = sh(script, Duration::from_secs(2), &never).await;
    assert_eq!(ended.end, End::TimedOut);
    vanishes(&lines[0]).await;
}

#[tokio::test]
async fn what_is_stopped_may_put_things_in_order() {
    let stop = CancellationToken::new();
    let script = "trap 'echo in order; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
    let argv = ["sh", "-c", script].map(str::to_owned);
    let env = BTreeMap::from([("PATH".into(), std::env::var_os("PATH").unwrap())]);
    let program = Program {
        argv: &argv,
        env: &env,
        timeout: LONG,
        command_lock: None,
    };
    let ender = stop.clone();
    let mut say = move |line: &str| {
        if line == "begun" {
            ender.cancel();
        }
    };
    let ended = run(program, &mut say, &stop).await.unwrap();
    assert_eq!(ended.end, End::Stopped);
    // The shell may have something to say of its own child.
    assert_eq!(ended.output.last().map(String::as_str), Some("in order"));
}

#[tokio::test]
async fn what_is_left_running_holds_nothing_up_and_goes_only_with_a_failure() {
    let never = CancellationToken::new();
    let (ended, lines) = sh("sleep 600 & echo $!", LONG, &never).await;
    assert_eq!(ended.end, End::Exited { code: 0 });
    let pid = Pid::from_raw(lines[0].parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let (ended, lines) = sh("sleep 600 & echo $!; exit 1", LONG, &never).await;
    assert_eq!(ended.end, End::Exited { code: 1 });
    vanishes(&lines[0]).await;
}

#[tokio::test]
async fn a_flood_is_cut_and_its_end_retained() {
    let never = CancellationToken::new();
    let (ended, lines) = sh("yes | head -c 3000000; echo end", LONG, &never).await;
    assert_eq!(ended.output.len(), LINES);
    assert_eq!(ended.output.last().map(String::as_str), Some("end"));
    assert_eq!(
        lines.last().map(String::as_str),
        Some("… the rest is not shown; its end is saved")
    );
    assert!(lines.len() <= SHOWN_LIMIT / 2 + 1);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_started() {
    let argv = ["/nowhere/deploy.sh".to_owned()];
    let program = Program {
        argv: &argv,
        env: &BTreeMap::new(),
        timeout: LONG,
        command_lock: None,
    };
    let ended = run(program, &mut |_| {}, &CancellationToken::new()).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::NotFound);
}
