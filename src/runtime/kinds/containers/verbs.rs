//! One change to one container each. Doing it twice is the same as doing it once.

use super::find::inspect;
use super::hook::tail;
use super::json::{flag, name, number, text};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::{EngineError, cannot_execute};
use crate::clients::engine::logs::{Resume, Tail};
use crate::clients::engine::raw::encode;
use jiff::SignedDuration;
use lowtide_core::kinds::containers::model::RestartPolicy;
use lowtide_model::failure::{Failure, FailureKind};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// A plain change takes milliseconds; a busy disk makes seconds of them.
const PATIENCE: Duration = Duration::from_secs(120);

/// Beyond the grace, for the kill and the cleaning up after it.
const AFTER_GRACE: Duration = Duration::from_secs(60);

/// The longest grace we wait for. A container may ask for more, or for ever (-1).
const GRACE_LIMIT_S: u64 = 3600;

/// How long a port may stay taken after its container stopped: docker-proxy lingers (moby#20486, docker/for-linux#1278).
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a container that its end deletes is listened to when it starts.
const FIRST_MOMENTS: Duration = Duration::from_millis(500);

/// The engine hands out host ports of a range non-atomically, so two starts at once can collide.
static STARTS: Mutex<()> = Mutex::const_new(());

/// Asks it to stop, kills it after `grace` (`None`: the container's own). One that does not run is stopped.
///
/// # Errors
/// `Timeout` when the engine is still at it well after the grace.
pub async fn stop(engine: &Engine, container: &str, grace: Option<SignedDuration>) -> Result<(), EngineError> {
    let (query, seconds) = match grace {
        Some(grace) => {
            let seconds = heeded(grace.as_secs());
            (format!("?t={seconds}"), seconds)
        }
        None => {
            let inspected = engine
                .raw_get(&format!("/containers/{}/json", encode(container)))
                .await?;
            let own = inspected.pointer("/Config/StopTimeout").and_then(Value::as_i64);
            // 10 s is the engine's default.
            (String::new(), heeded(own.unwrap_or(10)))
        }
    };
    let path = format!("/containers/{}/stop{query}", encode(container));
    engine.raw_post_only(&path, None, stop_patience(seconds)).await
}

/// Seconds; a negative grace is one without end.
fn heeded(grace: i64) -> u64 {
    u64::try_from(grace).unwrap_or(GRACE_LIMIT_S).min(GRACE_LIMIT_S)
}

fn stop_patience(grace: u64) -> Duration {
    Duration::from_secs(grace) + AFTER_GRACE
}

/// Waits until a container that goes with its end is gone.
///
/// # Errors
/// `Timeout` when it is still there after [`AFTER_GRACE`].
pub async fn await_removal(engine: &Engine, container: &str) -> Result<(), EngineError> {
    let path = format!("/containers/{}/wait?condition=removed", encode(container));
    match engine.raw_post_only(&path, None, AFTER_GRACE).await {
        Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Sets the restart policy and nothing else.
///
/// # Errors
/// As the engine refuses.
pub async fn set_restart(engine: &Engine, container: &str, policy: &RestartPolicy) -> Result<(), EngineError> {
    let body = json!({"RestartPolicy": {"Name": policy.name, "MaximumRetryCount": policy.max_retries}});
    let path = format!("/containers/{}/update", encode(container));
    engine.raw_post_only(&path, Some(&body), PATIENCE).await
}

/// Starts it; one that runs is started. A port still held by the container before it is waited for.
///
/// # Errors
/// `StartFailed` in the engine's own words, `NotExecutable` where the image is at fault; `Diverged` when the container is
/// gone; `EngineUnreachable`.
pub async fn start(engine: &Engine, container: &str) -> Result<(), Failure> {
    let path = format!("/containers/{}/start", encode(container));
    let deadline = Instant::now() + PORT_PATIENCE;
    let mut pause = Duration::from_millis(50);
    loop {
        let result = {
            let _turn = STARTS.lock().await;
            engine.raw_post_only(&path, None, PATIENCE).await
        };
        let error = match result {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        if !is_port_taken(&error) || Instant::now() + pause > deadline {
            return Err(start_failure(engine, container, &error).await);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// As [`start`], for a `--rm` container: attaches to the output before the start, because the log is gone once the
/// engine has deleted the container.
///
/// # Errors
/// As [`start`]; `ContainerExited` with its last `lines` when it ended within [`FIRST_MOMENTS`].
pub async fn start_with_log(engine: &Engine, container: &str, lines: usize) -> Result<(), Failure> {
    let inspected = engine
        .raw_get(&format!("/containers/{}/json", encode(container)))
        .await
        .map_err(|e| e.failure())?;
    let path = format!("/containers/{}/attach?stream=1&stdout=1&stderr=1", encode(container));
    let mut stream = engine
        .raw_stream(Method::POST, &path, None, HeaderMap::new(), PATIENCE)
        .await
        .map_err(|e| e.failure())?;
    start(engine, container).await?;
    let output = tail(&mut stream, flag(&inspected, "/Config/Tty"), lines);
    match tokio::time::timeout(FIRST_MOMENTS, output).await {
        // The container is still running, or its output could not be read: the readiness check decides.
        Err(_) | Ok(Err(_)) => Ok(()),
        Ok(Ok(lines)) => {
            let failure = Failure::new(FailureKind::ContainerExited, "it exited, and `--rm` deleted it");
            Err(failure.with_excerpt(lines))
        }
    }
}

fn is_port_taken(error: &EngineError) -> bool {
    let text = error.to_string();
    text.contains("port is already allocated") || text.contains("address already in use")
}

async fn start_failure(engine: &Engine, container: &str, error: &EngineError) -> Failure {
    let message = match error {
        EngineError::Conflict { message } | EngineError::Refused { message, .. } => Some(message.as_str()),
        // The engine responds 404 for a missing container, a missing network, and a command that is not in the image.
        EngineError::NotFound { .. } => None,
        EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => return error.failure(),
    };
    let failure = error.failure();
    if failure.kind == FailureKind::DiskFull {
        return failure;
    }
    match (inspect(engine, container).await, message) {
        (Ok(Some(there)), _) => {
            let words = message.unwrap_or_else(|| text(&there, "/State/Error"));
            let kind = if cannot_execute(words, text(&there, "/Path")) {
                FailureKind::NotExecutable
            } else {
                FailureKind::StartFailed
            };
            Failure::new(kind, words)
        }
        // The engine also deletes a `--rm` container that failed to start. Without its inspect body the program is
        // unknown, so the failure cannot be blamed on the image.
        (Ok(None), Some(words)) => Failure::new(FailureKind::StartFailed, words),
        (Ok(None), None) => Failure::new(FailureKind::Diverged, "the container to start is gone"),
        (Err(e), _) => e.failure(),
    }
}

/// Renames it, unless it has that name.
///
/// # Errors
/// `Conflict` when another container has the name.
pub async fn rename(engine: &Engine, container: &str, to: &str) -> Result<(), EngineError> {
    let found = inspect(engine, container).await?;
    if found.as_ref().is_some_and(|c| name(c) == to) {
        return Ok(());
    }
    let path = format!("/containers/{}/rename?name={}", encode(container), encode(to));
    engine.raw_post_only(&path, None, PATIENCE).await
}

/// Removes a container that does not run, never a volume. One that is gone is removed.
///
/// # Errors
/// `Conflict` when it runs.
pub async fn remove_container(engine: &Engine, container: &str) -> Result<(), EngineError> {
    let path = format!("/containers/{}?v=0&force=0", encode(container));
    gone(engine.raw_delete(&path).await)
}

/// What is gone, or going, is removed.
pub(super) fn gone(removed: Result<(), EngineError>) -> Result<(), EngineError> {
    match removed {
        Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
        Err(EngineError::Conflict { message }) if message.contains("already in progress") => Ok(()),
        Err(e) => Err(e),
    }
}

/// The last lines of its log, at most `lines` and 256 KiB. Empty where its log driver cannot be read.
///
/// # Errors
/// As the engine fails.
pub async fn log_tail(engine: &Engine, container: &str, lines: usize) -> Result<Vec<String>, EngineError> {
    let inspected = engine
        .raw_get(&format!("/containers/{}/json", encode(container)))
        .await?;
    let path = format!("/containers/{}/logs?stdout=1&stderr=1&tail={lines}", encode(container));
    let opened = engine
        .raw_stream(Method::GET, &path, None, HeaderMap::new(), PATIENCE)
        .await;
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(e) if is_unreadable_log(&e) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    tail(&mut stream, flag(&inspected, "/Config/Tty"), lines).await
}

/// "configured logging driver does not support reading": 501 since moby 17, 400 before and in some plugins.
#[must_use]
pub fn is_unreadable_log(error: &EngineError) -> bool {
    matches!(error, EngineError::Refused { message, .. } if message.contains("does not support reading"))
}

/// The last lines of its log, followed until its end. Dropped, it reads no further.
pub fn follow_log(engine: Engine, container: String, lines: usize) -> AbortOnDropHandle<Vec<String>> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut tail = Tail::new(lines);
        let mut sink = |bytes: &[u8]| {
            tail.push(bytes);
            true
        };
        // The log is informational, and a `--rm` container is gone at its end: what was read until then counts.
        let _ = engine
            .follow_log(&container, None, u64::MAX, Resume::AtEnd, &mut sink)
            .await;
        tail.lines()
    }))
}

/// Exit code of its last end.
///
/// # Errors
/// As the engine fails; `NotFound` when it is gone.
pub async fn exit_code(engine: &Engine, container: &str) -> Result<i64, EngineError> {
    let inspected = engine
        .raw_get(&format!("/containers/{}/json", encode(container)))
        .await?;
    Ok(number(&inspected, "/State/ExitCode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's usual patience is 120 s; the engine would go on, and its response be lost.
    #[test]
    fn a_stop_is_waited_for_longer_than_its_grace() {
        for (grace, seconds) in [(0, 60), (10, 70), (300, 360), (3600, 3660), (100_000, 3660), (-1, 3660)] {
            assert_eq!(stop_patience(heeded(grace)), Duration::from_secs(seconds), "{grace}");
        }
    }
}
