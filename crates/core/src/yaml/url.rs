//! Addresses and hosts as they are written.

use super::diagnostic::{Problem, shown};
use super::words::list;

pub(crate) fn credentials() -> Problem {
    Problem::new(
        "credentials-in-url",
        "this address holds a credential; it is in git now, so change it",
    )
}

/// What is wrong with a URL before its path is looked at. The address is not repeated: it may hold a password.
pub(crate) fn url_problem(scheme: &str, tail: &str, schemes: &[&str]) -> Option<Problem> {
    let authority = tail.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let plain_user = |user: &str| scheme == "ssh" && !user.contains(':');
    if user.is_some_and(|user| !plain_user(user))
        || (tail.contains('@') && scheme.starts_with("http") && tail.split('@').next().is_some_and(|t| t.contains(':')))
    {
        return Some(credentials().hint("take it out and use `username` and `token: { env: NAME }`"));
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme == "http" && host_port(host).is_some_and(|(host, _)| is_loopback(&host)) {
        return None;
    }
    if !schemes.contains(&scheme) {
        let problem = Problem::new("bad-url", format!("`{}://` is not used here", shown(scheme)));
        let secure = if scheme == "http" {
            "use `https://`; plain http is for loopback only".to_owned()
        } else {
            format!("use {}", list(schemes))
        };
        return Some(problem.hint(secure));
    }
    let good = scheme == "file" || host_port(host).is_some();
    (!good).then(|| Problem::new("bad-url", format!("`{}` is not a host, or host and port", shown(host))))
}

/// `host`, `host:port`, `[::1]:port`.
pub(crate) fn host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((v6, rest)) => {
            v6.parse::<core::net::Ipv6Addr>().ok()?;
            (v6, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port).filter(|p| !p.is_empty())),
            None => (text, Some("")),
        },
    };
    let v6 = host.contains(':');
    let named = !host.is_empty()
        && !host.starts_with(['-', '.'])
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let port = match port? {
        "" => None,
        digits => Some(digits.parse::<u16>().ok().filter(|p| *p > 0)?),
    };
    (v6 || named).then(|| (host.to_owned(), port))
}

pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<core::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
