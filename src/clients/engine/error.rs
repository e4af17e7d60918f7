//! How a call to an engine can fail.

use crate::clients::http::Root;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::local;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No response: socket missing, refused, reset.
    #[error("the engine at {address} does not answer")]
    Unreachable {
        address: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Its socket is there, and this process may not use it.
    #[error(
        "permission denied on the engine's socket, {address}: run lowtide with the group of the socket \
         (docker run --group-add, or SupplementaryGroups= of the service)"
    )]
    Denied { address: String },
    /// 404: the named object does not exist (any more).
    #[error("{what} does not exist")]
    NotFound { what: String },
    /// 409: name taken, or the object is in a state that forbids the call.
    #[error("{message}")]
    Conflict { message: String },
    /// Any other status; the engine's own words.
    #[error("the engine answered {status}: {message}")]
    Refused { status: u16, message: String },
    /// It began, and the engine reported an error on the way (inside its stream of progress).
    #[error("{what} failed: {message}")]
    Failed { what: String, message: String },
    /// The engine did not finish in time; it may still be doing it.
    #[error("no answer to {what} within {seconds} s")]
    Timeout { what: String, seconds: u64 },
    /// A response we cannot read. Means *unknown*, never *absent*.
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
            EngineError::Unreachable { .. } | EngineError::Denied { .. } | EngineError::Timeout { .. } => true,
            EngineError::Refused { status, .. } => *status >= 500,
            EngineError::Failed { message, .. } => matches!(
                registry_kind(message),
                Some(FailureKind::RegistryUnreachable | FailureKind::RegistryBusy)
            ),
            EngineError::NotFound { .. } | EngineError::Conflict { .. } | EngineError::Unreadable { .. } => false,
        }
    }

    /// Whether repeating the request can only fail again, judged by its status. An invalid request stays invalid, and a
    /// missing image stays missing. Most conflicts pass (something is being removed or started); a name that is taken
    /// and an image that is in use do not.
    fn is_final(&self) -> bool {
        match self {
            EngineError::Refused { status, message } => match *status {
                // Request timeout, locked, too early, too many requests.
                408 | 423 | 425 | 429 => false,
                // How Docker responds while containers leave a network.
                403 => !message.contains("active endpoints"),
                status => (400..500).contains(&status),
            },
            EngineError::NotFound { what } => {
                what.starts_with("image ") || what.split(' ').nth(1).is_some_and(|path| path.starts_with("/images/"))
            }
            EngineError::Conflict { message } => {
                let signs = [
                    "already in use",
                    "already exists",
                    "must force",
                    "must be forced",
                    "cannot be forced",
                ];
                signs.iter().any(|sign| message.contains(sign))
            }
            EngineError::Unreachable { .. }
            | EngineError::Denied { .. }
            | EngineError::Failed { .. }
            | EngineError::Timeout { .. }
            | EngineError::Unreadable { .. } => false,
        }
    }

    /// As a failure of a stage or step that has no more specific kind for it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        if let EngineError::Unreachable { address, source } = self
            && let Some(kind) = local::exhausted(&**source)
        {
            return Failure::new(kind, format!("no connection to {address}: {}", Root::of(&**source)));
        }
        let kind = match self {
            EngineError::Unreachable { .. } | EngineError::Denied { .. } | EngineError::Timeout { .. } => {
                FailureKind::EngineUnreachable
            }
            EngineError::Refused { message, .. }
            | EngineError::Failed { message, .. }
            | EngineError::Conflict { message }
                if disk_full(message) =>
            {
                FailureKind::DiskFull
            }
            EngineError::Failed { message, .. } => registry_kind(message).unwrap_or(FailureKind::EngineRefused),
            EngineError::NotFound { .. } | EngineError::Conflict { .. } | EngineError::Refused { .. }
                if self.is_final() =>
            {
                FailureKind::EngineRejected
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
            B::DockerStreamError { error } => EngineError::Failed {
                what: what.to_owned(),
                message: error,
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
            e => Self::no_response(address.to_owned(), Box::new(e)),
        }
    }

    /// There was no answer; why is somewhere among the causes.
    pub(super) fn no_response(address: String, source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*source);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
                return EngineError::Denied { address };
            }
            cause = error.source();
        }
        EngineError::Unreachable { address, source }
    }
}

/// bollard 0.21 reads progress messages line by line, and reports a line break that arrives alone at the end of a
/// response as an incomplete message. That is indistinguishable from a truncated message, so the caller asks the engine
/// how the call ended. The text is tokio-util's `Decoder::decode_eof`.
pub(super) fn is_loose_end(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::IOError { err } if err.to_string() == "bytes remaining on stream")
}

/// ENOSPC and EDQUOT, as programs and engines write them.
#[must_use]
pub fn disk_full(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("no space left on device") || message.contains("disk quota exceeded")
}

/// Do the runtime's words say that it came as far as the container's own `program` (its `Path`), and could not execute it?
/// A device, a mount or a runtime of the host's that is missing speaks of "no such file" too, but not of this program. Texts
/// of runc and crun.
#[must_use]
pub fn cannot_execute(message: &str, program: &str) -> bool {
    let named = [
        format!("exec: \"{program}\""),
        format!("exec {program}"),
        format!("executable file `{program}`"),
    ];
    let signs = [
        "executable file not found",
        "executable file `",
        "no such file or directory",
        "permission denied",
        "is a directory",
        "exec format error",
    ];
    let own_user = message.contains("unable to find user") || message.contains("unable to find group");
    own_user
        || (!program.is_empty()
            && named.iter().any(|name| message.contains(name))
            && signs.iter().any(|sign| message.contains(sign)))
}

/// What an engine's words about a registry mean. Engines pass on texts, not codes; these are Docker's, BuildKit's,
/// containerd's and Go's `net`.
pub(super) fn registry_kind(message: &str) -> Option<FailureKind> {
    let text = message.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if has(&["too many requests", "toomanyrequests"]) {
        Some(FailureKind::RegistryBusy)
    } else if has(&[
        "unauthorized",
        "authorization failed",
        "authentication required",
        "access denied",
        "access to the resource is denied",
        "access forbidden",
        "no basic auth credentials",
        "401",
        "403 forbidden",
    ]) {
        Some(FailureKind::RegistryDenied)
    } else if has(&[
        "manifest unknown",
        "not found",
        "name unknown",
        "does not exist",
        "no such image",
    ]) && !has(&["no such host"])
    {
        Some(FailureKind::BaseMissing)
    } else if has(&[
        "connection refused",
        "connection reset",
        "no such host",
        "i/o timeout",
        "deadline exceeded",
        "timeout",
        "tls",
        "x509",
        "server gave http response",
        "eof",
        "no route to host",
        "network is unreachable",
        "server misbehaving",
        "500 internal server error",
        "502 bad gateway",
        "503 service unavailable",
        "504 gateway",
    ]) {
        Some(FailureKind::RegistryUnreachable)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_words_about_registries() {
        for (message, kind) in [
            (
                "unauthorized: authentication required",
                Some(FailureKind::RegistryDenied),
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                Some(FailureKind::RegistryDenied),
            ),
            ("no basic auth credentials", Some(FailureKind::RegistryDenied)),
            (
                "manifest for registry.example.org/x:1 not found: manifest unknown: manifest unknown",
                Some(FailureKind::BaseMissing),
            ),
            ("registry.example.org/x:1: not found", Some(FailureKind::BaseMissing)),
            (
                "Get \"https://registry.example.org/v2/\": dial tcp 192.0.2.1:443: connect: connection refused",
                Some(FailureKind::RegistryUnreachable),
            ),
            (
                "dial tcp: lookup registry.example.org: no such host",
                Some(FailureKind::RegistryUnreachable),
            ),
            (
                "toomanyrequests: You have reached your unauthenticated pull rate limit.",
                Some(FailureKind::RegistryBusy),
            ),
            ("something nobody has seen", None),
        ] {
            assert_eq!(registry_kind(message), kind, "{message}");
        }
    }

    #[test]
    fn a_socket_that_may_not_be_used_is_reported_with_its_remedy() {
        let unreachable = |kind: std::io::ErrorKind| {
            // As a client wraps it: the system's error is a cause of a cause.
            let inner = std::io::Error::other(EngineError::Unreadable {
                what: "connect".to_owned(),
                source: Box::new(std::io::Error::from(kind)),
            });
            EngineError::no_response("unix:///var/run/docker.sock".to_owned(), Box::new(inner))
        };
        let denied = unreachable(std::io::ErrorKind::PermissionDenied);
        assert_eq!(
            denied.to_string(),
            "permission denied on the engine's socket, unix:///var/run/docker.sock: run lowtide with the group of the \
             socket (docker run --group-add, or SupplementaryGroups= of the service)"
        );
        assert_eq!(denied.failure().kind, FailureKind::EngineUnreachable);
        let refused = unreachable(std::io::ErrorKind::ConnectionRefused);
        assert!(matches!(refused, EngineError::Unreachable { .. }), "{refused:?}");
    }

    #[test]
    fn permanent_errors_are_not_retried() {
        let refused = |status, message: &str| EngineError::Refused {
            status,
            message: message.to_owned(),
        };
        let gone = |what: &str| EngineError::NotFound { what: what.to_owned() };
        let conflict = |message: &str| EngineError::Conflict {
            message: message.to_owned(),
        };
        for (error, kind) in [
            (refused(400, "invalid mount config"), FailureKind::EngineRejected),
            (
                refused(401, "authorization denied by plugin"),
                FailureKind::EngineRejected,
            ),
            (refused(403, "forbidden"), FailureKind::EngineRejected),
            (
                refused(403, "network x has active endpoints"),
                FailureKind::EngineRefused,
            ),
            (refused(405, "method not allowed"), FailureKind::EngineRejected),
            (refused(406, "not acceptable"), FailureKind::EngineRejected),
            (refused(408, "request timeout"), FailureKind::EngineRefused),
            (refused(429, "too many requests"), FailureKind::EngineRefused),
            (refused(500, "driver failed"), FailureKind::EngineRefused),
            (refused(501, "not implemented"), FailureKind::EngineRefused),
            (refused(503, "starting"), FailureKind::EngineRefused),
            (refused(400, "write /x: no space left on device"), FailureKind::DiskFull),
            (gone("image sha256:00"), FailureKind::EngineRejected),
            (gone("POST /images/sha256:00/tag"), FailureKind::EngineRejected),
            (gone("container 0123456789ab"), FailureKind::EngineRefused),
            (gone("GET /containers/0123/json"), FailureKind::EngineRefused),
            (
                gone("POST /containers/0123/start (no such path: /images/a)"),
                FailureKind::EngineRefused,
            ),
            (
                conflict("The container name \"/x\" is already in use"),
                FailureKind::EngineRejected,
            ),
            (
                conflict("conflict: unable to remove x (must force)"),
                FailureKind::EngineRejected,
            ),
            (
                conflict("removal of container x is already in progress"),
                FailureKind::EngineRefused,
            ),
            (conflict("container x is not running"), FailureKind::EngineRefused),
        ] {
            let failure = error.failure();
            assert_eq!(failure.kind, kind, "{error:?}");
            let again = failure.fault() == lowtide_model::failure::Fault::Infra;
            assert_eq!(again, kind != FailureKind::EngineRejected, "{error:?}");
        }
    }

    #[test]
    fn a_command_that_cannot_be_executed_is_reported_from_a_host_that_lacks_something() {
        for (message, program, own) in [
            (
                "OCI runtime create failed: runc create failed: unable to start container process: exec: \"nosuch\": \
                 executable file not found in $PATH: unknown",
                "nosuch",
                true,
            ),
            (
                "exec: \"/x.sh\": stat /x.sh: no such file or directory: unknown",
                "/x.sh",
                true,
            ),
            ("exec: \"/x.sh\": permission denied: unknown", "/x.sh", true),
            ("exec /app: exec format error", "/app", true),
            (
                "crun: executable file `/app` not found: No such file or directory",
                "/app",
                true,
            ),
            (
                "unable to find user app: no matching entries in passwd file",
                "sh",
                true,
            ),
            (
                "error gathering device information while adding custom device \"/dev/ttyUSB0\": no such file or directory",
                "/app",
                false,
            ),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /srv/x",
                "/app",
                false,
            ),
            // The host's runtime, not the image's program.
            (
                "unable to retrieve OCI runtime error: exec: \"nvidia-container-runtime\": executable file not found in $PATH",
                "/app",
                false,
            ),
            (
                "error setting rlimits for ready process: operation not permitted",
                "sh",
                false,
            ),
            (
                "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
                "sh",
                false,
            ),
            ("network 0123 not found", "sh", false),
            (
                "apparmor failed to apply profile: write /proc/self/attr/apparmor/exec: no such file or directory",
                "sh",
                false,
            ),
            ("exec: \"\": executable file not found", "", false),
        ] {
            assert_eq!(cannot_execute(message, program), own, "{message}");
        }
    }

    #[test]
    fn too_many_open_files_here_are_not_the_engines_silence() {
        let unreachable = |number| EngineError::Unreachable {
            address: "unix:///x".to_owned(),
            source: Box::new(std::io::Error::from_raw_os_error(number)),
        };
        // EMFILE, ECONNREFUSED.
        let failure = unreachable(24).failure();
        assert_eq!(failure.kind, FailureKind::LocalTrouble);
        assert!(failure.detail.contains("Too many open files"), "{failure}");
        assert_eq!(unreachable(111).failure().kind, FailureKind::EngineUnreachable);
    }

    #[test]
    fn failures_have_kinds() {
        let failed = |message: &str| EngineError::Failed {
            what: "push of x".into(),
            message: message.into(),
        };
        assert_eq!(
            failed("write /x: no space left on device").failure().kind,
            FailureKind::DiskFull
        );
        let refused = |status, message: &str| EngineError::Refused {
            status,
            message: message.to_owned(),
        };
        for error in [
            refused(500, "mkdir /data/overlay2/x: no space left on device"),
            refused(
                500,
                "OCI runtime exec failed: write /run/x: No space left on device: unknown",
            ),
            refused(500, "write /x: disk quota exceeded"),
            EngineError::Conflict {
                message: "write /x: no space left on device".to_owned(),
            },
        ] {
            assert_eq!(error.failure().kind, FailureKind::DiskFull, "{error}");
        }
        assert_eq!(
            failed("unauthorized: authentication required").failure().kind,
            FailureKind::RegistryDenied
        );
        assert_eq!(failed("odd").failure().kind, FailureKind::EngineRefused);
        assert!(failed("net/http: TLS handshake timeout").retryable());
        assert!(!failed("unauthorized").retryable());
    }
}
