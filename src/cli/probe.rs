//! `lowtide health`, and the HTTP probe made from inside another container's network.

use super::exit::Exit;
use super::live;
use crate::runtime::self_container::{http_status, http_text};
use crate::web::serve;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Exit code 0 as long as the bot lives: a restart triggered by this result would fix none of the problems in the
/// notes.
pub(super) async fn health(state: &Path, listen: Option<SocketAddr>) -> anyhow::Result<Exit> {
    let Some(listen) = listen.or_else(|| serve::listens_at(state)) else {
        eprintln!(
            "`lowtide serve` has not run with the state directory {} yet",
            state.display()
        );
        return Ok(Exit::Failed);
    };
    Ok(
        match http_text(from_here(listen.ip()), listen.port(), "/healthz").await {
            Ok((200, text)) => {
                live::print(&clean(&text));
                Exit::Done
            }
            Ok((status, text)) => {
                eprintln!("the bot answers {status}: {}", clean(&text).trim_end());
                Exit::Failed
            }
            Err(why) => {
                eprintln!("{why}");
                Exit::Failed
            }
        },
    )
}

/// A server that listens on all addresses is reached on the loopback address.
fn from_here(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

/// Removes control characters: any process may respond on that port, and the text goes to a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

pub(super) async fn http(port: u16, path: &str) -> anyhow::Result<Exit> {
    match http_status(IpAddr::V4(Ipv4Addr::LOCALHOST), port, path).await {
        Ok(status) => {
            live::print_line(&status.to_string());
            Ok(Exit::Done)
        }
        Err(why) => {
            eprintln!("{why}");
            Ok(Exit::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_listener_is_probed_on_loopback() {
        for (listen, expected) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(from_here(listen.parse().unwrap()).to_string(), expected);
        }
    }
}
