//! The mail server of all trials has a proxy before it for each, which strikes.

use crate::bot::Victim;
use crate::point::Point;
use crate::support::mail::Server;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Message-IDs of what came for this address, in order.
pub(crate) fn message_ids(server: &Server, address: &str) -> Vec<String> {
    let to_it = |mail: &Value| mail["to"].as_array().unwrap().iter().any(|to| to == address);
    let id = |mail: Value| mail["headers"]["message-id"].as_str().unwrap_or("none").to_owned();
    server.stored().into_iter().filter(to_it).map(id).collect()
}

pub(crate) struct MailProxy {
    pub(crate) port: u16,
    _accepts: AbortOnDropHandle<()>,
}

impl MailProxy {
    pub(crate) async fn start(server: &Server, point: Point, victim: Victim) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.port;
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, point.clone(), victim.clone()));
            }
        });
        Self {
            port,
            _accepts: AbortOnDropHandle::new(accepts),
        }
    }
}

async fn serve(client: TcpStream, server: u16, point: Point, victim: Victim) {
    if point == Point::MailConnect {
        victim.strike();
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut piece = [0; 4096];
        while let Ok(n) = from_server.read(&mut piece).await {
            let taken = piece[..n].starts_with(b"250 stored");
            if taken && point == Point::MailTaken && !victim.is_struck() {
                victim.strike();
                return;
            }
            if n == 0 || to_client.write_all(&piece[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::pin!(up);
    tokio::select! {
        () = down => {}
        _ = &mut up => {}
    }
}
