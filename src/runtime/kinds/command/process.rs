//! One program with limits of time and output. Whatever ends it early ends its whole process group.

use super::lock::CommandLock;
use crate::clients::engine::logs::Tail;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Lines retained of the output.
const LINES: usize = 200;
/// Bytes of the output that are told as they come; a flood is for nobody to read.
const SHOWN_LIMIT: usize = 1 << 20;
/// A line that never ends is told in pieces.
const PIECE: usize = 8 << 10;
/// Between TERM and KILL when its time is over.
const GRACE: Duration = Duration::from_secs(10);
/// The same when lowtide itself is to end: it has to be done before lowtide is killed.
const LAST_GRACE: Duration = Duration::from_secs(5);
/// Something that a program has left running keeps its output open: it is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is run.
pub struct Program<'a> {
    /// Program and arguments.
    pub argv: &'a [String],
    /// All of its environment.
    pub env: &'a BTreeMap<OsString, OsString>,
    pub timeout: Duration,
    /// `None`: it changes nothing, so it need not be alone.
    pub command_lock: Option<&'a CommandLock>,
}

/// How it ended, and the end of what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub end: End,
    pub output: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exited {
        code: i32,
    },
    /// Someone else's signal.
    Signalled {
        signal: i32,
    },
    TimedOut,
    /// Lowtide ends.
    Stopped,
}

/// Runs it to its end, to its limit, or until `stop`. `say` gets its lines as they come. When the future is dropped,
/// the process group is killed.
///
/// # Errors
/// When it cannot be started.
pub async fn run(
    program: Program<'_>,
    say: &mut (dyn FnMut(&str) + Send),
    stop: &CancellationToken,
) -> io::Result<Ended> {
    let (mut child, pipe) = spawn(&program)?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let mut output = Output::new(pipe, say);
    let limit = Instant::now() + program.timeout;
    let cut = tokio::select! {
        status = output.until_exit(&mut child) => {
            let status = status?;
            let end = ended(status);
            if status.success() {
                // What it leaves running on purpose is its own affair.
                group.let_go();
            }
            return Ok(Ended { end, output: output.rest().await });
        }
        () = sleep_until(limit) => End::TimedOut,
        () = stop.cancelled() => End::Stopped,
    };
    group.signal(Signal::TERM);
    let grace = if cut == End::Stopped { LAST_GRACE } else { GRACE };
    // It may have trapped the signal, and have something to put in order.
    let _ = timeout(grace, output.until_exit(&mut child)).await;
    drop(group);
    child.wait().await?;
    let output = output.rest().await;
    Ok(Ended { end: cut, output })
}

fn spawn(program: &Program<'_>) -> io::Result<(Child, Receiver)> {
    let Some((name, arguments)) = program.argv.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // One pipe for both streams: lines stay in the order in which they were written.
    let (reader, writer) = io::pipe()?;
    let stdin = program
        .command_lock
        .map_or_else(|| Ok(Stdio::null()), CommandLock::stdin)?;
    let child = Command::new(name)
        .args(arguments)
        .env_clear()
        .envs(program.env)
        .current_dir("/")
        .stdin(stdin)
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

fn ended(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited { code },
        (None, signal) => End::Signalled {
            signal: signal.unwrap_or_default(),
        },
    }
}

/// Kills the group when dropped.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // Gone already: nothing to do.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// What comes out of it.
struct Output<'a> {
    pipe: Receiver,
    open: bool,
    line: Vec<u8>,
    shown: usize,
    tail: Tail,
    say: &'a mut (dyn FnMut(&str) + Send),
}

impl<'a> Output<'a> {
    fn new(pipe: Receiver, say: &'a mut (dyn FnMut(&str) + Send)) -> Self {
        Self {
            pipe,
            open: true,
            line: Vec::new(),
            shown: 0,
            tail: Tail::new(LINES),
            say,
        }
    }

    async fn until_exit(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = self.read(), if self.open => {}
            }
        }
    }

    /// What is still in the pipe, and then all that is retained.
    async fn rest(mut self) -> Vec<String> {
        let _ = timeout(LAST_WORDS, async {
            while self.open {
                self.read().await;
            }
        })
        .await;
        self.show_line();
        self.tail.lines()
    }

    async fn read(&mut self) {
        let mut chunk = [0; 4096];
        // A pipe that fails has nothing more to say.
        let n = self.pipe.read(&mut chunk).await.unwrap_or(0);
        self.open = n > 0;
        self.tail.push(&chunk[..n]);
        for part in chunk[..n].split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= PIECE {
                self.show_line();
            }
        }
    }

    fn show_line(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let before = self.shown;
        self.shown = before.saturating_add(self.line.len());
        if self.shown <= SHOWN_LIMIT {
            (self.say)(String::from_utf8_lossy(&self.line).trim_end_matches(['\n', '\r']));
        } else if before <= SHOWN_LIMIT {
            (self.say)("… the rest is not shown; its end is saved");
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests;
