//! Commands inside a running container: streamed, bounded, with their real exit code.

use super::connect::Engine;
use super::error::{EngineError, disk_full};
use bollard::errors::Error as B;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bounds of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecBounds {
    pub time: Duration,
    /// Bytes of output, both streams together.
    pub output: u64,
    pub on_limit: OnLimit,
}

/// What becomes of a command that goes over a bound or is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLimit {
    /// The whole container is killed: right for a container of our own, and certain.
    KillContainer,
    /// The command and its children are killed from inside, as far as the container has a shell; else it is left behind.
    KillCommand,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecEnd {
    /// 126 and 127 also when the runtime could not start the command at all.
    Exited {
        code: i64,
    },
    TimedOut,
    Flooded,
    Cancelled,
}

/// Marks the processes of one command, so that they can be found again inside the container.
const MARK: &str = "LOWTIDE_EXEC";
/// How often an engine is asked whether the command ended while its output stays open: a daemon started by the command
/// keeps the stream open after the command itself is done.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long an engine may take to tell the exit code after the stream ended.
const CODE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of output in which the runtime says why it could not start a command.
const HEAD: usize = 512;

impl Engine {
    /// Runs `command` inside container `id` and hands its output (both streams) to `sink` as it comes.
    ///
    /// # Errors
    /// `NotFound` when the container is gone, `Conflict` when it does not run.
    pub async fn exec(
        &self,
        id: &str,
        command: &[String],
        bounds: ExecBounds,
        cancel: &CancellationToken,
        sink: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<ExecEnd, EngineError> {
        let mark = ulid::Ulid::generate().to_string();
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            env: Some(vec![format!("{MARK}={mark}")]),
            ..CreateExecOptions::default()
        };
        let what = || format!("command in container {}", super::container::short(id));
        let exec = self
            .docker
            .create_exec(id, options)
            .await
            .map_err(|e| self.error(&what(), e))?
            .id;
        let mut output = match self.docker.start_exec(&exec, None).await {
            Ok(StartExecResults::Attached { output, .. }) => output,
            Ok(StartExecResults::Detached) => {
                return Ok(ExecEnd::Exited {
                    code: self.code(&exec).await?,
                });
            }
            Err(e) => match not_started(&e) {
                Some((code, words)) => {
                    sink(words.as_bytes());
                    sink(b"\n");
                    return Ok(ExecEnd::Exited { code });
                }
                None => return Err(self.error(&what(), e)),
            },
        };
        let deadline = Instant::now() + bounds.time;
        let mut count = 0u64;
        let mut head = Vec::new();
        let mut poll = tokio::time::interval_at(Instant::now() + POLL_INTERVAL, POLL_INTERVAL);
        let end = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break ExecEnd::Cancelled,
                () = tokio::time::sleep_until(deadline) => break ExecEnd::TimedOut,
                chunk = output.next() => match chunk {
                    Some(Ok(chunk)) => {
                        let bytes = chunk.as_ref();
                        let room = usize::try_from(bounds.output - count).unwrap_or(usize::MAX);
                        sink(&bytes[..bytes.len().min(room)]);
                        let missing = HEAD.saturating_sub(head.len()).min(bytes.len());
                        head.extend_from_slice(&bytes[..missing]);
                        count += bytes.len().min(room) as u64;
                        if bytes.len() > room {
                            break ExecEnd::Flooded;
                        }
                    }
                    // The stream may break when the container dies; the exit code decides.
                    Some(Err(_)) | None => {
                        return exited(self.code(&exec).await?, &head, what);
                    }
                },
                _ = poll.tick() => if let Some(code) = self.code_now(&exec).await? {
                    return Ok(ExecEnd::Exited { code });
                },
            }
        };
        match bounds.on_limit {
            OnLimit::KillContainer => self.kill_own(id).await?,
            OnLimit::KillCommand => self.kill_marked(id, &mark).await,
        }
        Ok(end)
    }

    async fn code(&self, exec: &str) -> Result<i64, EngineError> {
        let give_up = Instant::now() + CODE_WITHIN;
        loop {
            if let Some(code) = self.code_now(exec).await? {
                return Ok(code);
            }
            if Instant::now() > give_up {
                return Err(EngineError::Timeout {
                    what: "exit code of a command".to_owned(),
                    seconds: CODE_WITHIN.as_secs(),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn code_now(&self, exec: &str) -> Result<Option<i64>, EngineError> {
        let seen = self.raw_get(&format!("/exec/{exec}/json")).await?;
        Ok(match seen["Running"].as_bool() {
            Some(false) => seen["ExitCode"].as_i64(),
            Some(true) | None => None,
        })
    }

    /// The engine has no call that ends a command, so a shell inside looks for the mark in the environments.
    async fn kill_marked(&self, id: &str, mark: &str) {
        let script = format!(
            "for e in /proc/[0-9]*/environ; do if grep -q {MARK}={mark} $e 2>/dev/null; then p=${{e#/proc/}}; \
             kill -9 ${{p%/environ}}; fi; done"
        );
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            user: Some("0".to_owned()),
            cmd: Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), script]),
            ..CreateExecOptions::default()
        };
        // Best effort by contract: an image without a shell keeps the process until the container ends.
        let killed = async {
            let exec = self.docker.create_exec(id, options).await?.id;
            if let StartExecResults::Attached { mut output, .. } = self.docker.start_exec(&exec, None).await? {
                while output.next().await.is_some() {}
            }
            Ok::<(), B>(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(10), killed).await;
    }
}

/// Engines give 126 for a missing command as well, and the runtime's words as its output.
fn as_a_shell_says(code: i64, head: &[u8]) -> i64 {
    let head = String::from_utf8_lossy(head);
    let missing = head.contains("executable file not found") || head.contains("no such file or directory");
    if code == 126 && head.starts_with("OCI runtime exec failed") && missing {
        return 127;
    }
    code
}

/// How a command ended, given the beginning of its output. If a full disk kept the runtime from starting the command,
/// the command is not to blame.
fn exited(code: i64, head: &[u8], what: impl Fn() -> String) -> Result<ExecEnd, EngineError> {
    let words = String::from_utf8_lossy(head);
    if code == 126 && words.starts_with("OCI runtime exec failed") && disk_full(&words) {
        let (what, message) = (what(), words.trim().to_owned());
        return Err(EngineError::Failed { what, message });
    }
    Ok(ExecEnd::Exited {
        code: as_a_shell_says(code, head),
    })
}

/// Did the runtime refuse to start the command itself? Then the code a shell would give (POSIX, 2.8.2), and its words.
fn not_started(error: &B) -> Option<(i64, String)> {
    let B::DockerResponseServerError { message, .. } = error else {
        return None;
    };
    if !message.contains("exec") {
        return None;
    }
    if message.contains("executable file not found") || message.contains("no such file or directory") {
        return Some((127, message.clone()));
    }
    let denied = message.contains("permission denied") || message.contains("is a directory");
    denied.then(|| (126, message.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::failure::FailureKind;

    #[test]
    fn a_runtime_without_disk_is_no_exit_code_of_the_command() {
        let of = |head: &str| exited(126, head.as_bytes(), || "command".to_owned());
        let full =
            of("OCI runtime exec failed: exec failed: write /run/x: no space left on device: unknown").unwrap_err();
        assert_eq!(full.failure().kind, FailureKind::DiskFull);
        let missing = of("OCI runtime exec failed: exec: \"x\": executable file not found in $PATH").unwrap();
        assert_eq!(missing, ExecEnd::Exited { code: 127 });
        let said = of("cp: /x: No space left on device").unwrap();
        assert_eq!(said, ExecEnd::Exited { code: 126 }, "the command's own words");
    }
}
