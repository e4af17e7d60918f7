//! One command of a target at a time, also when lowtide was killed in the middle of one.
//!
//! The lock belongs to an open file (flock(2)) that the command gets as its empty standard input. So the kernel keeps it until
//! lowtide *and* whatever still has that input are gone, and tells a later lowtide which processes these are. A number written
//! down somewhere could mean another process by then, and a signal at the parent's death (prctl(2)) neither survives a change
//! of user nor reaches grandchildren.

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, getpgid, getpgrp, kill_process_group};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at a command that an earlier lowtide began.
const LOOK: Duration = Duration::from_millis(200);
/// How long a process that got SIGTERM may take before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// The right to run a command of one target. Given back when dropped, whatever the command has left behind.
#[derive(Debug)]
pub struct CommandLock {
    file: File,
}

impl CommandLock {
    /// Waits until no earlier command of the target runs. A running one gets `patience` to finish, since it may be
    /// about to complete its job; then its process group is terminated.
    ///
    /// # Errors
    /// When the file at `path` cannot be used, or what holds it cannot be ended (`TimedOut`).
    pub async fn take(path: &Path, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        let mut signalled = false;
        loop {
            if let Some(command_lock) = Self::try_take(path)? {
                return Ok(command_lock);
            }
            let now = Instant::now();
            if now >= until + GRACE * 2 {
                let why = "an earlier run of the command is still running and cannot be stopped";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            if now >= until + GRACE {
                signal(path, Signal::KILL)?;
            } else if now >= until && !signalled {
                tracing::warn!("an earlier run of the command is ended");
                signal(path, Signal::TERM)?;
                signalled = true;
            }
            sleep(LOOK).await;
        }
    }

    /// `None`: an earlier command still runs.
    fn try_take(path: &Path) -> io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// An input that ends at once, and carries the lock.
    pub(super) fn stdin(&self) -> io::Result<Stdio> {
        self.file.try_clone().map(Stdio::from)
    }
}

impl Drop for CommandLock {
    fn drop(&mut self) {
        // Unlocks the open file itself, so that a service started by the command, which has inherited the file, blocks
        // no later command.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Sends a signal to the process groups of all that have the file as their standard input (proc_pid_fd(5)).
fn signal(path: &Path, signal: Signal) -> io::Result<()> {
    let lock = std::fs::metadata(path)?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        // Processes of others, and those that have just ended, have nothing to show.
        let Ok(input) = std::fs::metadata(entry.path().join("fd/0")) else {
            continue;
        };
        if (input.dev(), input.ino()) != (lock.dev(), lock.ino()) || !holds_lock(&entry.path()) {
            continue;
        }
        if let Ok(group) = getpgid(Some(pid))
            && group != getpgrp()
        {
            // Gone already: nothing to do.
            let _ = kill_process_group(group, signal);
        }
    }
    Ok(())
}

/// Whether the process's standard input holds the lock. A service left by an earlier command may have the file open
/// without a lock (proc_pid_fdinfo(5), `lock`).
fn holds_lock(process: &Path) -> bool {
    let fdinfo = std::fs::read_to_string(process.join("fdinfo/0")).unwrap_or_default();
    fdinfo.lines().any(|line| line.starts_with("lock:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    /// As a killed lowtide leaves it: nobody but the command has the file.
    fn held(path: &Path, script: &str) -> Child {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = file.unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        Command::new("sh")
            .args(["-c", script])
            .stdin(file)
            .process_group(0)
            .spawn()
            .unwrap()
    }

    #[tokio::test]
    async fn what_was_given_back_can_be_taken_though_something_still_has_the_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web/edge");
        let command_lock = CommandLock::try_take(&path).unwrap().unwrap();
        let mut child = Command::new("sleep")
            .arg("600")
            .stdin(command_lock.stdin().unwrap())
            .spawn()
            .unwrap();
        assert!(CommandLock::try_take(&path).unwrap().is_none());
        drop(command_lock);
        assert!(CommandLock::try_take(&path).unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn an_orphan_is_waited_for_or_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge");
        let mut quick = held(&path, "cat; exit 0");
        assert!(quick.wait().unwrap().success(), "its input has an end");
        let mut slow = held(&path, "sleep 600 & sleep 600; :");
        // The child of the child has another input, and goes with its group.
        let command_lock = CommandLock::take(&path, Duration::ZERO);
        let waited = tokio::task::spawn_blocking(move || slow.wait());
        let (command_lock, waited) = tokio::join!(command_lock, waited);
        assert!(command_lock.is_ok());
        assert!(!waited.unwrap().unwrap().success());
    }

    #[tokio::test]
    async fn what_an_earlier_command_left_serving_outlives_an_orphan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge");
        let command_lock = CommandLock::try_take(&path).unwrap().unwrap();
        let mut service = Command::new("sleep")
            .arg("600")
            .stdin(command_lock.stdin().unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        drop(command_lock);
        let mut orphan = held(&path, "sleep 600; :");
        let command_lock = CommandLock::take(&path, Duration::ZERO);
        let waited = tokio::task::spawn_blocking(move || orphan.wait());
        let (command_lock, waited) = tokio::join!(command_lock, waited);
        assert!(command_lock.is_ok() && !waited.unwrap().unwrap().success());
        assert_eq!(service.try_wait().unwrap(), None, "it was ended too");
        service.kill().unwrap();
        service.wait().unwrap();
    }
}
