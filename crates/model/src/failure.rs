//! Every way a thing can go wrong, and whose concern it is.

use super::local;
use crate::hide::masked;
use crate::name::RunId;
use crate::secret::Secret;
use crate::stages::test::TestReport;
use crate::window::Closing;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who is notified of a failure, and whose attempts it counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The repository is at fault: Dockerfile, tests, an image that does not start. Its maintainers are notified.
    Repo,
    /// Engine, registry, mirror, disk, network. The operators are notified; it counts against no attempts.
    Infra,
    /// Configuration, credentials, permissions. The operators are notified.
    Operator,
    /// A broken invariant of lowtide itself. The run is held; the process lives.
    Bug,
}

impl Fault {
    pub const ALL: [Fault; 4] = [Fault::Repo, Fault::Infra, Fault::Operator, Fault::Bug];
}

macro_rules! failure_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $fault:ident;)*) => {
        /// How a stage or a step failed. The text form is stable: journal, JSON and mail use it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureKind {
            $($(#[$doc])* $name,)*
        }

        impl FailureKind {
            /// All kinds, for tables and tests.
            pub const ALL: &[FailureKind] = &[$(FailureKind::$name,)*];

            #[must_use]
            pub fn fault(self) -> Fault {
                match self { $(FailureKind::$name => Fault::$fault,)* }
            }
            /// A few words for a person.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(FailureKind::$name => $text,)* }
            }
        }
    };
}

failure_kinds! {
    // resolve
    SourceUnreachable = "the git remote does not answer", Infra;
    SourceDenied = "the git remote refuses our credentials", Operator;
    /// No such repository, or an address git cannot use.
    SourceGone = "there is no repository at that address", Operator;
    SourceMissing = "the branch, tag or commit is not in the repository", Repo;
    SourceEmpty = "the repository has no commits", Repo;
    SourceTooLarge = "the repository is larger than its limit", Repo;
    SourceHostile = "the repository has files that must not enter a build context", Repo;
    /// A damaged mirror, a missing `git` command: says nothing of the remote.
    GitFailed = "git itself failed", Infra;
    RepositoryFileRefused = "the file by which the repository sets its build and tests cannot be used", Repo;
    DockerfileMissing = "the Dockerfile is not in the repository", Repo;
    DockerfileInvalid = "the Dockerfile cannot be read", Repo;
    IgnoreInvalid = "the .dockerignore cannot be used", Repo;
    BaseMissing = "a base image is not in its registry", Repo;
    /// `# syntax=`: what reads the Dockerfile is the builder's matter.
    FrontendMissing = "the Dockerfile's frontend image is not in its registry", Infra;
    /// Nothing that the rule of tags matches.
    FollowedMissing = "the followed image has no tag that its rule matches", Operator;
    RuleGoesDown = "the rule of tags allows only older images than the one that runs", Operator;
    RegistryUnreachable = "the registry does not answer", Infra;
    RegistryDenied = "the registry refuses our credentials", Operator;
    RegistryRefused = "the registry refused a request", Infra;
    /// 429: too many requests of ours. Says nothing of what was requested.
    RegistryBusy = "the registry's request limit is reached", Infra;
    /// A builder asks for one credential per registry.
    CredentialConflict = "one build needs two credentials of one registry", Operator;
    // build
    BuildFailed = "the build failed", Repo;
    BuildTimeout = "the build took longer than its limit", Repo;
    PackageIndexStale = "a package index could not be refreshed during the build", Infra;
    EngineUnreachable = "the engine does not answer", Infra;
    EngineRefused = "the engine refused a request", Infra;
    /// A retry does not help: the engine rejects the request every time.
    EngineRejected = "the engine rejects a request each time", Operator;
    DiskFull = "there is not enough disk space", Infra;
    // inspect
    ImageUnreadable = "the built image cannot be read", Infra;
    /// A rebuild should have brought a package up to date, and did not.
    StaleBuild = "the build left behind what it should have brought", Repo;
    // bootstrap
    ComposeRefused = "the compose file of the test cannot be used", Repo;
    SidecarFailed = "a sidecar of the test did not start", Repo;
    MirrorUnreachable = "the testing tools could not be fetched", Infra;
    /// A failure only if something has to be started: tests, a rollout, a readiness check.
    NothingToStart = "the image has neither CMD nor ENTRYPOINT", Repo;
    NotReady = "the container did not become ready with the testing tools on", Repo;
    // test
    TestFailed = "tests failed", Repo;
    TestTimeout = "the tests took longer than their limit", Repo;
    TestOutputFlood = "the tests wrote more than their output limit", Repo;
    TestDiskFlood = "the tests wrote more to the disk than their limit", Repo;
    TestReportInvalid = "the test report cannot be read", Repo;
    OutOfMemory = "the container ran out of its memory limit", Repo;
    ContainerExited = "the container exited", Repo;
    NotReadyInProduction = "the image did not become ready without the testing tools", Repo;
    // publish and promote
    TagTaken = "the tag exists with another digest", Operator;
    DigestMismatch = "the registry serves another image than the tested one", Infra;
    /// Deleted there, or the channel's repository does not exist.
    ReleaseMissing = "the registry has not the release, or no place for it", Operator;
    // rollout
    PreflightRefused = "the container cannot be recreated faithfully", Operator;
    TargetMissing = "no container matches the target", Operator;
    TargetSick = "the container was not healthy before the rollout", Operator;
    /// The hook runs in the old container, so its failure says nothing about the release.
    BeforeHookFailed = "a hook failed before anything was touched", Repo;
    HookFailed = "a hook failed", Repo;
    RouterFailed = "the router did not take a command", Operator;
    /// What the host lacks or does not allow: a device, a bind source, a port, a network, a runtime, a security profile.
    StartFailed = "the host could not start the container", Operator;
    /// The image has no such file, or cannot execute it.
    NotExecutable = "the image's command cannot be executed", Repo;
    UnhealthyAfterRoll = "the new container did not become ready", Repo;
    /// During a rollback: the container that served before does not become ready again.
    UnhealthyAfterRevert = "the old container did not become ready again", Repo;
    Restarting = "the new container keeps restarting", Repo;
    /// Not a manager, an update under way or paused, a label of another rollout, a setting that cannot be preserved.
    ServiceRefused = "the service cannot be updated now", Operator;
    CommandMissing = "the command cannot be run here", Operator;
    /// It exited with another code than 0 and 75, or could not be started.
    CommandFailed = "the command failed", Repo;
    CommandTimeout = "the command took longer than its limit", Repo;
    NoAnswer = "the target does not answer as it should", Repo;
    /// No node fits: constraints, ports, memory.
    NotScheduled = "Swarm found no node for the new tasks", Operator;
    Diverged = "someone else changed the containers during the rollout", Operator;
    RevertFailed = "the revert failed", Infra;
    /// The update helper, or the old one on the way back.
    HandoverFailed = "lowtide could not be handed over", Infra;
    NotTakenOver = "the new lowtide did not take over, or did not stay", Repo;
    /// An operator withdrew the release while its rollout was in progress.
    Withdrawn = "its release was withdrawn", Operator;
    /// Half-way, and the next opening was too far away or the last one was not enough either.
    WindowClosed = "its window closed before it was done", Operator;
    // any
    ConfigMissing = "the configuration is not there", Operator;
    SecretMissing = "a secret cannot be read", Operator;
    /// Files, memory, descriptors of the machine lowtide itself runs on. Says nothing of any release: see [`Failure::local`].
    LocalTrouble = "the machine lowtide runs on has trouble of its own", Infra;
    Invariant = "lowtide broke one of its own rules", Bug;
}

impl FailureKind {
    /// Is a failed rollout evidence against its release? Only what the release itself did is: its own process ran and
    /// misbehaved, or its image cannot be executed. A host's, registry's or operator's trouble never condemns one.
    #[must_use]
    pub fn condemns(self) -> bool {
        self.fault() == Fault::Repo && self != FailureKind::BeforeHookFailed
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A failure as it is journalled and reported: its kind, one sentence of detail, and the output lines that show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Failure {
    pub kind: FailureKind,
    /// What exactly; names the thing (container, tag, step). No secret ever.
    pub detail: String,
    /// The last lines that show it (log tail, failing test names); at most [`Failure::EXCERPT_LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excerpt: Vec<String>,
    /// Places in the repository that it names; at most [`Failure::FINDINGS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// When the other side takes requests again, if it said so: an attempt before that is in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

/// A place in the repository that a failure names, as a reviewer would comment on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// From the repository's root, with `/`.
    pub path: String,
    /// Counted from 1.
    pub line: u32,
    /// A failing test, or a build step.
    pub title: String,
    pub message: Vec<String>,
}

impl Failure {
    /// As many as a test report names.
    pub const FINDINGS: usize = TestReport::NAMES;

    /// Enough to see an error with its context, short enough for a mail.
    pub const EXCERPT_LINES: usize = 40;

    #[must_use]
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            excerpt: Vec::new(),
            findings: Vec::new(),
            not_before: None,
        }
    }
    /// The same failure of something that may be tried again at this time.
    #[must_use]
    pub fn not_before(mut self, time: Timestamp) -> Self {
        self.not_before = Some(time);
        self
    }
    /// An error of the machine that lowtide runs on: a file, memory, a descriptor, a process. An I/O error without an
    /// OS error number was made by code, and counts as a broken invariant of ours.
    #[must_use]
    pub fn local(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(local::kind(error), format!("{what}: {error}"))
    }
    /// The same failure with the last lines of `log`.
    #[must_use]
    pub fn with_excerpt<S: Into<String>>(mut self, log: impl IntoIterator<Item = S>) -> Self {
        let mut lines: Vec<String> = log.into_iter().map(Into::into).collect();
        let surplus = lines.len().saturating_sub(Self::EXCERPT_LINES);
        lines.drain(..surplus);
        self.excerpt = lines;
        self
    }
    /// The same failure with the places that it names.
    #[must_use]
    pub fn with_findings(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.findings = findings.into_iter().take(Self::FINDINGS).collect();
        self
    }
    /// The same failure with these values masked in every text that comes from outside.
    #[must_use]
    pub fn masked(self, secrets: &[Secret]) -> Self {
        Self {
            kind: self.kind,
            detail: masked(&self.detail, secrets),
            excerpt: self.excerpt.iter().map(|line| masked(line, secrets)).collect(),
            findings: self
                .findings
                .into_iter()
                .map(|finding| finding.masked(secrets))
                .collect(),
            not_before: self.not_before,
        }
    }
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.kind.fault()
    }
}

impl Finding {
    fn masked(self, secrets: &[Secret]) -> Self {
        Self {
            title: masked(&self.title, secrets),
            message: self.message.iter().map(|line| masked(line, secrets)).collect(),
            path: self.path,
            line: self.line,
        }
    }
}

/// Why a run ends without a new image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum SkipReason {
    /// The rebuilt image has the same packages, configuration and files as the last release.
    SameContent,
    /// The rebuilt image has the content of a quarantined one.
    Quarantined { digest: String },
    /// Nothing was built: no input has changed that a rebuild could pick up.
    NothingToGain {
        /// Pending fixes that need a new base image or are blocked by a version pin.
        out_of_reach: usize,
        security: usize,
        /// Package sources whose indexes are not known now.
        unknown: Vec<String>,
    },
    /// The followed tag has another image, which has the same packages, configuration and files as the last release.
    SameAgain { tag: String },
    /// No newer image is there to be followed.
    NothingNewer { tag: String },
    /// The followed tag is back at an image that it had earlier.
    WentBack { tag: String },
    /// The newer image is not known long enough, and brings no security fixes.
    Soaking { tag: String, until: jiff::Timestamp },
}

/// Why something due does not happen yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum WaitReason {
    /// The rollout window opens later.
    Window { opens: jiff::Timestamp },
    /// No window is configured, and no operator said `--now`.
    NoWindow,
    /// There is a window, and by its days, its denied spans and its blackouts it never opens.
    WindowNeverOpens,
    /// It needs longer than any opening lasts.
    WindowTooShort {
        needs: jiff::SignedDuration,
        longest: jiff::SignedDuration,
    },
    /// The configuration has `window.freeze`.
    Frozen { why: String },
    /// Suspended between two units until its window opens again. At the latest then it resumes or is rolled back.
    Suspended { closing: Closing, until: jiff::Timestamp },
    /// Steps already taken are being watched.
    Baking { until: jiff::Timestamp },
    /// Swarm replaces a service's tasks; what was replaced is watched.
    Converging {
        service: String,
        /// Tasks that run the wanted image for long enough.
        done: u64,
        total: u64,
        /// When this ends, one way or the other.
        deadline: jiff::Timestamp,
    },
    /// A hook requested a later retry (exit code 75).
    HookBusy { hook: String, retry: jiff::Timestamp },
    /// The engine or another part did not respond; tried again then.
    Retry { at: jiff::Timestamp, failure: Failure },
    /// Everything is paused by an operator.
    Paused,
    /// The app is halted.
    Halted,
    /// As many runs work as the configuration allows (`limits.runs`).
    OtherRuns { limit: usize },
    /// lowtide replaces itself only while it has nothing else to do.
    LastInQueue,
}

/// Why an app's rollouts and promotions are stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum HaltReason {
    /// A rollout was rolled back.
    Reverted { failure: Failure },
    /// A rollout of an irreversible app failed and waits for a person.
    Irreversible { failure: Failure },
    /// A revert failed, or the containers are not as we left them.
    Stuck { failure: Failure },
    /// An operator said so.
    Operator { by: String, why: String },
    /// An operator withdrew a release.
    Withdrawn {
        by: String,
        why: String,
        tag: String,
        release: RunId,
    },
}

impl HaltReason {
    /// `None`: a person halted it.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Reverted { failure } | Self::Irreversible { failure } | Self::Stuck { failure } => {
                Some(failure.fault())
            }
            Self::Operator { .. } | Self::Withdrawn { .. } => None,
        }
    }

    /// Every word that [`HaltReason::word`] has.
    pub const WORDS: [&str; 5] = ["reverted", "irreversible", "stuck", "operator", "withdrawn"];

    /// As the journal's JSON and the metrics have it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            HaltReason::Reverted { .. } => "reverted",
            HaltReason::Irreversible { .. } => "irreversible",
            HaltReason::Stuck { .. } => "stuck",
            HaltReason::Operator { .. } => "operator",
            HaltReason::Withdrawn { .. } => "withdrawn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_preserves_the_end() {
        let failure = Failure::new(FailureKind::BuildFailed, "x").with_excerpt((0..100).map(|n| n.to_string()));
        assert_eq!(failure.excerpt.len(), Failure::EXCERPT_LINES);
        assert_eq!(failure.excerpt.last().map(String::as_str), Some("99"));
    }

    #[test]
    fn the_text_forms_are_distinct() {
        let mut words: Vec<_> = FailureKind::ALL.iter().map(|k| k.words()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), FailureKind::ALL.len());
    }
}
