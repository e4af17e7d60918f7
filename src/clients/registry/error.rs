//! How a call to a registry can fail.

use crate::clients::credentials::{CredentialError, Origin};
use crate::clients::http::Root;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use lowtide_model::failure::{Failure, FailureKind};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use std::time::Duration;

/// Registry answers are quoted to people; a page of HTML helps nobody.
const MESSAGE: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No response: name unknown, refused, reset, TLS.
    #[error("the registry {registry} does not answer: {source}")]
    Unreachable {
        registry: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was requested may still happen there.
    #[error("the registry {registry} did not finish within {limit:?}: {what}")]
    Timeout {
        registry: String,
        what: String,
        limit: Duration,
    },
    /// It answers 429, or did so and named a time that has not come yet: then it was sent nothing.
    #[error("the registry {registry} takes no more requests from us before {} UTC", minute(*.until))]
    Busy { registry: String, until: Timestamp },
    /// 401 or 403. Docker Hub and others answer so, too, for what does not exist.
    #[error("the registry {registry} denies {what}{}", shown(.credential.as_ref()))]
    Denied {
        registry: String,
        what: String,
        /// The one that was sent.
        credential: Option<Origin>,
    },
    #[error("{what} does not exist")]
    Missing { what: String },
    /// Immutable tags are never moved.
    #[error("{reference} is {existing} already, not {wanted}")]
    TagTaken {
        reference: String,
        existing: String,
        wanted: String,
    },
    #[error("the registry {registry} answered {status}: {message}")]
    Refused {
        registry: String,
        status: u16,
        message: String,
    },
    /// Content is not what its digest says, or a tag is not what was just written.
    #[error("{what} is {actual}, not {expected}")]
    Mismatch {
        what: String,
        expected: String,
        actual: String,
    },
    #[error("{reference} has no image for {platform}, only for {offered}")]
    NoPlatform {
        reference: String,
        platform: String,
        offered: String,
    },
    /// A response we cannot read. Means *unknown*, never *absent*.
    #[error("the answer of the registry {registry} to {what} cannot be read: {why}")]
    Unreadable {
        registry: String,
        what: String,
        why: String,
    },
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl RegistryError {
    /// Would the same call, later, have a chance?
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            RegistryError::Unreachable { .. } | RegistryError::Timeout { .. } | RegistryError::Busy { .. } => true,
            RegistryError::Refused { status, .. } => *status >= 500,
            RegistryError::Denied { .. }
            | RegistryError::Missing { .. }
            | RegistryError::TagTaken { .. }
            | RegistryError::Mismatch { .. }
            | RegistryError::NoPlatform { .. }
            | RegistryError::Unreadable { .. }
            | RegistryError::Credential(_) => false,
        }
    }

    /// As a failure of a stage that has no more specific kind for it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = match self {
            RegistryError::Unreachable { .. } | RegistryError::Timeout { .. } => FailureKind::RegistryUnreachable,
            RegistryError::Busy { until, .. } => {
                return Failure::new(FailureKind::RegistryBusy, self.to_string()).not_before(*until);
            }
            RegistryError::Denied { .. } => FailureKind::RegistryDenied,
            RegistryError::Missing { .. } | RegistryError::NoPlatform { .. } => FailureKind::BaseMissing,
            RegistryError::TagTaken { .. } => FailureKind::TagTaken,
            RegistryError::Mismatch { .. } => FailureKind::DigestMismatch,
            RegistryError::Refused { .. } | RegistryError::Unreadable { .. } => FailureKind::RegistryRefused,
            RegistryError::Credential(e) => return e.failure(),
        };
        Failure::new(kind, self.to_string())
    }

    /// The same, saying which credential was denied.
    pub(super) fn sent_with(mut self, origin: Option<&Origin>) -> Self {
        if let RegistryError::Denied { credential, .. } = &mut self {
            *credential = origin.cloned();
        }
        self
    }

    pub(super) fn status(registry: &str, what: &str, status: u16, message: &str) -> Self {
        let (registry, what) = (registry.to_owned(), what.to_owned());
        match status {
            401 | 403 => RegistryError::Denied {
                registry,
                what,
                credential: None,
            },
            404 => RegistryError::Missing { what },
            _ => RegistryError::Refused {
                registry,
                status,
                message: message.chars().take(MESSAGE).collect(),
            },
        }
    }

    pub(super) fn from_reqwest(registry: &str, what: &str, error: reqwest::Error) -> Self {
        if let Some(status) = error.status() {
            return Self::status(registry, what, status.as_u16(), "");
        }
        RegistryError::Unreachable {
            registry: registry.to_owned(),
            // An address may carry a signature in its query; the cause is what tells something.
            source: Box::new(Root::of(&error.without_url())),
        }
    }

    /// What ended the stream of a blob: oci-client compares it with its digest at the end.
    pub(super) fn from_stream(registry: &str, what: &str, error: std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<DigestError>());
        if let Some(DigestError::VerificationError { expected, actual }) = inner {
            return RegistryError::Mismatch {
                what: what.to_owned(),
                expected: expected.clone(),
                actual: actual.clone(),
            };
        }
        RegistryError::Unreachable {
            registry: registry.to_owned(),
            source: Box::new(Root::of(&error)),
        }
    }

    /// Classifies oci-client's error for the call described by `what`.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "oci-client's enum is foreign: what we do not know is an answer we cannot read"
    )]
    pub(super) fn from_oci(registry: &str, what: &str, error: OciDistributionError) -> Self {
        use OciDistributionError as O;
        match error {
            O::RequestError(e) => Self::from_reqwest(registry, what, e),
            O::UnauthorizedError { .. } | O::AuthenticationFailure(_) => Self::status(registry, what, 401, ""),
            O::ServerError { code, message, .. } => Self::status(registry, what, code, &message),
            O::ImageManifestNotFoundError(_) => Self::status(registry, what, 404, ""),
            O::RegistryError { envelope, .. } => {
                let status = envelope.errors.first().map_or(400, |e| status_of(&e.code));
                Self::status(registry, what, status, &envelope.to_string())
            }
            O::DigestError(DigestError::VerificationError { expected, actual }) => RegistryError::Mismatch {
                what: what.to_owned(),
                expected,
                actual,
            },
            O::IoError(e) => RegistryError::Unreachable {
                registry: registry.to_owned(),
                source: Box::new(Root::of(&e)),
            },
            e => RegistryError::Unreadable {
                registry: registry.to_owned(),
                what: what.to_owned(),
                why: e.to_string().chars().take(MESSAGE).collect(),
            },
        }
    }
}

/// Rounded up: nobody should come too early.
fn minute(time: Timestamp) -> String {
    let up = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
    time.round(up).unwrap_or(time).strftime("%H:%M").to_string()
}

fn shown(credential: Option<&Origin>) -> String {
    credential.map_or_else(
        || " without a credential".to_owned(),
        |origin| format!(" with {origin}"),
    )
}

/// oci-client keeps the error codes of a response and drops its status.
fn status_of(code: &OciErrorCode) -> u16 {
    match code {
        OciErrorCode::ManifestUnknown
        | OciErrorCode::NameUnknown
        | OciErrorCode::NotFound
        | OciErrorCode::BlobUnknown
        | OciErrorCode::ManifestBlobUnknown => 404,
        OciErrorCode::Unauthorized => 401,
        OciErrorCode::Denied => 403,
        OciErrorCode::Toomanyrequests => 429,
        OciErrorCode::BlobUploadInvalid
        | OciErrorCode::BlobUploadUnknown
        | OciErrorCode::DigestInvalid
        | OciErrorCode::ManifestInvalid
        | OciErrorCode::ManifestUnverified
        | OciErrorCode::NameInvalid
        | OciErrorCode::SizeInvalid
        | OciErrorCode::TagInvalid
        | OciErrorCode::Unsupported
        | OciErrorCode::Other(_) => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::failure::Fault;

    #[test]
    fn a_busy_registry_is_its_own_fault_and_names_its_time() {
        let busy = |until: &str| RegistryError::Busy {
            registry: "docker.io".to_owned(),
            until: until.parse().unwrap(),
        };
        let error = busy("2026-11-06T02:30:01Z");
        insta::assert_snapshot!(error.failure(), @"the registry's request limit is reached: the registry docker.io takes no more requests from us before 02:31 UTC");
        let failure = error.failure();
        assert_eq!((failure.fault(), error.retryable()), (Fault::Infra, true));
        assert_eq!(failure.not_before, "2026-11-06T02:30:01Z".parse().ok());
        insta::assert_snapshot!(busy("2026-11-06T23:59:59.5Z"), @"the registry docker.io takes no more requests from us before 00:00 UTC");
    }

    #[test]
    fn statuses_become_kinds() {
        let kind = |status| {
            let e = RegistryError::status("r.example.org", "app:1", status, "no");
            (e.failure().kind, e.retryable())
        };
        assert_eq!(kind(401), (FailureKind::RegistryDenied, false));
        assert_eq!(kind(403), (FailureKind::RegistryDenied, false));
        assert_eq!(kind(404), (FailureKind::BaseMissing, false));
        assert_eq!(kind(503), (FailureKind::RegistryRefused, true));
        assert_eq!(kind(400), (FailureKind::RegistryRefused, false));
    }
}
