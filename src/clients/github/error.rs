//! How GitHub can fail, and when to retry.

use crate::clients::clock;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Failure;
use octocrab::GitHubError;

/// Characters of GitHub's own words that are retained.
const SERVER_WORDS: usize = 300;
/// The longest wait that a response can impose; GitHub counts its limits by the hour.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// No connection, or it broke.
    #[error("GitHub at {api} does not answer")]
    Unreachable {
        api: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request may have been carried out; every one of ours may be repeated.
    #[error("no answer from GitHub at {api} within {seconds} s")]
    Timeout { api: String, seconds: u64 },
    /// 401: the token is wrong or has expired.
    #[error("GitHub refuses the token: {message}")]
    Denied { message: String },
    /// 403 that is no rate limit: the token lacks a right.
    #[error("the token may not {what}: {message}")]
    Forbidden { what: String, message: String },
    /// 429, or a 403 that says so: the primary or a secondary rate limit.
    #[error("GitHub's rate limit is reached: {message}")]
    Limited {
        /// When GitHub says we may come again, at most a day ahead; `None`: it does not say.
        until: Option<Timestamp>,
        message: String,
    },
    /// 404: GitHub says the same for what is not there and for what the token may not see.
    #[error("cannot {what}: it is not on GitHub, or the token may not see it")]
    NotFound { what: String },
    /// 410: issues are switched off.
    #[error("cannot {what}: issues are switched off in that repository")]
    Gone { what: String },
    /// 301, 307, 308 to a write: the repository was renamed.
    #[error("cannot {what}: the repository has moved; write its new name as github.repo")]
    Moved { what: String },
    /// 422 and every other 4xx.
    #[error("GitHub refuses to {what} ({status}): {message}")]
    Refused { what: String, status: u16, message: String },
    /// 5xx.
    #[error("GitHub cannot {what} now ({status}): {message}")]
    Broken { what: String, status: u16, message: String },
    /// A response that is not what the API promises.
    #[error("GitHub's answer cannot be read ({what}): {message}")]
    Unreadable { what: String, message: String },
    /// More pages than anything of ours fills; what is not read is not guessed at.
    #[error("cannot {what}: there are more than {limit} entries")]
    TooMany { what: String, limit: usize },
    /// The token cannot be read.
    #[error(transparent)]
    Secret(#[from] Failure),
    /// The address or the token cannot be used in a request.
    #[error("notify.github cannot be used: {message}")]
    Unusable { message: &'static str },
}

impl GithubError {
    /// Would the same call, later, have a chance by itself?
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            GithubError::Unreachable { .. }
            | GithubError::Timeout { .. }
            | GithubError::Limited { .. }
            | GithubError::Broken { .. }
            | GithubError::Unreadable { .. } => true,
            GithubError::Denied { .. }
            | GithubError::Forbidden { .. }
            | GithubError::NotFound { .. }
            | GithubError::Gone { .. }
            | GithubError::Moved { .. }
            | GithubError::Refused { .. }
            | GithubError::TooMany { .. }
            | GithubError::Secret(_)
            | GithubError::Unusable { .. } => false,
        }
    }

    /// Whether an operator has to fix the token or settings. The notice itself is fine then, and is retained.
    #[must_use]
    pub fn operator(&self) -> bool {
        match self {
            GithubError::Denied { .. }
            | GithubError::Forbidden { .. }
            | GithubError::Secret(_)
            | GithubError::Unusable { .. } => true,
            GithubError::Unreachable { .. }
            | GithubError::Timeout { .. }
            | GithubError::Limited { .. }
            | GithubError::NotFound { .. }
            | GithubError::Gone { .. }
            | GithubError::Moved { .. }
            | GithubError::Refused { .. }
            | GithubError::Broken { .. }
            | GithubError::Unreadable { .. }
            | GithubError::TooMany { .. } => false,
        }
    }

    /// Would every other request fail the same way now?
    #[must_use]
    pub fn everywhere(&self) -> bool {
        match self {
            GithubError::Unreachable { .. }
            | GithubError::Timeout { .. }
            | GithubError::Denied { .. }
            | GithubError::Limited { .. }
            | GithubError::Secret(_)
            | GithubError::Unusable { .. } => true,
            GithubError::Forbidden { .. }
            | GithubError::NotFound { .. }
            | GithubError::Gone { .. }
            | GithubError::Moved { .. }
            | GithubError::Refused { .. }
            | GithubError::Broken { .. }
            | GithubError::Unreadable { .. }
            | GithubError::TooMany { .. } => false,
        }
    }
}

/// `what` completes *cannot …*.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "octocrab's enum is foreign and open: what we do not know is no answer"
)]
pub(super) fn classify(api: &str, what: &str, error: octocrab::Error) -> GithubError {
    match error {
        octocrab::Error::GitHub { source, .. } => classify_response(what, &source, clock::now()),
        error if unreadable(&error) => GithubError::Unreadable {
            what: what.to_owned(),
            message: words(&error.to_string()),
        },
        error => GithubError::Unreachable {
            api: api.to_owned(),
            source: Box::new(error),
        },
    }
}

fn unreadable(error: &octocrab::Error) -> bool {
    matches!(
        error,
        octocrab::Error::Json { .. } | octocrab::Error::Serde { .. } | octocrab::Error::InvalidUtf8 { .. }
    )
}

fn classify_response(what: &str, error: &GitHubError, now: Timestamp) -> GithubError {
    let message = words(&error.message);
    let what = what.to_owned();
    let status = error.status_code.as_u16();
    match status {
        429 => limited(error, message, now),
        403 if is_limit(error) => limited(error, message, now),
        401 => GithubError::Denied { message },
        403 => GithubError::Forbidden { what, message },
        404 => GithubError::NotFound { what },
        410 => GithubError::Gone { what },
        301 | 302 | 307 | 308 => GithubError::Moved { what },
        500.. => GithubError::Broken { what, status, message },
        _ => GithubError::Refused { what, status, message },
    }
}

/// A 403 is a limit when its headers or its words say so ("Rate limits for the REST API" of GitHub's documentation).
fn is_limit(error: &GitHubError) -> bool {
    header(error, "retry-after").is_some()
        || header(error, "x-ratelimit-remaining") == Some("0")
        || error.message.to_lowercase().contains("rate limit")
}

/// `retry-after` (seconds) comes first; the reset (seconds since 1970) counts only once nothing remains.
fn limited(error: &GitHubError, message: String, now: Timestamp) -> GithubError {
    let after = header(error, "retry-after").and_then(|text| text.trim().parse::<i64>().ok());
    let spent = header(error, "x-ratelimit-remaining") == Some("0");
    let reset = header(error, "x-ratelimit-reset").filter(|_| spent);
    let until = match after {
        Some(seconds) => Some(now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)),
        None => reset.and_then(|text| Timestamp::from_second(text.trim().parse().ok()?).ok()),
    };
    let latest = now.saturating_add(LONGEST).unwrap_or(now);
    GithubError::Limited {
        until: until.map(|until| until.clamp(now, latest)),
        message,
    }
}

fn header<'a>(error: &'a GitHubError, name: &str) -> Option<&'a str> {
    error.headers.as_ref()?.get(name)?.to_str().ok()
}

/// Server text on one line, bounded.
fn words(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(SERVER_WORDS).collect()
}
