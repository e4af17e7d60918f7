//! From what was seen of a container to whose fault it is.

use super::environment::{Stop, TestEnvironment};
use super::stage_log::StageLog;
use super::writes;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::logs::{FollowEnd, Resume};
use crate::clients::engine::probe::ReadyVerdict;
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{Ready, ReadyCheck};
use regex::RegexSet;
use std::sync::LazyLock;
use std::time::Duration;

/// What a container is in the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    Sidecar(String),
    /// The candidate with the testing tools on.
    Tools,
    /// The candidate as it ships.
    Production,
    /// It tests the candidate, and ends.
    Tester,
}

/// Starts a created container and waits until it is ready; how long that took. Its output goes to the log.
pub(super) async fn start(
    environment: &TestEnvironment<'_>,
    id: &str,
    role: &Role,
    rule: &Ready,
    log: &mut StageLog<'_>,
) -> Result<Duration, Stop> {
    start_only(environment, id, role).await?;
    until_ready(environment, id, role, rule, log).await
}

/// Starts a created container, and waits for nothing.
pub(super) async fn start_only(environment: &TestEnvironment<'_>, id: &str, role: &Role) -> Result<(), Stop> {
    let started = environment.engine.start_own(id).await;
    started.map_err(|error| refused(role, &error).into())
}

/// Waits until a container that was started is ready; how long that took. Its output goes to the log.
pub(super) async fn until_ready(
    environment: &TestEnvironment<'_>,
    id: &str,
    role: &Role,
    rule: &Ready,
    log: &mut StageLog<'_>,
) -> Result<Duration, Stop> {
    let patience = patience(environment, id, rule).await?;
    within(environment, id, role, rule, patience, log).await
}

/// How long a container may take to become ready: never less than its HEALTHCHECK's start period where the HEALTHCHECK
/// decides, because by its own declaration the container may still be starting.
pub(super) async fn patience(environment: &TestEnvironment<'_>, id: &str, rule: &Ready) -> Result<Duration, Stop> {
    let timeout = rule.timeout.unsigned_abs();
    match rule.check {
        ReadyCheck::Healthcheck | ReadyCheck::Steady { .. } => {
            let seen = environment.engine.look(id).await?;
            Ok(timeout.max(seen.start_period))
        }
        ReadyCheck::Http { .. } | ReadyCheck::Log { .. } | ReadyCheck::Exec { .. } | ReadyCheck::Exit { .. } => {
            Ok(timeout)
        }
    }
}

/// As [`until_ready`], for at most `within`. Reads the log from its first line: the container may have ended already.
pub(super) async fn within(
    environment: &TestEnvironment<'_>,
    id: &str,
    role: &Role,
    rule: &Ready,
    within: Duration,
    log: &mut StageLog<'_>,
) -> Result<Duration, Stop> {
    watch(environment, id, role, rule, within, None, log).await
}

/// Waits until a restarted container is ready, for at most `within`. Reads only the output written since.
pub(super) async fn wait(
    environment: &TestEnvironment<'_>,
    id: &str,
    role: &Role,
    rule: &Ready,
    within: Duration,
    log: &mut StageLog<'_>,
) -> Result<Duration, Stop> {
    let since = environment.engine.look(id).await?.finished;
    watch(environment, id, role, rule, within, since, log).await
}

async fn watch(
    environment: &TestEnvironment<'_>,
    id: &str,
    role: &Role,
    rule: &Ready,
    within: Duration,
    since: Option<Timestamp>,
    log: &mut StageLog<'_>,
) -> Result<Duration, Stop> {
    let max = environment.limits().output;
    let verdict = {
        let mut sink = |bytes: &[u8]| {
            log.write(bytes);
            true
        };
        let mut follow = std::pin::pin!(environment.engine.follow_log(id, since, max, Resume::AtEnd, &mut sink));
        // What readiness waits for is not reported here: the log is.
        let mut report = |_: &str| {};
        let mut ready = std::pin::pin!(environment.engine.ready(
            id,
            rule,
            within,
            environment.via,
            environment.cancel,
            &mut report
        ));
        let mut written = std::pin::pin!(writes::too_much(environment, id));
        let mut following = true;
        let verdict = loop {
            tokio::select! {
                // Poll the log first: readiness may read it as well, and during a flood it would starve the check of
                // the output limit.
                biased;
                end = &mut follow, if following => match end {
                    Ok(FollowEnd::Flooded) => return Err(flood(role, max).with_excerpt(excerpt(environment, id).await).into()),
                    // A log that cannot be followed is no verdict; the wait goes on.
                    Ok(FollowEnd::Ended | FollowEnd::Enough) | Err(_) => following = false,
                },
                verdict = &mut ready => break verdict?,
                failure = &mut written => return Err(failure.with_excerpt(excerpt(environment, id).await).into()),
            }
        };
        let ends = matches!(rule.check, ReadyCheck::Exit { .. });
        if following && (ends || !matches!(verdict, ReadyVerdict::Ready { .. })) {
            // The last output of a container that ended may still be in transit.
            let _ = tokio::time::timeout(Duration::from_millis(500), follow).await;
        }
        verdict
    };
    match verdict {
        ReadyVerdict::Ready { after } => Ok(after),
        ReadyVerdict::Cancelled => Err(Stop::Cancelled),
        bad @ (ReadyVerdict::Exited { .. }
        | ReadyVerdict::Restarting { .. }
        | ReadyVerdict::Unhealthy { .. }
        | ReadyVerdict::TimedOut { .. }) => {
            let mut log = excerpt(environment, id).await;
            let failure = judge(role, &bad, &rule.check, within, &log);
            // Added only after `judge` has searched the log: a health check that cannot reach its own container is no
            // dead mirror.
            log.extend(health_lines(environment, id).await);
            Err(failure.with_excerpt(log).into())
        }
    }
}

/// The last lines of a container; none when it is gone.
pub(super) async fn excerpt(environment: &TestEnvironment<'_>, id: &str) -> Vec<String> {
    let secrets = environment.hidden.secrets();
    let tail = environment.engine.log_tail(id, Failure::EXCERPT_LINES, &secrets).await;
    tail.unwrap_or_default()
}

/// What the last health check of a container said; none where there was no check.
async fn health_lines(environment: &TestEnvironment<'_>, id: &str) -> Vec<String> {
    let seen = environment.engine.look(id).await.ok();
    let check = seen.and_then(|seen| Some((seen.health_exit?, seen.health_log)));
    check.map_or_else(Vec::new, |(code, log)| health_check_lines(code, &log))
}

/// Lines of one health check's output that are reported.
const CHECK_LINES: usize = 10;

fn health_check_lines(code: i64, log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return vec![format!("health check (exit code {code}): it wrote nothing")];
    }
    let skipped = lines.len().saturating_sub(CHECK_LINES);
    let last = lines.iter().skip(skipped);
    last.map(|line| format!("health check (exit code {code}): {line}"))
        .collect()
}

fn flood(role: &Role, max: u64) -> Failure {
    Failure::new(
        FailureKind::TestOutputFlood,
        format!("{} wrote more than {max} bytes before it was ready", name(role)),
    )
}

fn name(role: &Role) -> String {
    match role {
        Role::Sidecar(name) => format!("sidecar {name}"),
        Role::Tools => "the container".to_owned(),
        Role::Production => "the container without the testing tools".to_owned(),
        Role::Tester => "the tester".to_owned(),
    }
}

/// The kind of failure, and one sentence about it. `log` decides whether a mirror was the reason.
fn judge(role: &Role, verdict: &ReadyVerdict, check: &ReadyCheck, within: Duration, log: &[String]) -> Failure {
    let (kind, what) = match verdict {
        ReadyVerdict::Exited { oom: true, .. } => (FailureKind::OutOfMemory, "was ended for lack of memory".to_owned()),
        ReadyVerdict::Exited { code, error, .. } if error.is_empty() => {
            (FailureKind::ContainerExited, exited(role, *code, check))
        }
        ReadyVerdict::Exited { error, .. } => (FailureKind::ContainerExited, format!("did not start: {error}")),
        ReadyVerdict::Restarting { count } => (FailureKind::ContainerExited, format!("restarted {count} times")),
        ReadyVerdict::Unhealthy { last } if last.is_empty() => (FailureKind::NotReady, "is unhealthy".to_owned()),
        ReadyVerdict::Unhealthy { last } => (FailureKind::NotReady, format!("is unhealthy: {last}")),
        ReadyVerdict::TimedOut { .. } if *role == Role::Tester => (
            FailureKind::TestTimeout,
            format!("did not end within {} s", within.as_secs()),
        ),
        ReadyVerdict::TimedOut { last } => (
            FailureKind::NotReady,
            format!("was not ready within {} s: {last}", within.as_secs()),
        ),
        ReadyVerdict::Ready { .. } | ReadyVerdict::Cancelled => {
            (FailureKind::Invariant, "is ready, and was judged".to_owned())
        }
    };
    if let (Role::Tools, Some(line)) = (role, dead_mirror(log))
        && kind != FailureKind::OutOfMemory
    {
        return Failure::new(
            FailureKind::MirrorUnreachable,
            format!("the container {what}; its log says: {line}"),
        );
    }
    let kind = match (role, kind) {
        (Role::Sidecar(_), _) => FailureKind::SidecarFailed,
        (Role::Tester, FailureKind::OutOfMemory | FailureKind::TestTimeout) => kind,
        (Role::Tester, _) => FailureKind::TestFailed,
        (Role::Production, FailureKind::OutOfMemory) | (Role::Tools, _) => kind,
        (Role::Production, _) => FailureKind::NotReadyInProduction,
    };
    Failure::new(kind, format!("{} {what}", name(role)))
}

fn exited(role: &Role, code: i64, check: &ReadyCheck) -> String {
    match (check, code) {
        (ReadyCheck::Exit { .. }, _) if *role == Role::Tester => format!("exited with {code}"),
        (ReadyCheck::Exit { code: expected }, _) => format!("exited with code {code}, not {expected}"),
        // Exit code 0 suggests a job rather than a broken service: name the setting for one.
        (_, 0) => {
            let key = match role {
                Role::Sidecar(_) => "the sidecar's `ready`",
                Role::Tools => "`test.ready`",
                Role::Production => "`ready`",
                // It is meant to.
                Role::Tester => "its command",
            };
            format!("exited with code 0; for an image that ends by itself, set {key} to {{ exit: 0 }}")
        }
        (_, _) => format!("exited with code {code}"),
    }
}

/// The failure when the engine refuses to create a container: a missing command is the Dockerfile's fault, anything
/// else the engine's.
pub(super) fn not_created(role: &Role, error: &EngineError) -> Failure {
    let words = error.to_string();
    // moby's and Podman's words, with various statuses.
    if !words.to_lowercase().contains("no command") {
        return error.failure();
    }
    let kind = match role {
        Role::Sidecar(_) => FailureKind::SidecarFailed,
        Role::Tester => FailureKind::TestFailed,
        Role::Tools | Role::Production => FailureKind::NothingToStart,
    };
    Failure::new(kind, format!("{} has neither CMD nor ENTRYPOINT: {words}", name(role)))
}

/// The failure when the engine refuses to start a container: a bad command is the repository's fault, anything else the
/// engine's.
fn refused(role: &Role, error: &EngineError) -> Failure {
    let words = error.to_string();
    let own = [
        "executable file not found",
        "no such file or directory",
        "permission denied",
        "is a directory",
        "exec format error",
        "Cwd must be an absolute path",
        "unable to find user",
    ];
    // Container runtimes put the command's own problem after `exec:`; a device or mount that is missing has none.
    let commands = (words.contains("exec:") || words.contains("exec ") || words.contains("user "))
        && own.iter().any(|sign| words.contains(sign));
    if !commands {
        return error.failure();
    }
    let kind = match role {
        Role::Sidecar(_) => FailureKind::SidecarFailed,
        Role::Tester => FailureKind::TestFailed,
        Role::Tools => FailureKind::ContainerExited,
        Role::Production => FailureKind::NotReadyInProduction,
    };
    Failure::new(kind, format!("{} did not start: {words}", name(role)))
}

/// How package managers and download tools report an unreachable server. A refused request (404, 403) is not among
/// them: the repository has to fix that.
static MIRROR_SIGNS: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new([
        r"Temporary failure (in name resolution|resolving)",
        r"(?i)could not resolve (host|proxy|'|\S+\.)",
        r"^(E|W): Failed to fetch ",
        r"^(E|W|Err:).*(Unable to connect to|Could not connect to|Connection failed)",
        r"Unable to connect to \S+:(http|https|80|443)",
        r"curl: \((5|6|7|28|35|52|56)\)",
        r"(?i)wget: (unable to resolve|bad address|can't connect|download timed out)",
        r"unable to resolve host address",
        r"^(WARNING|ERROR): .*temporary error \(try again later\)",
        r"(?i)npm err(!|or) (network|code (ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET))",
        r"(getaddrinfo|connect) (ENOTFOUND|EAI_AGAIN|ETIMEDOUT)",
        r"NewConnectionError|ReadTimeoutError|Max retries exceeded with url",
        r"(?i)(https?://|wget|curl|fatal: unable to access|git).*connection timed out",
        r"dial tcp: lookup \S+.*(no such host|i/o timeout|server misbehaving)",
        r"The following exception .*(failed to open stream|Could not resolve host)",
    ])
    .unwrap_or_else(|_| RegexSet::empty())
});

/// The last line that shows a dead mirror or dead name service.
fn dead_mirror(log: &[String]) -> Option<&str> {
    log.iter()
        .rev()
        .map(|line| line.trim())
        .find(|line| MIRROR_SIGNS.is_match(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_a_dead_mirror() {
        for line in [
            "  Temporary failure resolving 'deb.example.org'",
            "curl: (6) Could not resolve host: example.org",
            "curl: (7) Failed to connect to example.org port 443 after 3 ms: Couldn't connect to server",
            "curl: (28) Connection timed out after 10001 milliseconds",
            "E: Failed to fetch http://deb.example.org/debian/dists/x/InRelease  Unable to connect to deb.example.org:http:",
            "W: Failed to fetch http://deb.example.org/debian/dists/x/InRelease  Temporary failure resolving 'deb.example.org'",
            "Err:1 http://deb.example.org x InRelease Could not connect to deb.example.org:80 (192.0.2.1), connection timed out",
            "wget: bad address 'example.org'",
            "wget: can't connect to remote host (192.0.2.1): Connection refused",
            "wget: unable to resolve host address ‘example.org’",
            "ERROR: https://dl.example.org/alpine/main: temporary error (try again later)",
            "WARNING: fetching https://dl.example.org/main: temporary error (try again later)",
            "npm ERR! network request to https://npm.example.org failed",
            "npm ERR! code ENOTFOUND",
            "npm error code EAI_AGAIN",
            "fatal: unable to access 'https://git.example.org/x.git/': Failed to connect: Connection timed out",
            "Could not resolve 'deb.example.org'",
            "go: dial tcp: lookup proxy.example.org on 127.0.0.11:53: no such host",
        ] {
            assert!(dead_mirror(&[line.to_owned()]).is_some(), "{line}");
        }
    }

    #[test]
    fn what_is_the_repositorys_own() {
        for line in [
            "curl: (22) The requested URL returned error: 404",
            "E: Unable to locate package nosuch",
            "E: Version '1.2' for 'x' was not found",
            "npm ERR! 404 Not Found - GET https://npm.example.org/nosuch",
            "npm ERR! Test failed.",
            "could not resolve dependency: peer react@17",
            "SQLSTATE[HY000] [2002] Connection timed out",
            "mysqli: Connection refused",
            "fatal: not a git repository",
            "",
        ] {
            assert!(dead_mirror(&[line.to_owned()]).is_none(), "{line}");
        }
    }

    #[test]
    fn verdicts_become_failures() {
        let exited = |oom| ReadyVerdict::Exited {
            code: 137,
            oom,
            error: String::new(),
        };
        let slow = ReadyVerdict::TimedOut {
            last: "GET / on port 80 answers 503".to_owned(),
        };
        let sick = ReadyVerdict::Unhealthy {
            last: "no db".to_owned(),
        };
        let loops = ReadyVerdict::Restarting { count: 3 };
        let mirror = ["curl: (6) Could not resolve host: example.org".to_owned()];
        let sidecar = || Role::Sidecar("db".to_owned());
        let mut table = String::new();
        for (role, verdict, log) in [
            (Role::Tools, &exited(false), &[][..]),
            (Role::Tools, &exited(true), &mirror[..]),
            (Role::Tools, &exited(false), &mirror[..]),
            (Role::Tools, &slow, &[][..]),
            (Role::Tools, &slow, &mirror[..]),
            (Role::Tools, &sick, &[][..]),
            (Role::Tools, &loops, &[][..]),
            (sidecar(), &exited(false), &mirror[..]),
            (sidecar(), &slow, &[][..]),
            (Role::Production, &exited(true), &[][..]),
            (Role::Production, &exited(false), &mirror[..]),
            (Role::Production, &slow, &[][..]),
            (Role::Production, &sick, &[][..]),
        ] {
            let failure = judge(&role, verdict, &ReadyCheck::DEFAULT, Duration::from_secs(60), log);
            table.push_str(&format!("{:?} | {}\n", failure.kind, failure.detail));
        }
        insta::assert_snapshot!(table, @r"
        ContainerExited | the container exited with code 137
        OutOfMemory | the container was ended for lack of memory
        MirrorUnreachable | the container exited with code 137; its log says: curl: (6) Could not resolve host: example.org
        NotReady | the container was not ready within 60 s: GET / on port 80 answers 503
        MirrorUnreachable | the container was not ready within 60 s: GET / on port 80 answers 503; its log says: curl: (6) Could not resolve host: example.org
        NotReady | the container is unhealthy: no db
        ContainerExited | the container restarted 3 times
        SidecarFailed | sidecar db exited with code 137
        SidecarFailed | sidecar db was not ready within 60 s: GET / on port 80 answers 503
        OutOfMemory | the container without the testing tools was ended for lack of memory
        NotReadyInProduction | the container without the testing tools exited with code 137
        NotReadyInProduction | the container without the testing tools was not ready within 60 s: GET / on port 80 answers 503
        NotReadyInProduction | the container without the testing tools is unhealthy: no db
        ");
    }

    #[test]
    fn an_exit_is_reported_by_what_was_expected() {
        let exit = ReadyCheck::Exit { code: 0 };
        let sidecar = Role::Sidecar("db".to_owned());
        let mut table = String::new();
        for (role, code, check) in [
            (&Role::Tools, 2, &exit),
            (&Role::Tools, 0, &ReadyCheck::DEFAULT),
            (&Role::Production, 0, &ReadyCheck::DEFAULT),
            (&sidecar, 0, &ReadyCheck::Healthcheck),
            (&Role::Production, 1, &ReadyCheck::DEFAULT),
        ] {
            let verdict = ReadyVerdict::Exited {
                code,
                oom: false,
                error: String::new(),
            };
            let failure = judge(role, &verdict, check, Duration::from_secs(60), &[]);
            table.push_str(&format!("{:?} | {}\n", failure.kind, failure.detail));
        }
        insta::assert_snapshot!(table, @r"
        ContainerExited | the container exited with code 2, not 0
        ContainerExited | the container exited with code 0; for an image that ends by itself, set `test.ready` to { exit: 0 }
        NotReadyInProduction | the container without the testing tools exited with code 0; for an image that ends by itself, set `ready` to { exit: 0 }
        SidecarFailed | sidecar db exited with code 0; for an image that ends by itself, set the sidecar's `ready` to { exit: 0 }
        NotReadyInProduction | the container without the testing tools exited with code 1
        ");
    }

    #[test]
    fn nothing_to_start_is_the_dockerfiles_in_any_engines_words() {
        let kind = |role: &Role, status, message: &str| {
            let message = message.to_owned();
            not_created(role, &EngineError::Refused { status, message }).kind
        };
        let sidecar = Role::Sidecar("db".to_owned());
        for (status, message) in [
            (400, "No command specified"),
            (400, "no command specified"),
            (
                500,
                "no command or entrypoint provided, and no CMD or ENTRYPOINT from image",
            ),
        ] {
            assert_eq!(
                kind(&Role::Tools, status, message),
                FailureKind::NothingToStart,
                "{message}"
            );
            assert_eq!(kind(&Role::Production, status, message), FailureKind::NothingToStart);
            assert_eq!(kind(&sidecar, status, message), FailureKind::SidecarFailed);
        }
        assert_eq!(kind(&Role::Tools, 500, "something else"), FailureKind::EngineRefused);
    }

    #[test]
    fn the_last_health_check_is_reported_in_lines() {
        assert_eq!(
            health_check_lines(1, "connecting\n\nno database\n"),
            [
                "health check (exit code 1): connecting",
                "health check (exit code 1): no database"
            ]
        );
        assert_eq!(
            health_check_lines(127, " "),
            ["health check (exit code 127): it wrote nothing"]
        );
        let long: String = (0..50).map(|n| format!("{n}\n")).collect();
        let lines = health_check_lines(1, &long);
        assert_eq!(lines.len(), CHECK_LINES);
        assert_eq!(lines.last().unwrap(), "health check (exit code 1): 49");
    }

    #[test]
    fn a_refused_start_is_reported_apart() {
        let kind = |message: &str| {
            let error = EngineError::Refused {
                status: 400,
                message: message.to_owned(),
            };
            refused(&Role::Tools, &error).kind
        };
        for theirs in [
            "OCI runtime create failed: exec: \"nosuch\": executable file not found in $PATH: unknown",
            "OCI runtime create failed: exec: \"/x.sh\": permission denied: unknown",
            "unable to find user app: no matching entries in passwd file: no such file or directory",
        ] {
            assert_eq!(kind(theirs), FailureKind::ContainerExited, "{theirs}");
        }
        for ours in [
            "OCI runtime create failed: error setting rlimits for ready process: operation not permitted",
            "write /var/lib/x: no space left on device",
            "driver failed programming external connectivity on endpoint x",
        ] {
            assert_ne!(kind(ours), FailureKind::ContainerExited, "{ours}");
        }
    }
}
