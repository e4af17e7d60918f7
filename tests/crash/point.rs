//! Where lowtide is killed.

use std::fmt;

/// What happened to the call when lowtide died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The engine never heard of it.
    Before,
    /// The engine did it; lowtide never heard the answer.
    ResponseLost,
    /// The answer had begun: in the middle of a stream, or before the journal has it.
    ResponseBegun,
}

/// How lowtide goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Kill,
    /// SIGTERM: it parks by itself.
    Term,
    /// Not at all: what it talks to goes down.
    #[allow(dead_code, reason = "only the kill matrix spares")]
    Spared,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Point {
    /// The n-th call of this shape, from 1.
    Engine { shape: String, nth: usize, moment: Moment },
    /// The mail server is connected to.
    MailConnect,
    /// The mail server took the message; lowtide never heard so.
    MailTaken,
    /// The n-th start of git, from 1.
    Git { nth: usize },
    /// Nowhere: how it is when nothing happens.
    Never,
}

impl Point {
    pub(crate) fn engine(shape: &str, nth: usize, moment: Moment) -> Self {
        Point::Engine {
            shape: shape.to_owned(),
            nth,
            moment,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::Engine { shape, nth, moment } => {
                let moment = match moment {
                    Moment::Before => "before",
                    Moment::ResponseLost => "unanswered",
                    Moment::ResponseBegun => "answered",
                };
                write!(f, "{shape} #{nth} {moment}")
            }
            Point::MailConnect => f.write_str("mail: connected"),
            Point::MailTaken => f.write_str("mail: taken, unanswered"),
            Point::Git { nth } => write!(f, "git #{nth} started"),
            Point::Never => f.write_str("never"),
        }
    }
}

/// Method and path without version, query, ids and names: what kind of call it is.
pub(crate) fn shape(method: &str, target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.first().is_some_and(|p| {
        p.strip_prefix('v')
            .is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()))
    }) {
        parts.remove(0);
    }
    let verbs = [
        "json",
        "create",
        "archive",
        "start",
        "stop",
        "wait",
        "logs",
        "exec",
        "rename",
        "update",
        "changes",
        "connect",
        "disconnect",
        "push",
        "tag",
        "resize",
        "restart",
        "kill",
        "get",
        "export",
        "attach",
        "history",
        "prune",
        "top",
    ];
    let named = [
        "containers",
        "images",
        "networks",
        "volumes",
        "exec",
        "distribution",
        "services",
    ];
    // An image's name has slashes of its own.
    let shaped = match parts.as_slice() {
        [kind, rest @ ..] if named.contains(kind) => match rest {
            [] => (*kind).to_owned(),
            [one] if verbs.contains(one) => format!("{kind}/{one}"),
            [.., last] if rest.len() > 1 && verbs.contains(last) => format!("{kind}/*/{last}"),
            _ => format!("{kind}/*"),
        },
        parts => parts.join("/"),
    };
    format!("{method} /{shaped}")
}

/// Does it change something?
pub(crate) fn mutates(shape: &str) -> bool {
    !shape.starts_with("GET ") && !shape.starts_with("HEAD ")
}

#[test]
fn calls_have_shapes() {
    for (method, target, shaped) in [
        ("GET", "/v1.41/containers/json?all=1", "GET /containers/json"),
        ("POST", "/containers/abc/stop?t=1", "POST /containers/*/stop"),
        ("POST", "/v1.41/images/127.0.0.1:5000/a/b/push", "POST /images/*/push"),
        ("DELETE", "/containers/abc?v=0", "DELETE /containers/*"),
        ("POST", "/v1.41/build?t=x", "POST /build"),
        ("POST", "/networks/create", "POST /networks/create"),
        ("POST", "/volumes/create", "POST /volumes/create"),
    ] {
        assert_eq!(shape(method, target), shaped);
    }
}
