//! One child process with limits: time, output, growth of a directory. Whatever ends it ends its whole process group.

use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior};

/// How often a growing directory is looked at. A fast disk takes some 100 MB in between.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes retained of what git says last.
const LAST_WORDS: usize = 8 << 10;

pub(super) struct Bounds {
    pub(super) deadline: Instant,
    /// Bytes of standard output.
    pub(super) stdout: usize,
    pub(super) growth: Option<Growth>,
}

/// A directory that must not become larger than `max` bytes meanwhile.
pub(super) struct Growth {
    pub(super) dir: PathBuf,
    pub(super) max: u64,
}

pub(super) enum End {
    Exited {
        status: ExitStatus,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    TimedOut,
    TooMuchOutput,
    TooLarge,
}

/// Runs the command to its end or to its limit.
///
/// # Errors
/// When it cannot be started or its pipes fail.
pub(super) async fn run(mut command: Command, input: Vec<u8>, bounds: Bounds) -> std::io::Result<End> {
    let piped = if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    let mut child = command
        .stdin(piped)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let work = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A child that ends before it read everything says why on stderr.
                let _ = stdin.write_all(&input).await;
            }
            Ok::<_, Stop>(())
        };
        let (stdout, stderr, ()) = tokio::try_join!(all(stdout, bounds.stdout), last(stderr), feed)?;
        let status = child.wait().await.map_err(Stop::Io)?;
        Ok(End::Exited { status, stdout, stderr })
    };
    let end = tokio::select! {
        end = work => end,
        () = tokio::time::sleep_until(bounds.deadline) => Ok(End::TimedOut),
        () = outgrown(bounds.growth.as_ref()) => Ok(End::TooLarge),
    };
    match end {
        Ok(End::Exited { status, stdout, stderr }) => {
            group.0 = None;
            // What came and went between two looks.
            match bounds.growth {
                Some(growth) if size(&growth.dir).await > growth.max => Ok(End::TooLarge),
                Some(_) | None => Ok(End::Exited { status, stdout, stderr }),
            }
        }
        Ok(end) => Ok(end),
        Err(Stop::TooMuch) => Ok(End::TooMuchOutput),
        Err(Stop::Io(error)) => Err(error),
    }
}

/// Bytes of all files below `dir`; what vanishes meanwhile counts nothing.
pub(super) async fn size(dir: &Path) -> u64 {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || walk(&dir)).await.unwrap_or(0)
}

fn walk(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) => bytes += meta.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// Kills the group when dropped: also when the future that waits for it is cancelled.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Gone already: nothing to do.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

enum Stop {
    TooMuch,
    Io(std::io::Error),
}

async fn all(from: Option<impl AsyncRead + Unpin>, max: usize) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        from.take(limit).read_to_end(&mut bytes).await.map_err(Stop::Io)?;
    }
    if bytes.len() > max {
        Err(Stop::TooMuch)
    } else {
        Ok(bytes)
    }
}

async fn last(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Stop> {
    let mut tail = Vec::new();
    let Some(mut from) = from else {
        return Ok(tail);
    };
    let mut chunk = [0; 4096];
    loop {
        let n = from.read(&mut chunk).await.map_err(Stop::Io)?;
        if n == 0 {
            return Ok(tail);
        }
        tail.extend_from_slice(&chunk[..n]);
        let surplus = tail.len().saturating_sub(LAST_WORDS);
        tail.drain(..surplus);
    }
}

async fn outgrown(growth: Option<&Growth>) {
    let Some(growth) = growth else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if size(&growth.dir).await > growth.max {
            return;
        }
    }
}
