//! The real engine behind a socket of ours: one that knows no `/session` (an engine without BuildKit), one that tells when
//! a request has its answer, and one whose answer is lost.

use lowtide::clients::engine::connect::Engine;
use lowtide::model::policy::EngineAddress;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Proxy {
    dir: tempfile::TempDir,
    _accepts: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(crate) fn engine(&self) -> Engine {
        Engine::connect(&EngineAddress::Unix(self.socket())).unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }
}

/// What the socket does besides handing on.
#[derive(Clone)]
enum Besides {
    KnowsNoSession,
    /// After the answer to a request whose line has these words.
    Notifies(&'static str, Arc<Notify>),
    /// The answer to a request whose line has these words. The engine has done what was asked.
    Loses(&'static str),
}

pub(crate) async fn without_buildkit() -> Proxy {
    start(Besides::KnowsNoSession)
}

/// Tells each time that a request whose line has `words` was answered.
pub(crate) fn notifying(words: &'static str) -> (Proxy, Arc<Notify>) {
    let responded = Arc::new(Notify::new());
    (start(Besides::Notifies(words, Arc::clone(&responded))), responded)
}

/// Loses each answer to a request whose line has `words`.
pub(crate) fn losing(words: &'static str) -> Proxy {
    start(Besides::Loses(words))
}

fn start(besides: Besides) -> Proxy {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
    let accepts = tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, besides.clone()));
        }
    });
    Proxy {
        dir,
        _accepts: AbortOnDropHandle::new(accepts),
    }
}

/// One request after the other is looked at only at the start of a connection, so connections are not kept.
async fn serve(mut client: UnixStream, besides: Besides) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    if matches!(besides, Besides::KnowsNoSession) && text.starts_with("POST /session ") {
        let response = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 29\r\n\r\n{\"message\":\"page not found\"}\r\n";
        let _ = client.write_all(response.as_bytes()).await;
        return;
    }
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    let mut engine = UnixStream::connect(socket).await.unwrap();
    let text = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let line = text.lines().next().unwrap_or_default();
    if let Besides::Loses(words) = besides
        && line.contains(words)
    {
        engine.write_all(text.as_bytes()).await.unwrap();
        let (mut from_client, mut to_client) = client.split();
        let (mut from_engine, mut to_engine) = engine.split();
        let request_body = tokio::io::copy(&mut from_client, &mut to_engine);
        let responded = from_engine.read(&mut byte);
        tokio::select! {
            _ = request_body => {}
            _ = responded => {}
        }
        let _ = to_client.shutdown().await;
        return;
    }
    if engine.write_all(text.as_bytes()).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
        if let Besides::Notifies(words, responded) = besides
            && text.lines().next().is_some_and(|line| line.contains(words))
        {
            responded.notify_one();
        }
    }
}
