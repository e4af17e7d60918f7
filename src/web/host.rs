//! Checks the host name of a request.

use std::net::{Ipv4Addr, Ipv6Addr};

/// May pages be served under this authority (`Host`, with or without a port)? Yes for addresses, because only names can
/// be pointed at us by someone else; for `localhost` of this machine (RFC 6761); and for the configured names.
pub(super) fn is_ours(authority: &str, names: &[String]) -> bool {
    let Some(host) = without_port(authority) else {
        return false;
    };
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let localhost = name.eq_ignore_ascii_case("localhost") || ends_with(name, ".localhost");
    localhost || host.parse::<Ipv4Addr>().is_ok() || names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

fn without_port(authority: &str) -> Option<&str> {
    // What stands before an `@` is no part of a Host.
    if authority.contains('@') {
        return None;
    }
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[end..].find(':') {
        Some(colon) => (&authority[..end + colon], &authority[end + colon + 1..]),
        None => (authority, ""),
    };
    port.bytes().all(|b| b.is_ascii_digit()).then_some(host)
}

fn ends_with(name: &str, end: &str) -> bool {
    let from = name.len().checked_sub(end.len());
    from.and_then(|from| name.get(from..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_names_of_our_own_are_ours() {
        let names = ["status.example.org".to_owned()];
        for ours in [
            "127.0.0.1",
            "127.0.0.1:7077",
            "192.0.2.7:80",
            "[::1]",
            "[2001:db8::1]:7077",
            "localhost:7077",
            "LOCALHOST",
            "localhost.",
            "lowtide.localhost:7077",
            "status.example.org",
            "Status.Example.org:8080",
            "status.example.org.",
        ] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for foreign in [
            "",
            "evil.example.com",
            "evil.example.com:7077",
            "127.0.0.1.evil.example.com",
            "localhost.evil.example.com",
            "notlocalhost",
            "xstatus.example.org",
            "127.0.0.1@evil.example.com",
            "[::1].evil.example.com",
            "127.0.0.1:evil",
            "[::1",
            "ö.localhosT.x",
        ] {
            assert!(!is_ours(foreign, &names), "{foreign}");
        }
    }
}
