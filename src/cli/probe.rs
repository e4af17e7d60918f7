//! `lowtide health`, and the HTTP question asked from inside another container's network.

use super::exit::Exit;
use super::live;
use crate::runtime::surroundings::http_status;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) async fn health(listen: SocketAddr) -> anyhow::Result<Exit> {
    Ok(match http_status(listen.ip(), listen.port(), "/healthz").await {
        Ok(200) => Exit::Done,
        Ok(status) => {
            eprintln!("the bot answers {status}");
            Exit::Failed
        }
        Err(why) => {
            eprintln!("{why}");
            Exit::Failed
        }
    })
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
