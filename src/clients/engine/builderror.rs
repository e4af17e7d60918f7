//! How a build can fail, and where in the Dockerfile.

use super::agent::AgentError;
use super::buildlog::{BuildLog, FailedStep, StaleIndex};
use super::context::ContextError;
use super::error::{EngineError, disk_full, registry_kind};
use super::steps::Steps;
use lowtide_model::failure::{Failure, FailureKind};
use std::time::Duration;

/// Where in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    pub line: Option<u32>,
    /// The instruction on one line, or the builder's name for the step.
    pub instruction: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{place}: {message}")]
    Failed {
        place: Place,
        message: String,
        excerpt: Vec<String>,
    },
    /// A base image cannot be had.
    #[error("{place}: {message}")]
    Base {
        place: Place,
        kind: FailureKind,
        message: String,
    },
    /// The output says so, whatever the exit code.
    #[error("{place}: {sign}")]
    PackageIndexStale {
        place: Place,
        sign: String,
        excerpt: Vec<String>,
    },
    #[error("{place}: no end after {} s", limit.as_secs())]
    Timeout {
        place: Place,
        limit: Duration,
        excerpt: Vec<String>,
    },
    #[error("build.secrets and build.ssh need BuildKit, which this engine does not offer")]
    NoSecrets,
    #[error("the key build.ssh.{id} cannot be used: {source}")]
    Agent { id: String, source: AgentError },
    #[error("the build was cancelled")]
    Cancelled,
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl BuildError {
    /// The line of the Dockerfile that it is about, counted from 1, and the instruction there.
    #[must_use]
    pub fn step(&self) -> Option<(u32, String)> {
        match self {
            BuildError::Failed { place, .. }
            | BuildError::Base { place, .. }
            | BuildError::PackageIndexStale { place, .. }
            | BuildError::Timeout { place, .. } => {
                let instruction = place.instruction.as_deref().map(clipped);
                Some((place.line?, instruction.unwrap_or_default()))
            }
            BuildError::NoSecrets
            | BuildError::Agent { .. }
            | BuildError::Cancelled
            | BuildError::Context(_)
            | BuildError::Engine(_) => None,
        }
    }

    /// `None`: it was cancelled, which is nobody's failure.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let with =
            |kind, excerpt: &[String]| Failure::new(kind, self.to_string()).with_excerpt(excerpt.iter().cloned());
        Some(match self {
            BuildError::Failed { message, excerpt, .. } => {
                let full = disk_full(message) || excerpt.iter().any(|line| disk_full(line));
                with(
                    if full {
                        FailureKind::DiskFull
                    } else {
                        FailureKind::BuildFailed
                    },
                    excerpt,
                )
            }
            BuildError::Base { kind, .. } => with(*kind, &[]),
            BuildError::PackageIndexStale { excerpt, .. } => with(FailureKind::PackageIndexStale, excerpt),
            BuildError::Timeout { excerpt, .. } => with(FailureKind::BuildTimeout, excerpt),
            BuildError::NoSecrets => with(FailureKind::EngineRejected, &[]),
            BuildError::Agent { source, .. } => with(source.kind(), &[]),
            BuildError::Cancelled => return None,
            BuildError::Context(error) => error.failure(),
            BuildError::Engine(error) => error.failure(),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, &self.instruction) {
            (Some(line), Some(instruction)) => write!(f, "Dockerfile line {line}, `{}`", clipped(instruction)),
            (Some(line), None) => write!(f, "Dockerfile line {line}"),
            (None, Some(instruction)) => write!(f, "`{}`", clipped(instruction)),
            (None, None) => f.write_str("the build"),
        }
    }
}

/// What the builder's last word means.
pub(super) fn failed(log: &mut BuildLog<'_>, message: String) -> BuildError {
    let failed = log.failed();
    let steps = log.steps();
    let message = essence(&message);
    if let Some(stale) = log.stale.take() {
        return stale_error(steps, stale);
    }
    let Some(FailedStep { name, step, excerpt }) = failed else {
        let line = parse_error_line(&message);
        let instruction = line.and_then(|line| steps.at_line(line)).map(|step| step.text.clone());
        return BuildError::Failed {
            place: Place { line, instruction },
            message,
            excerpt: log.excerpt(),
        };
    };
    let base = name.strip_prefix("[internal] load metadata for ");
    let step = step.or_else(|| steps.naming(base?).cloned());
    let from = base.is_some() || step.as_ref().is_some_and(|step| step.keyword == "FROM");
    let instruction = step.as_ref().map_or(Some(name.clone()), |step| Some(step.text.clone()));
    let place = Place {
        line: step.map(|step| step.line),
        instruction,
    };
    match registry_kind(&message).filter(|_| from && !disk_full(&message)) {
        Some(kind) => BuildError::Base { place, kind, message },
        None => BuildError::Failed {
            place,
            message,
            excerpt,
        },
    }
}

pub(super) fn stale_error(steps: &Steps, stale: StaleIndex) -> BuildError {
    let instruction = stale
        .line
        .and_then(|line| steps.at_line(line))
        .map(|step| step.text.clone());
    let place = Place {
        line: stale.line,
        instruction,
    };
    BuildError::PackageIndexStale {
        place,
        sign: stale.sign,
        excerpt: stale.excerpt,
    }
}

pub(super) fn timed_out(log: &mut BuildLog<'_>, limit: Duration) -> BuildError {
    let (place, excerpt) = match log.unfinished() {
        Some(FailedStep { name, step, excerpt }) => {
            let instruction = step.as_ref().map_or(name, |step| step.text.clone());
            (
                Place {
                    line: step.map(|step| step.line),
                    instruction: Some(instruction),
                },
                excerpt,
            )
        }
        None => (Place::default(), log.excerpt()),
    };
    BuildError::Timeout { place, limit, excerpt }
}

/// A builder's error without the names of its own parts and without the command, which the place shows already.
fn essence(message: &str) -> String {
    let mut rest = message.trim();
    for part in [
        "failed to solve with frontend ",
        "failed to solve: ",
        "failed to build LLB: ",
        "failed to create LLB definition: ",
    ] {
        if let Some(after) = rest.strip_prefix(part) {
            rest = if part.ends_with("frontend ") {
                after.split_once(": ").map_or(after, |(_, after)| after)
            } else {
                after
            };
        }
    }
    for (command, end) in [
        ("executor failed running [", "]: "),
        ("process \"", "\" did not complete successfully: "),
        ("The command '", "' returned a "),
    ] {
        if rest.starts_with(command)
            && let Some((_, after)) = rest.rsplit_once(end)
        {
            rest = after;
        }
    }
    rest.to_owned()
}

/// `dockerfile parse error line 3: …`, `… on line 3: …`, `Dockerfile parse error line 3: …`.
fn parse_error_line(message: &str) -> Option<u32> {
    let (_, after) = message.split_once("parse error ")?;
    let after = after.strip_prefix("on ").unwrap_or(after).strip_prefix("line ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn clipped(text: &str) -> String {
    // Longer ones are shell scripts; their first words say which.
    const WIDTH: usize = 120;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builders_error_is_reduced_to_its_reason() {
        for (message, reason) in [
            (
                "failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed running [/bin/sh -c make]: exit code: 2",
                "exit code: 2",
            ),
            (
                "failed to solve: process \"/bin/sh -c make \\\"all\\\"\" did not complete successfully: exit code: 2",
                "exit code: 2",
            ),
            (
                "The command '/bin/sh -c make' returned a non-zero code: 2",
                "non-zero code: 2",
            ),
            (
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 3: unknown instruction: RUNN",
                "dockerfile parse error line 3: unknown instruction: RUNN",
            ),
            (
                "failed to solve: failed to compute cache key: \"/x\" not found",
                "failed to compute cache key: \"/x\" not found",
            ),
            ("failed to solve with frontend", "failed to solve with frontend"),
        ] {
            assert_eq!(essence(message), reason);
        }
    }

    #[test]
    fn parse_errors_have_lines() {
        for (message, line) in [
            ("dockerfile parse error line 3: unknown instruction: RUNN", Some(3)),
            ("dockerfile parse error on line 14: x", Some(14)),
            ("Dockerfile parse error line 2: x", Some(2)),
            ("parse error somewhere", None),
        ] {
            assert_eq!(parse_error_line(message), line, "{message}");
        }
    }

    #[test]
    fn failures_read_well() {
        let place = Place {
            line: Some(7),
            instruction: Some(format!("RUN apt-get install {}", "x".repeat(200))),
        };
        let at = |line, instruction: &str| Place {
            line,
            instruction: Some(instruction.to_owned()),
        };
        let excerpt = vec!["last words".to_owned()];
        let errors = [
            BuildError::Failed {
                place,
                message: "exit code: 100".into(),
                excerpt: excerpt.clone(),
            },
            BuildError::Failed {
                place: Place::default(),
                message: "x".into(),
                excerpt: vec!["cp: No space left on device".into()],
            },
            BuildError::Base {
                place: at(Some(1), "FROM a:1"),
                kind: FailureKind::BaseMissing,
                message: "a:1: not found".into(),
            },
            BuildError::PackageIndexStale {
                place: at(Some(3), "RUN apt-get update"),
                sign: "W: Failed to fetch x".into(),
                excerpt: excerpt.clone(),
            },
            BuildError::Timeout {
                place: at(None, "[internal] load build context"),
                limit: Duration::from_secs(90),
                excerpt,
            },
            BuildError::Context(ContextError::TooLarge { limit: 5 }),
        ];
        let failures: Vec<String> = errors
            .iter()
            .filter_map(BuildError::failure)
            .map(|failure| failure.to_string())
            .collect();
        insta::assert_snapshot!(failures.join("\n"), @r"
        the build failed: Dockerfile line 7, `RUN apt-get install xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`: exit code: 100
        there is not enough disk space: the build: x
        a base image is not in its registry: Dockerfile line 1, `FROM a:1`: a:1: not found
        a package index could not be refreshed during the build: Dockerfile line 3, `RUN apt-get update`: W: Failed to fetch x
        the build took longer than its limit: `[internal] load build context`: no end after 90 s
        the repository is larger than its limit: the build context is larger than 5 bytes
        ");
        assert!(BuildError::Cancelled.failure().is_none());
    }
}
