//! The real binary, and its end.

use crate::point::Blow;
use crate::support::changes::Changes;
use lowtide::runtime::control::{OperatorRequest, OperatorResponse, send};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Far more than anything here takes: a run whose container was lost is tried again after a minute, and four trials share the machine. A
/// trial that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// Who is to be struck, and whether it happened. Shared with the proxies.
#[derive(Clone)]
pub(crate) struct Victim {
    inner: Arc<Inner>,
    blow: Blow,
}

struct Inner {
    pid: Mutex<Option<Pid>>,
    struck: Mutex<bool>,
    rings: Notify,
}

impl Victim {
    pub(crate) fn new(blow: Blow) -> Self {
        let inner = Inner {
            pid: Mutex::new(None),
            struck: Mutex::new(false),
            rings: Notify::new(),
        };
        Self {
            inner: Arc::new(inner),
            blow,
        }
    }

    /// Once: whoever is started afterwards lives.
    pub(crate) fn strike(&self) {
        let mut struck = self.inner.struck.lock().unwrap();
        if *struck {
            return;
        }
        if let Some(pid) = *self.inner.pid.lock().unwrap() {
            match self.blow {
                Blow::Kill => kill_process(pid, Signal::KILL).unwrap(),
                Blow::Term => kill_process(pid, Signal::TERM).unwrap(),
                Blow::Spared => {}
            }
            *struck = true;
            self.inner.rings.notify_one();
        }
    }

    pub(crate) fn is_struck(&self) -> bool {
        *self.inner.struck.lock().unwrap()
    }

    /// Returns when it was struck.
    pub(crate) async fn falls(&self) {
        self.inner.rings.notified().await;
    }
}

/// A running lowtide.
pub(crate) struct Bot {
    child: Child,
    state: PathBuf,
    log: PathBuf,
}

/// How and where lowtide is started.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) directory: PathBuf,
    pub(crate) path: OsString,
}

impl Start {
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        command
            .arg("--config")
            .arg(self.directory.join("lowtide.yml"))
            .arg("--state")
            .arg(self.state())
            .args(arguments)
            .env("LOWTIDE_LOG", "info")
            .env("PATH", &self.path)
            .env("HOME", &self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        command
    }

    /// `serve`, as it is run in earnest.
    pub(crate) fn serve(&self, victim: &Victim) -> Bot {
        self.spawn(&["serve", "--listen", "127.0.0.1:0"], victim)
    }

    pub(crate) fn spawn(&self, arguments: &[&str], victim: &Victim) -> Bot {
        let mut pid = victim.inner.pid.lock().unwrap();
        let child = self.command(arguments).spawn().unwrap();
        *pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Bot {
            child,
            state: self.state(),
            log: self.log(),
        }
    }

    /// Beside another one; its exit code.
    pub(crate) async fn beside(&self) -> Option<i32> {
        self.done(&["serve", "--listen", "127.0.0.1:0"]).await
    }

    /// The exit code of a command.
    pub(crate) async fn done(&self, arguments: &[&str]) -> Option<i32> {
        let mut child = self.command(arguments).spawn().unwrap();
        timeout(PATIENCE, child.wait()).await.ok()?.unwrap().code()
    }

    /// The end of the story, for a trial that failed.
    pub(crate) fn tail(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Bot {
    /// Asks for a cycle now. `Err`: it died before it said yes.
    pub(crate) async fn run_now(&mut self, app: &str) -> Result<(), String> {
        let request = OperatorRequest::Run {
            apps: vec![app.parse().unwrap()],
            now: true,
            rebuild: false,
            unhealthy: lowtide::model::policy::Unhealthy::default(),
            by: "the crash matrix".to_owned(),
        };
        // It says in its log that it listens, once it does.
        let mut changes = self.changes();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(mut replies)) = send(&self.state, &request).await {
                return match timeout(PATIENCE, replies.recv()).await {
                    Ok(Some(OperatorResponse::Done(_))) => Ok(()),
                    Ok(Some(other)) => Err(format!("{other:?}")),
                    Ok(None) => Err("it went away".to_owned()),
                    Err(_) => Err("no answer".to_owned()),
                };
            }
            tokio::select! {
                () = changes.next() => {}
                status = self.child.wait() => return Err(format!("it ended: {}", status.unwrap())),
                () = tokio::time::sleep_until(deadline) => return Err(format!("{} never listened", self.log.display())),
            }
        }
    }

    /// Of its journal and its log.
    pub(crate) fn changes(&self) -> Changes {
        Changes::of(&[&self.state, self.log.parent().unwrap()])
    }

    /// Returns at a change, or at its end; `false`: at the deadline.
    pub(crate) async fn moves(&mut self, changes: &mut Changes, deadline: Instant) -> bool {
        tokio::select! {
            () = changes.next() => true,
            _ = self.child.wait() => true,
            () = tokio::time::sleep_until(deadline) => false,
        }
    }

    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        timeout(PATIENCE, self.child.wait()).await.ok().map(Result::unwrap)
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) async fn end(mut self) {
        let _ = self.child.kill().await;
    }
}

/// A `git` before the real one in PATH that leaves a mark per start, and strikes its parent's parent at the n-th.
pub(crate) fn git_that_counts(directory: &Path, nth: Option<usize>) -> OsString {
    let bin = directory.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let real = std::env::var_os("PATH").unwrap_or_default();
    let git = std::env::split_paths(&real)
        .map(|p| p.join("git"))
        .find(|p| p.is_file())
        .expect("git is not installed");
    let script = format!(
        "#!/bin/sh\nmkdir -p '{marks}'\nn=1\nwhile ! mkdir '{marks}'/$n 2>/dev/null; do n=$((n + 1)); done\n\
         [ $n != {nth} ] || {{ kill -9 $PPID; }}\nexec '{git}' \"$@\"\n",
        marks = directory.join("git-starts").display(),
        nth = nth.unwrap_or(0),
        git = git.display(),
    );
    let path = bin.join("git");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut paths = vec![bin];
    paths.extend(std::env::split_paths(&real));
    std::env::join_paths(paths).unwrap()
}
