//! How a call to an engine can fail.

use crate::model::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No answer: socket missing, refused, reset.
    #[error("the engine at {address} does not answer")]
    Unreachable {
        address: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// 404: the named object does not exist (any more).
    #[error("{what} does not exist")]
    NotFound { what: String },
    /// 409: name taken, or the object is in a state that forbids the call.
    #[error("{message}")]
    Conflict { message: String },
    /// Any other status; the engine's own words.
    #[error("the engine answered {status}: {message}")]
    Refused { status: u16, message: String },
    /// The engine did not finish in time; it may still be doing it.
    #[error("no answer to {what} within {seconds} s")]
    Timeout { what: String, seconds: u64 },
    /// An answer we cannot read. Means *unknown*, never *absent*.
    #[error("the engine's answer to {what} cannot be read")]
    Unreadable {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EngineError {
    /// Would the same call, later, have a chance?
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            EngineError::Unreachable { .. } | EngineError::Timeout { .. } => true,
            EngineError::Refused { status, .. } => *status >= 500,
            EngineError::NotFound { .. } | EngineError::Conflict { .. } | EngineError::Unreadable { .. } => false,
        }
    }

    /// As a failure of a stage or step that has no more specific kind for it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = match self {
            EngineError::Unreachable { .. } | EngineError::Timeout { .. } => FailureKind::EngineUnreachable,
            EngineError::Refused { message, .. } if message.contains("no space left on device") => {
                FailureKind::DiskFull
            }
            EngineError::NotFound { .. }
            | EngineError::Conflict { .. }
            | EngineError::Refused { .. }
            | EngineError::Unreadable { .. } => FailureKind::EngineRefused,
        };
        Failure::new(kind, self.to_string())
    }

    /// Classifies bollard's error for the call described by `what`.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "bollard's enum is foreign and open: what we do not know is no answer"
    )]
    pub(super) fn from_bollard(address: &str, what: &str, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as B;
        match error {
            B::DockerResponseServerError { status_code: 404, .. } => EngineError::NotFound { what: what.to_owned() },
            B::DockerResponseServerError {
                status_code: 409,
                message,
            } => EngineError::Conflict { message },
            B::DockerResponseServerError { status_code, message } => EngineError::Refused {
                status: status_code,
                message,
            },
            B::RequestTimeoutError => EngineError::Timeout {
                what: what.to_owned(),
                seconds: super::connect::TIMEOUT_S,
            },
            e @ (B::JsonDataError { .. }
            | B::JsonSerdeError { .. }
            | B::StrParseError { .. }
            | B::StrFmtError { .. }) => EngineError::Unreadable {
                what: what.to_owned(),
                source: Box::new(e),
            },
            e => EngineError::Unreachable {
                address: address.to_owned(),
                source: Box::new(e),
            },
        }
    }
}
