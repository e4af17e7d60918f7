//! Targets that are commands, with the real binary: programs that do well, fail, ask to be tried later, hang, and outlive
//! lowtide; and an address that is asked whether they serve.

use crate::monitoring;
use jiff::Timestamp;
use lowtide::decide::app_state::{self, AppState};
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::kinds::list::StepOutcome;
use lowtide::model::failure::FailureKind;
use lowtide::model::name::{AppName, RunId};
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::RolloutConclusion;
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use lowtide::web::serve::listens_at;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

const TOKEN: &str = "canary-edge-4f1e";

/// Says what it does in `story`. What becomes of a release stands in a file that is named like its tag.
const DEPLOY: &str = r#"#!/bin/sh
cd "$PLACE" || exit 1
mkdir alone 2>/dev/null || echo "NOT ALONE" >>story
echo "begin $LOWTIDE_DIRECTION: $LOWTIDE_IMAGE from ${LOWTIDE_PREVIOUS_IMAGE:-nothing}" >>story
env >"env-$LOWTIDE_TAG"
[ ! -e "quiet-$LOWTIDE_TAG" ] && echo "deploying with $EDGE_TOKEN"
if [ "$LOWTIDE_DIRECTION" = forward ] && [ -e "$LOWTIDE_TAG" ]; then . "./$LOWTIDE_TAG"; fi
echo "$LOWTIDE_TAG" >current
rmdir alone
echo end >>story
"#;

fn web() -> AppName {
    "web".parse().unwrap()
}

fn release(n: u128) -> Release {
    let digest = format!("sha256:{n:064x}");
    Release {
        upstream: None,
        run: RunId(ulid::Ulid(n)),
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some("c".repeat(40)),
        tag: format!("t{n}"),
        digest: Some(digest.parse().unwrap()),
        reference: format!("example.org/edge:t{n}").parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: "2026-03-01T02:00:00Z".parse::<Timestamp>().unwrap(),
    }
}

/// A state directory, a program, and what it moves.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new(timeout: &str) -> Self {
        let site = Self::empty();
        let ready = format!("http: {{ url: \"{}\" }}", site.serve_health());
        site.configure(timeout, "", &ready);
        site
    }

    fn empty() -> Self {
        let site = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(site.path("state")).unwrap();
        std::fs::write(site.path("token"), format!("{TOKEN}\n")).unwrap();
        site.program("deploy.sh", DEPLOY);
        site
    }

    fn program(&self, name: &str, script: &str) {
        std::fs::write(self.path(name), script).unwrap();
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn configure(&self, timeout: &str, more: &str, ready: &str) {
        let text = format!(
            "version: 1\nmode: active\nhosts: {{ local: {{ docker: \"unix:///nowhere/docker.sock\" }} }}\napps:\n  web:\n    \
             schedule: never\n    source: {{ repo: \"https://git.example.org/web.git\" }}\n    rollout:\n      - name: edge\n        \
             command:\n          run: [{dir}/deploy.sh]\n          {more}\n          timeout: {timeout}\n          env: {{ PLACE: \"{dir}\", EDGE_TOKEN: {{ file: {dir}/token }} }}\n        \
             ready: {{ {ready}, timeout: 2s }}\n        bake: 1s\n        \
             window: {{ from: \"00:00\", to: \"24:00\" }}\n",
            dir = self.dir.path().display(),
        );
        std::fs::write(self.path("config.yml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Answers 503 while the release that is there is named in `sick`. One that is named in `fading` becomes sick once asked.
    fn serve_health(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/healthz", listener.local_addr().unwrap());
        let place = self.dir.path().to_owned();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap_or_default();
                let sick = read("sick").lines().any(|tag| tag == read("current").trim());
                let status = if sick { "503 Service Unavailable" } else { "200 OK" };
                if read("fading").lines().any(|tag| tag == read("current").trim()) {
                    std::fs::rename(place.join("fading"), place.join("sick")).unwrap();
                }
                let _ = stream.read(&mut [0; 1024]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
            }
        });
        url
    }

    async fn released(&self, n: u128) {
        let store = Store::open(&self.path("state/lowtide.db"), true).unwrap();
        let released = AppEvent::Released {
            release: Box::new(release(n)),
        };
        let batch = Batch::new().app(&web(), &released);
        store.commit(batch, Timestamp::now()).await.unwrap();
    }

    /// What becomes of a release, as a part of the program.
    fn fate(&self, n: u128, script: &str) {
        std::fs::write(self.path(&format!("t{n}")), script).unwrap();
    }

    /// Pipes with names: who reads one waits for someone to write to it.
    fn pipes(&self, names: &[&str]) {
        let made = Command::new("mkfifo")
            .args(names.iter().map(|name| self.path(name)))
            .status();
        assert!(made.unwrap().success());
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LOWTIDE_CONFIG", self.path("config.yml"))
            .env("LOWTIDE_STATE", self.path("state"))
            .env("LOWTIDE_LOG", "info")
            .env("GITHUB_TOKEN", "canary-github");
        command
    }

    fn lowtide(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn serve(&self) -> Serving {
        let mut child = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Serving { child, log }
    }

    /// Brings a release there, to the end of its rollout; what lowtide said.
    async fn roll(&self, n: u128) -> String {
        self.released(n).await;
        let mut serving = self.serve();
        let said = serving.says("rollout ended");
        serving.end();
        said
    }

    /// What the process that serves now has counted.
    async fn counted(&self) -> String {
        let page = monitoring::page(listens_at(&self.path("state")).unwrap()).await;
        let counted = [
            "lowtide_rollouts_total",
            "lowtide_rollbacks_total",
            "lowtide_halts_total",
        ];
        let lines = page
            .lines()
            .filter(|line| counted.iter().any(|name| line.starts_with(name)));
        lines
            .filter(|line| !line.ends_with(" 0"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn story(&self) -> String {
        let story = std::fs::read_to_string(self.path("story")).unwrap();
        std::fs::remove_file(self.path("story")).unwrap();
        let digest = |n| release(n).digest.unwrap().to_string();
        (1..=9).fold(story, |story, n| story.replace(&digest(n), &format!("DIGEST-{n}")))
    }

    fn reader(&self) -> Store {
        Store::open(&self.path("state/lowtide.db"), false).unwrap()
    }

    async fn app_state(&self) -> AppState {
        app_state::fold(self.reader().app_events(&web()).await.unwrap())
    }

    async fn last(&self) -> RolloutConclusion {
        let app_state = self.app_state().await;
        app_state.targets[&"edge".parse().unwrap()].last.clone().unwrap().1
    }
}

struct Serving {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Serving {
    /// All lines up to one with these words.
    fn says(&mut self, words: &str) -> String {
        let mut said = String::new();
        loop {
            let from = said.len();
            if self.log.read_line(&mut said).unwrap() == 0 {
                panic!("it never said {words:?}:\n{said}");
            }
            if said[from..].contains(words) {
                return said;
            }
        }
    }

    fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        // A full pipe would stop it.
        self.log.read_to_string(&mut String::new()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn forward_and_back_again() {
    let site = Site::new("1m");
    site.roll(1).await;
    site.roll(2).await;
    assert_eq!(site.last().await, RolloutConclusion::Done);
    insta::assert_snapshot!(site.story(), @"
    begin forward: example.org/edge:t1@DIGEST-1 from nothing
    end
    begin forward: example.org/edge:t2@DIGEST-2 from example.org/edge:t1@DIGEST-1
    end
    ");
    let env = std::fs::read_to_string(site.path("env-t2")).unwrap();
    let names: Vec<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for name in [
        "LOWTIDE_APP",
        "LOWTIDE_TARGET",
        "LOWTIDE_ROLLOUT",
        "LOWTIDE_DIGEST",
        "EDGE_TOKEN",
    ] {
        assert!(names.contains(&name), "{name} is not in {env}");
    }
    for name in ["GITHUB_TOKEN", "LOWTIDE_CONFIG", "LOWTIDE_STATE"] {
        assert!(!names.contains(&name), "{name} is in {env}");
    }
    // A release that fails is rolled back, and halts the app.
    site.fate(3, "echo cannot connect with $EDGE_TOKEN; rmdir alone; exit 3\n");
    let said = site.roll(3).await;
    insta::assert_snapshot!(site.story(), @"
    begin forward: example.org/edge:t3@DIGEST-3 from example.org/edge:t2@DIGEST-2
    begin back: example.org/edge:t2@DIGEST-2 from example.org/edge:t3@DIGEST-3
    end
    ");
    let app_state = site.app_state().await;
    assert!(app_state.halted.is_some() && app_state.quarantine.contains(&release(3).images.first().content));
    let shown = site.lowtide(&["incident", "web"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("cannot connect with [hidden]"), "{shown}");
    assert!(!shown.contains(TOKEN) && !said.contains(TOKEN));
    // So does an operator, to the release before that.
    let reverted = site.lowtide(&["revert", "web/edge", "--reason", "looks odd"]);
    assert!(
        reverted.status.success(),
        "{}",
        String::from_utf8_lossy(&reverted.stderr)
    );
    let stderr = String::from_utf8_lossy(&reverted.stderr).into_owned();
    assert!(stderr.contains("    deploying with [hidden]\n"), "{stderr}");
    insta::assert_snapshot!(site.story(), @"
    begin back: example.org/edge:t1@DIGEST-1 from example.org/edge:t2@DIGEST-2
    end
    ");
    let target = &site.app_state().await.targets[&"edge".parse().unwrap()];
    assert_eq!(
        (target.current, target.previous),
        (Some(release(1).run), Some(release(2).run))
    );
}

#[tokio::test]
async fn what_does_not_respond_is_rolled_back() {
    let site = Site::new("1m");
    site.roll(1).await;
    std::fs::write(site.path("sick"), "t2\n").unwrap();
    site.roll(2).await;
    let RolloutConclusion::Reverted { failure } = site.last().await else {
        panic!("{:?}", site.last().await)
    };
    assert!(failure.detail.ends_with("/healthz answered 503"), "{failure}");
    assert_eq!(failure.excerpt, ["deploying with [hidden]"]);
    assert_eq!(std::fs::read_to_string(site.path("current")).unwrap(), "t1\n");
}

/// The bake is one second long: it ends when the target has been asked three times.
#[tokio::test]
async fn what_falls_silent_while_it_bakes_is_rolled_back() {
    let site = Site::new("1m");
    site.roll(1).await;
    std::fs::write(site.path("fading"), "t2\n").unwrap();
    site.roll(2).await;
    let RolloutConclusion::Reverted { failure } = site.last().await else {
        panic!("{:?}", site.last().await)
    };
    assert!(
        failure.detail.starts_with("while it baked, 3 times in a row: GET"),
        "{failure}"
    );
    assert_eq!(std::fs::read_to_string(site.path("current")).unwrap(), "t1\n");
}

#[tokio::test]
async fn a_way_back_of_its_own_and_a_probe_that_is_a_program() {
    let site = Site::empty();
    let back = "#!/bin/sh\ncd \"$PLACE\"\necho \"back.sh $LOWTIDE_DIRECTION to $LOWTIDE_TAG\" >>story\necho \"$LOWTIDE_TAG\" >current\n";
    site.program("back.sh", back);
    site.program(
        "probe.sh",
        "#!/bin/sh\ncd \"$PLACE\"\n[ \"$(cat current)\" != t2 ] || { echo \"$LOWTIDE_TAG is odd\"; exit 9; }\n",
    );
    let place = site.dir.path().display();
    site.configure(
        "1m",
        &format!("back: [{place}/back.sh]"),
        &format!("exec: [{place}/probe.sh]"),
    );
    site.roll(1).await;
    site.roll(2).await;
    let RolloutConclusion::Reverted { failure } = site.last().await else {
        panic!("{:?}", site.last().await)
    };
    assert!(
        failure.detail.ends_with("probe.sh` exited with code 9: t2 is odd"),
        "{failure}"
    );
    assert_eq!(site.story().lines().last(), Some("back.sh back to t1"));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_before_anything_is_touched() {
    let site = Site::new("1m");
    std::fs::remove_file(site.path("deploy.sh")).unwrap();
    site.roll(1).await;
    let RolloutConclusion::Refused { failure } = site.last().await else {
        panic!("{:?}", site.last().await)
    };
    assert!(
        failure.detail.ends_with("deploy.sh is not there, or is not executable"),
        "{failure}"
    );
    assert_eq!(site.app_state().await.halted, None);
}

#[tokio::test]
async fn the_first_release_that_fails_waits_for_a_person() {
    let site = Site::new("1m");
    site.fate(1, "rmdir alone; exit 3\n");
    site.roll(1).await;
    let RolloutConclusion::Stuck { failure } = site.last().await else {
        panic!("{:?}", site.last().await)
    };
    assert!(failure.detail.ends_with("there is none to go back to"), "{failure}");
    assert_eq!(site.app_state().await.targets[&"edge".parse().unwrap()].current, None);
}

#[tokio::test]
async fn what_is_busy_is_tried_later() {
    let site = Site::new("1m");
    site.fate(1, "rmdir alone; exit 75\n");
    site.released(1).await;
    let mut serving = site.serve();
    serving.says("run command forward");
    let store = site.reader();
    let rollout = site.app_state().await.targets[&"edge".parse().unwrap()].open.unwrap().0;
    let retry = loop {
        let events = store.rollout_events(rollout).await.unwrap();
        if let RolloutEvent::StepEnded { outcome } = &events.last().unwrap().event {
            break outcome.clone();
        }
        tokio::task::yield_now().await;
    };
    let StepOutcome::Busy { retry } = retry else {
        panic!("{retry:?}")
    };
    assert!(retry.duration_since(Timestamp::now()).as_secs() > 200);
    serving.end();
    // The wait outlives a restart.
    let mut serving = site.serve();
    serving.says("asked for a later retry");
    serving.end();
    insta::assert_snapshot!(site.story(), @"begin forward: example.org/edge:t1@DIGEST-1 from nothing");
}

#[tokio::test]
async fn what_hangs_is_ended_with_its_children() {
    let site = Site::new("1s");
    site.roll(1).await;
    site.fate(2, "sleep 600 & echo $! >child; rmdir alone; wait\n");
    site.roll(2).await;
    let RolloutConclusion::Reverted { failure } = site.last().await else {
        panic!("{:?}", site.last().await)
    };
    assert!(failure.detail.ends_with("did not end within 1 s"), "{failure}");
    let child = std::fs::read_to_string(site.path("child")).unwrap();
    let stat = std::fs::read_to_string(Path::new("/proc").join(child.trim()).join("stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "it still runs: {stat}");
}

#[tokio::test]
async fn after_a_kill_it_is_run_again_but_never_beside_itself() {
    let site = Site::new("1m");
    site.roll(1).await;
    site.story();
    std::fs::write(site.path("quiet-t2"), "").unwrap();
    site.fate(
        2,
        "if [ ! -e begun ]; then echo >begun; echo >told; read -r go <go; fi\n",
    );
    site.pipes(&["told", "go"]);
    site.released(2).await;
    let mut serving = site.serve();
    serving.says("run command forward");
    assert_eq!(std::fs::read_to_string(site.path("told")).unwrap(), "\n");
    serving.child.kill().unwrap();
    drop(serving);
    let mut serving = site.serve();
    serving.says("found an unfinished step");
    serving.says("run command forward");
    // The first one still runs, so the second has not begun.
    let so_far = std::fs::read_to_string(site.path("story")).unwrap();
    assert_eq!(so_far.lines().count(), 1, "{so_far}");
    std::fs::write(site.path("go"), "go\n").unwrap();
    serving.says("rollout ended");
    // By the process that ended it, and once.
    assert_eq!(
        site.counted().await,
        "lowtide_rollouts_total{target_kind=\"command\",conclusion=\"done\"} 1"
    );
    serving.end();
    assert_eq!(site.last().await, RolloutConclusion::Done);
    insta::assert_snapshot!(site.story(), @"
    begin forward: example.org/edge:t2@DIGEST-2 from example.org/edge:t1@DIGEST-1
    end
    begin forward: example.org/edge:t2@DIGEST-2 from example.org/edge:t1@DIGEST-1
    end
    ");
}

/// Two rollouts must never move the same target: the one under way turns back itself.
#[tokio::test]
async fn withdrawn_half_way_it_turns_back_and_nobody_is_beside_it() {
    let site = Site::new("1m");
    site.roll(1).await;
    site.story();
    site.fate(
        2,
        "if [ ! -e begun ]; then echo >begun; echo >told; read -r go <go; fi\n",
    );
    site.pipes(&["told", "go"]);
    site.released(2).await;
    let mut serving = site.serve();
    serving.says("run command forward");
    assert_eq!(std::fs::read_to_string(site.path("told")).unwrap(), "\n");
    let mut revert = site
        .command(&["revert", "web", "--reason", "odd"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(revert.stderr.take().unwrap());
    let mut first = String::new();
    stderr.read_line(&mut first).unwrap();
    insta::assert_snapshot!(first.trim_end(), @"web stops the rollout of t2 and rolls back on edge; it is halted and t2 quarantined");
    std::fs::write(site.path("go"), "go\n").unwrap();
    serving.says("rollout ended");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(revert.wait().unwrap().success(), "{rest}");
    insta::assert_snapshot!(site.counted().await, @r#"
    lowtide_rollouts_total{target_kind="command",conclusion="reverted"} 1
    lowtide_rollbacks_total{target_kind="command",fault="operator"} 1
    lowtide_halts_total{reason="withdrawn"} 1
    "#);
    serving.end();
    let RolloutConclusion::Reverted { failure } = site.last().await else {
        panic!("{:?}", site.last().await)
    };
    assert_eq!(failure.kind, FailureKind::Withdrawn);
    insta::assert_snapshot!(site.story(), @"
    begin forward: example.org/edge:t2@DIGEST-2 from example.org/edge:t1@DIGEST-1
    end
    begin back: example.org/edge:t1@DIGEST-1 from example.org/edge:t2@DIGEST-2
    end
    ");
    let app_state = site.app_state().await;
    assert!(app_state.halted.is_some() && app_state.incidents.is_empty());
    assert_eq!(
        app_state.targets[&"edge".parse().unwrap()].current,
        Some(release(1).run)
    );
}

#[tokio::test]
async fn a_stop_ends_the_command_and_the_next_start_runs_it_again() {
    let site = Site::new("1m");
    // In the background, and waited for: a shell that has yet to fork for a foreground command notices a TERM only after it.
    site.fate(
        1,
        "if [ ! -e begun ]; then trap 'echo told to end >>story; exit 1' TERM; echo >begun; rmdir alone; echo >told; sleep 600 & wait; fi\n",
    );
    site.pipes(&["told"]);
    site.released(1).await;
    let mut serving = site.serve();
    serving.says("run command forward");
    assert_eq!(std::fs::read_to_string(site.path("told")).unwrap(), "\n");
    serving.end();
    let mut serving = site.serve();
    serving.says("rollout ended");
    serving.end();
    assert_eq!(site.last().await, RolloutConclusion::Done);
    insta::assert_snapshot!(site.story(), @"
    begin forward: example.org/edge:t1@DIGEST-1 from nothing
    told to end
    begin forward: example.org/edge:t1@DIGEST-1 from nothing
    end
    ");
}
