//! A mail server for all trials, and a proxy before it for each, which strikes.

use crate::bot::Victim;
use crate::point::Point;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let python = std::env::var("LOWTIDE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smtp_server.py");
        let mut child = Command::new(python)
            .args([script, "plain"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("LOWTIDE_TEST_PYTHON must be a Python with aiosmtpd");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .trim()
            .strip_prefix("port ")
            .expect("no mail server")
            .parse()
            .unwrap();
        Self { child, port, folder }
    }

    /// Message-IDs of what came for this address, in order.
    pub(crate) fn message_ids(&self, address: &str) -> Vec<String> {
        (0..)
            .map_while(|n| std::fs::read(self.folder.path().join(format!("{n}.json"))).ok())
            .map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap())
            .filter(|mail| mail["to"].as_array().unwrap().iter().any(|to| to == address))
            .map(|mail| mail["headers"]["message-id"].as_str().unwrap_or("none").to_owned())
            .collect()
    }

    pub(crate) async fn proxy(&self, point: Point, victim: Victim) -> MailProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = self.port;
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, point.clone(), victim.clone()));
            }
        });
        MailProxy {
            port,
            _accepts: AbortOnDropHandle::new(accepts),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct MailProxy {
    pub(crate) port: u16,
    _accepts: AbortOnDropHandle<()>,
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
