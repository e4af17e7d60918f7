//! How git can fail.

use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::local;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("{url} is not an address lowtide uses: {why}")]
    Address { url: String, why: &'static str },
    /// No response, or one that broke off.
    #[error("{url} does not answer: {said}")]
    Unreachable { url: String, said: String },
    /// Password, token, key or host key refused.
    #[error("{url} refuses us: {said}")]
    Denied { url: String, said: String },
    /// There is a server, but no such repository (moved, renamed, deleted; some servers say so to strangers as well).
    #[error("{url} is not there: {said}")]
    Gone { url: String, said: String },
    #[error("{what} is not in {url}")]
    Missing { url: String, what: String },
    #[error("{url} has no commits")]
    Empty { url: String },
    #[error("{what} is larger than {limit}")]
    TooLarge { what: String, limit: String },
    /// Something in the repository must not enter a build context.
    #[error("{what}")]
    Hostile { what: String },
    #[error("{url} took longer than {} s", .limit.as_secs())]
    Timeout { url: String, limit: Duration },
    #[error("no space left for {url}")]
    DiskFull { url: String },
    #[error("{}", .0.detail)]
    Secret(Failure),
    /// git failed for a reason that says nothing of the remote: a damaged mirror, mostly.
    #[error("git failed on {url}: {said}")]
    Broken { url: String, said: String },
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl GitError {
    /// Would the same call, later, have a chance?
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            GitError::Unreachable { .. }
            | GitError::Timeout { .. }
            | GitError::DiskFull { .. }
            | GitError::Broken { .. }
            | GitError::Io { .. } => true,
            GitError::Address { .. }
            | GitError::Denied { .. }
            | GitError::Gone { .. }
            | GitError::Missing { .. }
            | GitError::Empty { .. }
            | GitError::TooLarge { .. }
            | GitError::Hostile { .. }
            | GitError::Secret(_) => false,
        }
    }

    /// As a failure of *resolve* or of whatever reads the repository.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = match self {
            GitError::Address { .. } | GitError::Gone { .. } => FailureKind::SourceGone,
            GitError::Unreachable { .. } | GitError::Timeout { .. } => FailureKind::SourceUnreachable,
            GitError::Denied { .. } => FailureKind::SourceDenied,
            GitError::Missing { .. } => FailureKind::SourceMissing,
            GitError::Empty { .. } => FailureKind::SourceEmpty,
            GitError::TooLarge { .. } => FailureKind::SourceTooLarge,
            GitError::Hostile { .. } => FailureKind::SourceHostile,
            GitError::DiskFull { .. } => FailureKind::DiskFull,
            GitError::Secret(failure) => return failure.clone(),
            GitError::Io { source, .. } => local::exhausted(source).unwrap_or(FailureKind::GitFailed),
            GitError::Broken { .. } => FailureKind::GitFailed,
        };
        let detail = if let GitError::Io { what, source } = self {
            format!("{what}: {source}")
        } else {
            self.to_string()
        };
        Failure::new(kind, detail)
    }

    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| GitError::Io { what, source }
    }

    /// Reads git's last words (C locale). `said` is already without secrets.
    pub(super) fn from_words(url: String, said: String) -> Self {
        // Lines a server writes to people are not evidence: anyone can write anything there.
        let evidence: String = said
            .lines()
            .filter(|l| !l.starts_with("remote:"))
            .collect::<Vec<_>>()
            .join("\n");
        let said = one_line(&said);
        let has = |signs: &[&str]| signs.iter().any(|sign| evidence.contains(sign));
        if has(DISK_FULL) {
            GitError::DiskFull { url }
        } else if has(HOSTILE) {
            GitError::Hostile {
                what: format!("git refuses what {url} holds: {said}"),
            }
        } else if has(GONE) {
            GitError::Gone { url, said }
        } else if has(DENIED) {
            GitError::Denied { url, said }
        } else if has(MISSING) {
            let what = "what was asked for".to_owned();
            GitError::Missing { url, what }
        } else if has(UNREACHABLE) {
            GitError::Unreachable { url, said }
        } else {
            GitError::Broken { url, said }
        }
    }
}

/// Without what git adds for people at a terminal, when it said anything else.
fn one_line(said: &str) -> String {
    let advice = |line: &&str| ADVICE.iter().any(|sign| line.contains(sign));
    let lines: Vec<&str> = said.lines().filter(|line| !advice(line)).collect();
    if lines.is_empty() {
        said.replace('\n', "; ")
    } else {
        lines.join("; ")
    }
}

const ADVICE: &[&str] = &[
    "Could not read from remote repository",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
];
const DISK_FULL: &[&str] = &["No space left on device", "Disk quota exceeded"];
const HOSTILE: &[&str] = &["fsck error", "invalid path '", "refusing to "];
const GONE: &[&str] = &[
    "' not found",
    "Repository not found",
    "repository not exported",
    "does not appear to be a git repository",
    "is this a git repository?",
    "does not exist",
    "returned error: 404",
    "returned error: 410",
];
const DENIED: &[&str] = &[
    "Authentication failed",
    "unable to get password from user",
    "could not read Username",
    "could not read Password",
    "Permission denied",
    "returned error: 401",
    "returned error: 403",
    "Host key verification failed",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "Too many authentication failures",
    "access denied",
    "Access denied",
];
/// Also what servers say that do not give out commits by id, or know nothing of shallow histories.
const MISSING: &[&str] = &[
    "couldn't find remote ref",
    "not our ref",
    "unadvertised object",
    "does not support shallow",
    "Server does not support",
];
const UNREACHABLE: &[&str] = &[
    "Could not resolve",
    "Name or service not known",
    "Temporary failure in name resolution",
    "unable to look up",
    "Connection refused",
    "Connection reset",
    "Connection closed",
    "Connection timed out",
    "Operation timed out",
    "Operation too slow",
    "Failed to connect",
    "Could not connect",
    "unable to connect",
    "No route to host",
    "Network is unreachable",
    "Empty reply from server",
    "hung up unexpectedly",
    "early EOF",
    "unexpected disconnect",
    "unexpected flush packet",
    "invalid index-pack output",
    "RPC failed",
    "bad line length",
    "protocol error",
    "returned error: 429",
    "returned error: 5",
    "SSL",
    "TLS",
    "certificate",
    "Recv failure",
    "Could not read from remote repository",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// git 2.47 and OpenSSH 9, C locale.
    const LAST_WORDS: &[(&str, FailureKind)] = &[
        (
            "fatal: unable to access 'https://h/': Could not resolve host: h",
            FailureKind::SourceUnreachable,
        ),
        (
            "fatal: unable to access 'http://h/': The requested URL returned error: 503",
            FailureKind::SourceUnreachable,
        ),
        (
            "fatal: unable to access 'http://h/': The requested URL returned error: 403",
            FailureKind::SourceDenied,
        ),
        (
            "fatal: Authentication failed for 'https://h/a/'",
            FailureKind::SourceDenied,
        ),
        (
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            FailureKind::SourceDenied,
        ),
        (
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            FailureKind::SourceDenied,
        ),
        (
            "Host key verification failed.\nfatal: Could not read from remote repository.",
            FailureKind::SourceDenied,
        ),
        (
            "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.",
            FailureKind::SourceUnreachable,
        ),
        (
            "remote: Not Found\nfatal: repository 'https://h/a/' not found",
            FailureKind::SourceGone,
        ),
        (
            "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
            FailureKind::SourceGone,
        ),
        (
            "fatal: '/srv/x' does not appear to be a git repository",
            FailureKind::SourceGone,
        ),
        (
            "fatal: remote error: access denied or repository not exported: /x",
            FailureKind::SourceGone,
        ),
        (
            "fatal: couldn't find remote ref refs/heads/x",
            FailureKind::SourceMissing,
        ),
        (
            "fatal: remote error: upload-pack: not our ref 0123",
            FailureKind::SourceMissing,
        ),
        (
            "error: object 0123: hasDotgit: contains '.git'\nfatal: fsck error in packed object",
            FailureKind::SourceHostile,
        ),
        ("fatal: write error: No space left on device", FailureKind::DiskFull),
        (
            "fatal: not a git repository: '/state/mirrors/x'",
            FailureKind::GitFailed,
        ),
        ("error: packfile x.pack does not match index", FailureKind::GitFailed),
        // A server cannot talk itself into another kind.
        (
            "remote: Authentication failed\nfatal: the remote end hung up unexpectedly",
            FailureKind::SourceUnreachable,
        ),
    ];

    #[test]
    fn last_words_have_their_kind() {
        for (said, kind) in LAST_WORDS {
            let error = GitError::from_words("u".into(), (*said).to_owned());
            assert_eq!(error.failure().kind, *kind, "{said}");
        }
    }
}
