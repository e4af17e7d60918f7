//! Where engines listen, and what is needed to reach them.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw as shared;
use crate::yaml::scope::Scope;
use crate::yaml::url::host_port;
use lowtide_model::policy::{EngineAddress, SshEngine, TlsEngine};
use std::path::PathBuf;

/// Of docker's TLS listeners.
const TLS_PORT: u16 = 2376;

const HINT: &str = "write `unix:///var/run/docker.sock`, `ssh://user@host` or `tcp://host:2376`";

/// The place alone; what is needed to get in (keys, certificates) is none of an address.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn address(text: &str) -> Result<EngineAddress, Problem> {
    match text.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') && path.len() > 1 => Ok(EngineAddress::Unix(PathBuf::from(path))),
        Some(("unix", _)) => {
            let problem = Problem::new("bad-url", "the socket has an absolute path");
            Err(problem.hint("write `unix:///var/run/docker.sock`"))
        }
        Some(("ssh", tail)) => ssh(tail).map(EngineAddress::Ssh),
        Some(("tcp" | "https", tail)) => tls(tail).map(EngineAddress::Tls),
        Some((scheme @ ("http" | "npipe" | "fd"), _)) => Err(Problem::new(
            "not-supported",
            format!("engines reached by {scheme}:// are not supported by this version"),
        )
        .hint(HINT)),
        Some(_) | None => {
            Err(Problem::new("bad-url", format!("`{}` is not the address of an engine", shown(text))).hint(HINT))
        }
    }
}

fn ssh(tail: &str) -> Result<SshEngine, Problem> {
    let (place, socket) = match tail.split_once('/') {
        Some((place, "")) => (place, None),
        Some((place, path)) => (place, Some(format!("/{path}"))),
        None => (tail, None),
    };
    let (user, place) = match place.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, place),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err(Problem::new("bad-url", "a password does not belong in an address")
            .hint("use a key: `key: { file: /run/secrets/ssh_key }`"));
    }
    let bad = || {
        let message = format!("`{}` is not a host, or user and host", shown(tail));
        Problem::new("bad-url", message).hint("write `ssh://user@host`, or with a port `ssh://user@host:2222`")
    };
    // What begins with a dash would be an option of ssh.
    if user.is_some_and(|user| user.is_empty() || user.starts_with('-')) || place.starts_with('-') {
        return Err(bad());
    }
    let (host, port) = host_port(place).ok_or_else(bad)?;
    Ok(SshEngine {
        user: user.map(ToOwned::to_owned),
        host,
        port,
        socket,
        key: None,
        known_hosts: None,
    })
}

fn tls(tail: &str) -> Result<TlsEngine, Problem> {
    let (host, port) = host_port(tail.trim_end_matches('/')).ok_or_else(|| {
        Problem::new("bad-url", format!("`{}` is not a host, or host and port", shown(tail))).hint(HINT)
    })?;
    Ok(TlsEngine {
        host,
        port: port.unwrap_or(TLS_PORT),
        ca: None,
        cert: None,
        key: None,
    })
}

impl Check<'_> {
    /// `rest`: route of the host.
    pub(super) fn engine(&mut self, scope: &Scope, rest: &Route, raw: &raw::Host, text: &str) -> Option<EngineAddress> {
        let mut address = match address(text) {
            Ok(address) => address,
            Err(problem) => {
                self.report(scope, &rest.key("docker"), problem);
                return None;
            }
        };
        match &mut address {
            EngineAddress::Unix(_) => {}
            EngineAddress::Ssh(ssh) => {
                ssh.key = self.secret(scope, &rest.key("key"), raw.key.as_ref());
                ssh.known_hosts = self.absolute(scope, &rest.key("known_hosts"), raw.known_hosts.as_ref());
            }
            EngineAddress::Tls(tls) => {
                tls.key = self.secret(scope, &rest.key("key"), raw.key.as_ref());
                tls.cert = self.absolute(scope, &rest.key("cert"), raw.cert.as_ref());
                tls.ca = self.absolute(scope, &rest.key("ca"), raw.ca.as_ref());
                self.halves(scope, rest, raw);
            }
        }
        self.unused(scope, rest, raw, &address);
        Some(address)
    }

    /// A certificate and its key say together who we are.
    fn halves(&mut self, scope: &Scope, rest: &Route, raw: &raw::Host) {
        for (given, lacking) in [("cert", "key"), ("key", "cert")] {
            let (has, lacks) = match given {
                "cert" => (raw.cert.is_some(), raw.key.is_none()),
                _ => (raw.key.is_some(), raw.cert.is_none()),
            };
            if has && lacks {
                let problem = Problem::new("missing-key", format!("`{given}` is of no use without `{lacking}`"));
                let hint = "both together say who we are: `cert: /certs/cert.pem`, `key: { file: /certs/key.pem }`";
                self.report(scope, &rest.key(given), problem.hint(hint));
            }
        }
    }

    fn absolute(&mut self, scope: &Scope, rest: &Route, raw: Option<&shared::Text>) -> Option<PathBuf> {
        let path = PathBuf::from(&raw?.0);
        if !path.is_absolute() {
            let problem = Problem::new("bad-path", format!("`{}` is not an absolute path", shown(&raw?.0)));
            self.report(
                scope,
                rest,
                problem.hint("write it as lowtide sees it: `/run/secrets/NAME`"),
            );
            return None;
        }
        Some(path)
    }

    /// A key that this kind of address has no use for was meant for another.
    fn unused(&mut self, scope: &Scope, rest: &Route, raw: &raw::Host, address: &EngineAddress) {
        let given = [
            ("key", raw.key.is_some()),
            ("known_hosts", raw.known_hosts.is_some()),
            ("ca", raw.ca.is_some()),
            ("cert", raw.cert.is_some()),
        ];
        let (kind, used): (_, &[&str]) = match address {
            EngineAddress::Unix(_) => ("unix", &[]),
            EngineAddress::Ssh(_) => ("ssh", &["key", "known_hosts"]),
            EngineAddress::Tls(_) => ("tcp", &["ca", "cert", "key"]),
        };
        for (key, _) in given.iter().filter(|(key, given)| *given && !used.contains(key)) {
            let problem = Problem::new(
                "not-supported",
                format!("`{key}` has no meaning for a {kind}:// engine"),
            );
            self.report(
                scope,
                &rest.key(key),
                problem.hint("take it out, or change the address"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_names_an_engine() {
        let rendered = |text: &str| match address(text) {
            Ok(EngineAddress::Unix(path)) => format!("unix {}", path.display()),
            Ok(EngineAddress::Ssh(ssh)) => format!("ssh {:?} {} {:?} {:?}", ssh.user, ssh.host, ssh.port, ssh.socket),
            Ok(EngineAddress::Tls(tls)) => format!("tls {} {}", tls.host, tls.port),
            Err(problem) => problem.code.to_owned(),
        };
        for (text, expected) in [
            ("unix:///var/run/docker.sock", "unix /var/run/docker.sock"),
            ("ssh://root@web1", "ssh Some(\"root\") web1 None None"),
            (
                "ssh://web1:2222/run/docker.sock",
                "ssh None web1 Some(2222) Some(\"/run/docker.sock\")",
            ),
            ("tcp://web1", "tls web1 2376"),
            ("tcp://[::1]:2377/", "tls ::1 2377"),
            ("web1", "bad-url"),
            ("unix://docker.sock", "bad-url"),
            ("unix:///", "bad-url"),
            ("ssh://-oProxyCommand=x", "bad-url"),
            ("ssh://root:secret@web1", "bad-url"),
            ("http://web1:2375", "not-supported"),
            ("npipe:////./pipe/docker_engine", "not-supported"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }
}
