//! Is a container ready? A crash loop or an exit is seen at once, not after the time is up.

use super::connect::Engine;
use super::container::Kind;
use super::error::EngineError;
use super::exec::{ExecBounds, ExecEnd, OnLimit};
use super::http;
use super::logs::{FollowEnd, Resume};
use super::observe::Seen;
use super::spec::{Attach, Spec};
use lowtide_model::container::{ContainerState, Health};
use lowtide_model::policy::{ContainerLimits, Ready, ReadyCheck};
use regex::bytes::Regex;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// From where an HTTP probe is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbePath {
    /// lowtide runs on the engine's machine: the container's own address.
    HostView,
    /// lowtide runs in a container itself: a short-lived container of its own image joins the network namespace of the
    /// one in question and runs `lowtide probe-http PORT PATH`. Carries the labels the probe gets.
    InContainer {
        image: String,
        labels: BTreeMap<String, String>,
    },
}

/// What became of the wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadyVerdict {
    Ready {
        after: Duration,
    },
    Exited {
        code: i64,
        oom: bool,
        /// The runtime's words when it never ran.
        error: String,
    },
    /// It restarted by itself this often while it was watched.
    Restarting {
        count: u64,
    },
    /// Its HEALTHCHECK says so, or it has none though one was required.
    Unhealthy {
        last: String,
    },
    /// What the last check saw.
    TimedOut {
        last: String,
    },
    Cancelled,
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Between two commands run, or containers made, to probe.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Between two cheap checks. Short, because runs and rollouts wait for the result.
const SHORT_PAUSE: Duration = Duration::from_millis(250);
/// Output read from one readiness command.
const EXEC_OUTPUT: u64 = 64 << 10;

impl Engine {
    /// Waits until `id` (started already; ours or a user's) is ready by `rule.check`, for at most `within`.
    /// Log lines written before its last start do not count. `report` gets why it is not ready yet, whenever that
    /// changes.
    ///
    /// # Errors
    /// When the engine does not respond or the container is gone: readiness is unknown then.
    pub async fn ready(
        &self,
        id: &str,
        rule: &Ready,
        within: Duration,
        via: &ProbePath,
        cancel: &CancellationToken,
        report: &mut (dyn FnMut(&str) + Send),
    ) -> Result<ReadyVerdict, EngineError> {
        let begun = Instant::now();
        let deadline = begun + within;
        let first = self.look(id).await?;
        let mut pause = FIRST_PAUSE;
        let longest = longest_pause(&rule.check, via);
        let mut line = self.line_of(id, &rule.check, &first)?;
        let mut line_seen = false;
        let mut last = String::new();
        loop {
            let seen = self.look(id).await?;
            if ended_as_expected(&rule.check, &seen) {
                return Ok(ReadyVerdict::Ready { after: begun.elapsed() });
            }
            if let Some(bad) = broken(&seen, &first) {
                return Ok(bad);
            }
            let wait = Wait { via, cancel, deadline };
            let readiness = if line_seen {
                Ok(Readiness::Ready)
            } else {
                self.check_once(id, &rule.check, &seen, begun, &wait).await
            };
            if cancel.is_cancelled() {
                return Ok(ReadyVerdict::Cancelled);
            }
            match readiness {
                Ok(Readiness::Ready) => {
                    // The container may have died before the result of the check arrived.
                    let after = begun.elapsed();
                    let seen = self.look(id).await?;
                    return Ok(broken(&seen, &first).unwrap_or(ReadyVerdict::Ready { after }));
                }
                Ok(Readiness::Never(why)) => return Ok(ReadyVerdict::Unhealthy { last: why }),
                // An attempt cut short by the deadline explains less than the one before it.
                Ok(Readiness::NotYet(_)) if Instant::now() >= deadline && !last.is_empty() => {}
                Ok(Readiness::NotYet(why)) if why == last => {}
                Ok(Readiness::NotYet(why)) => {
                    report(&why);
                    last = why;
                }
                // The container ended between the look and the check; the next look shows how.
                Err(EngineError::Conflict { message }) => last = message,
                Err(e) => return Err(e),
            }
            if Instant::now() >= deadline {
                return Ok(self.timed_out(id, &rule.check, begun, &first, last).await);
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(ReadyVerdict::Cancelled),
                found = &mut line => {
                    line_seen = found?;
                    line = Box::pin(std::future::pending());
                }
                () = tokio::time::sleep_until(deadline.min(Instant::now() + pause)) => {}
            }
            pause = (pause * 3 / 2).min(longest);
        }
    }

    /// GET from beside the container: its status code, or why there is none.
    ///
    /// # Errors
    /// When the engine does not respond; that the *container* does not respond is a value.
    pub async fn http_beside(
        &self,
        id: &str,
        port: u16,
        path: &str,
        via: &ProbePath,
        cancel: &CancellationToken,
    ) -> Result<Result<u16, String>, EngineError> {
        let seen = self.look(id).await?;
        let wait = Wait {
            via,
            cancel,
            deadline: Instant::now() + http::TIMEOUT * 2,
        };
        self.http_from(id, &seen, port, path, &wait).await
    }

    async fn timed_out(
        &self,
        id: &str,
        check: &ReadyCheck,
        begun: Instant,
        first: &Seen,
        last: String,
    ) -> ReadyVerdict {
        // An exit says more than a timeout.
        match self.look(id).await {
            Ok(seen) if ended_as_expected(check, &seen) => ReadyVerdict::Ready { after: begun.elapsed() },
            Ok(seen) => broken(&seen, first).unwrap_or(ReadyVerdict::TimedOut { last }),
            Err(_) => ReadyVerdict::TimedOut { last },
        }
    }

    async fn check_once(
        &self,
        id: &str,
        check: &ReadyCheck,
        seen: &Seen,
        begun: Instant,
        wait: &Wait<'_>,
    ) -> Result<Readiness, EngineError> {
        if seen.state != ContainerState::Running {
            return Ok(Readiness::NotYet(
                format!("the container is {:?}", seen.state).to_lowercase(),
            ));
        }
        Ok(match check {
            ReadyCheck::Healthcheck => health(seen).unwrap_or_else(|| {
                Readiness::Never("the image has no HEALTHCHECK, and readiness asks for one".to_owned())
            }),
            ReadyCheck::Steady { stay_up } => health(seen).unwrap_or_else(|| {
                let up = begun.elapsed();
                if up >= stay_up.unsigned_abs() {
                    Readiness::Ready
                } else {
                    Readiness::NotYet(format!("it has run for {} s", up.as_secs()))
                }
            }),
            ReadyCheck::Http { port, path } => match self.http_from(id, seen, *port, path, wait).await? {
                Ok(200..400) => Readiness::Ready,
                Ok(status) => Readiness::NotYet(format!("GET {path} on port {port} answers {status}")),
                Err(why) => Readiness::NotYet(format!("GET {path} on port {port}: {why}")),
            },
            ReadyCheck::Exit { code } => Readiness::NotYet(format!("it has not ended with code {code}, it runs")),
            ReadyCheck::Log { pattern } => Readiness::NotYet(format!("no line of its log matches {pattern}")),
            ReadyCheck::Exec { command } => {
                let mut output = super::logs::Tail::new(1);
                let bounds = ExecBounds {
                    time: wait.deadline.saturating_duration_since(Instant::now()),
                    output: EXEC_OUTPUT,
                    // The container may be a user's.
                    on_limit: OnLimit::KillCommand,
                };
                match self
                    .exec(id, command, bounds, wait.cancel, &mut |b| output.push(b))
                    .await?
                {
                    ExecEnd::Exited { code: 0 } => Readiness::Ready,
                    ExecEnd::Exited { code } => Readiness::NotYet(format!(
                        "{} exits with {code} {}",
                        command.join(" "),
                        output.lines().concat()
                    )),
                    ExecEnd::TimedOut => Readiness::NotYet(format!("{} does not end", command.join(" "))),
                    ExecEnd::Flooded => Readiness::NotYet(format!("{} writes without end", command.join(" "))),
                    ExecEnd::Cancelled => Readiness::NotYet("cancelled".to_owned()),
                }
            }
        })
    }

    async fn http_from(
        &self,
        id: &str,
        seen: &Seen,
        port: u16,
        path: &str,
        wait: &Wait<'_>,
    ) -> Result<Result<u16, String>, EngineError> {
        match wait.via {
            ProbePath::HostView => {
                let Some(address) = seen.addresses.first() else {
                    return Ok(Err("the container has no address of its own".to_owned()));
                };
                let timed_out_probe = || Ok(Err("no answer in time".to_owned()));
                wait.bound(http::status(*address, port, path))
                    .await
                    .unwrap_or_else(timed_out_probe)
            }
            ProbePath::InContainer { image, labels } => self.http_joined(id, port, path, (image, labels), wait).await,
        }
    }

    async fn http_joined(
        &self,
        id: &str,
        port: u16,
        path: &str,
        (image, labels): (&str, &BTreeMap<String, String>),
        wait: &Wait<'_>,
    ) -> Result<Result<u16, String>, EngineError> {
        let words = ["lowtide", "probe-http", &port.to_string(), path].map(ToOwned::to_owned);
        let [program, rest @ ..] = words;
        let spec = Spec {
            name: None,
            image: image.to_owned(),
            kind: Kind::Probe,
            labels: labels.clone(),
            env: BTreeMap::new(),
            entrypoint: Some(vec![program]),
            command: Some(rest.to_vec()),
            health: None,
            start_period: None,
            attach: Attach::Container { id: id.to_owned() },
            limits: ContainerLimits {
                memory: 128 << 20,
                cpus: 1.0,
                pids: 32,
                output: 64 << 10,
                disk: 1 << 30,
            },
            mounts: Vec::new(),
            platform: None,
            settings: serde_json::Map::new(),
        };
        let probe = self.create_own(&spec).await?;
        let result = async {
            self.start_own(&probe).await?;
            let code = self.wait_own(&probe, http::TIMEOUT * 2).await?;
            Ok::<_, EngineError>((code, self.log_tail(&probe, 1, &[]).await?.concat()))
        };
        let result = wait.bound(result).await;
        self.remove_own(&probe).await?;
        let Some(result) = result else {
            return Ok(Err("no answer in time".to_owned()));
        };
        let (code, said) = match result {
            Ok(outcome) => outcome,
            // The container it joins is gone or stopped.
            Err(EngineError::Conflict { message } | EngineError::Refused { message, .. }) => return Ok(Err(message)),
            Err(e) => return Err(e),
        };
        Ok(match said.trim().parse() {
            Ok(status) if code == 0 => Ok(status),
            Ok(_) | Err(_) => Err(said),
        })
    }

    /// Resolves when a log line matches; never for other checks.
    fn line_of<'a>(&'a self, id: &'a str, check: &ReadyCheck, seen: &Seen) -> Result<LineFound<'a>, EngineError> {
        let ReadyCheck::Log { pattern } = check else {
            return Ok(Box::pin(std::future::pending()));
        };
        let regex = Regex::new(pattern).map_err(|e| EngineError::Unreadable {
            what: format!("log pattern {pattern}"),
            source: Box::new(e),
        })?;
        // Not `started`: the first lines may be stamped a moment before the engine notes the start.
        let since = seen.finished;
        Ok(Box::pin(async move {
            let mut open: Vec<u8> = Vec::new();
            let end = self
                .follow_log(id, since, u64::MAX, Resume::FromStart, &mut |bytes| {
                    !matches(&mut open, bytes, &regex)
                })
                .await?;
            Ok(end == FollowEnd::Enough)
        }))
    }
}

type LineFound<'a> = Pin<Box<dyn Future<Output = Result<bool, EngineError>> + Send + 'a>>;

/// What bounds one check.
struct Wait<'a> {
    via: &'a ProbePath,
    cancel: &'a CancellationToken,
    deadline: Instant,
}

impl Wait<'_> {
    /// `None`: cancelled, or out of time.
    async fn bound<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            done = tokio::time::timeout_at(self.deadline, what) => done.ok(),
        }
    }
}

fn longest_pause(check: &ReadyCheck, via: &ProbePath) -> Duration {
    match (check, via) {
        (ReadyCheck::Http { .. }, ProbePath::InContainer { .. }) | (ReadyCheck::Exec { .. }, _) => LONGEST_PAUSE,
        (ReadyCheck::Http { .. }, ProbePath::HostView)
        | (ReadyCheck::Healthcheck | ReadyCheck::Steady { .. } | ReadyCheck::Log { .. } | ReadyCheck::Exit { .. }, _) => {
            SHORT_PAUSE
        }
    }
}

enum Readiness {
    Ready,
    NotYet(String),
    Never(String),
}

fn health(seen: &Seen) -> Option<Readiness> {
    match seen.health {
        Health::Healthy => Some(Readiness::Ready),
        Health::Starting => Some(Readiness::NotYet(if seen.health_log.is_empty() {
            "its health check is starting".to_owned()
        } else {
            format!("its health check is starting: {}", seen.health_log)
        })),
        Health::Unhealthy => Some(Readiness::Never(seen.health_log.clone())),
        Health::None => None,
    }
}

/// Whether a container that is expected to exit did so by itself, with the expected code. A container that could not be
/// started, or was killed for lack of memory, did not, whatever its code.
fn ended_as_expected(check: &ReadyCheck, seen: &Seen) -> bool {
    match check {
        ReadyCheck::Exit { code } => {
            let itself = !seen.oom_killed && seen.error.is_empty();
            itself && seen.state == ContainerState::Exited && seen.exit_code == i64::from(*code)
        }
        ReadyCheck::Healthcheck
        | ReadyCheck::Http { .. }
        | ReadyCheck::Log { .. }
        | ReadyCheck::Exec { .. }
        | ReadyCheck::Steady { .. } => false,
    }
}

/// The verdict, if the container can no longer become ready: it has ended or restarted.
fn broken(seen: &Seen, first: &Seen) -> Option<ReadyVerdict> {
    let restarted = seen.restart_count.saturating_sub(first.restart_count);
    // A container that was already restarting at the first look gets another chance: only its next exit counts.
    if restarted > 0 || (seen.state == ContainerState::Restarting && first.state != ContainerState::Restarting) {
        return Some(ReadyVerdict::Restarting {
            count: restarted.max(1),
        });
    }
    seen.ended().then(|| ReadyVerdict::Exited {
        code: seen.exit_code,
        oom: seen.oom_killed,
        error: seen.error.clone(),
    })
}

/// Longest line that is looked at.
const LINE: usize = 64 << 10;

/// Does one of the lines that `bytes` goes on with match? An open line is tried as far as it has come: a prompt without
/// a newline may be the sign.
fn matches(open: &mut Vec<u8>, bytes: &[u8], regex: &Regex) -> bool {
    for part in bytes.split_inclusive(|b| *b == b'\n') {
        let room = LINE.saturating_sub(open.len());
        open.extend_from_slice(&part[..part.len().min(room)]);
        let line = open.strip_suffix(b"\n").unwrap_or(open);
        if regex.is_match(line.strip_suffix(b"\r").unwrap_or(line)) {
            return true;
        }
        if part.ends_with(b"\n") {
            open.clear();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_counts_only_as_expected() {
        let seen =
            |state: serde_json::Value| crate::clients::engine::observe::seen(&serde_json::json!({ "State": state }));
        let check = ReadyCheck::Exit { code: 2 };
        for (state, ended) in [
            (serde_json::json!({"Status": "exited", "ExitCode": 2}), true),
            (serde_json::json!({"Status": "exited", "ExitCode": 0}), false),
            (
                serde_json::json!({"Status": "exited", "ExitCode": 2, "OOMKilled": true}),
                false,
            ),
            (
                serde_json::json!({"Status": "exited", "ExitCode": 2, "Error": "exec: no such file"}),
                false,
            ),
            (serde_json::json!({"Status": "running", "ExitCode": 2}), false),
            (serde_json::json!({"Status": "created", "ExitCode": 2}), false),
        ] {
            assert_eq!(ended_as_expected(&check, &seen(state.clone())), ended, "{state}");
        }
        assert!(!ended_as_expected(
            &ReadyCheck::DEFAULT,
            &seen(serde_json::json!({"Status": "exited", "ExitCode": 2}))
        ));
    }

    #[test]
    fn lines_match_across_chunks() {
        let regex = Regex::new("^ready for connections$").unwrap();
        let mut open = Vec::new();
        assert!(!matches(&mut open, b"starting\nready for", &regex));
        assert!(matches(&mut open, b" connections\r\n", &regex));
        let mut open = Vec::new();
        assert!(!matches(&mut open, b"not ready for connections\n", &regex));
    }
}
