//! A proxy on the engine's socket. It forwards bytes, knows each call by its shape, counts, and strikes at one.

use crate::bot::Victim;
use crate::point::{Moment, Point, shape};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

/// More than any head of a request of ours.
const HEAD: usize = 64 << 10;

pub(crate) struct Proxy {
    pub(crate) socket: PathBuf,
    shared: Arc<Shared>,
    _accepts: AbortOnDropHandle<()>,
}

struct Shared {
    engine: PathBuf,
    point: Point,
    victim: Victim,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    seen: Vec<String>,
    counts: BTreeMap<String, usize>,
}

impl Proxy {
    pub(crate) fn start(directory: &Path, engine: PathBuf, point: Point, victim: Victim) -> Self {
        let socket = directory.join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared {
            engine,
            point,
            victim,
            calls: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&accepting), client));
            }
        });
        Self {
            socket,
            shared,
            _accepts: AbortOnDropHandle::new(accepts),
        }
    }

    /// Shapes of all calls so far, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().seen.clone()
    }
}

impl Shared {
    /// Counts the call; the moment to strike at, if it is the one.
    fn count(&self, shape: String) -> Option<Moment> {
        let mut calls = self.calls.lock().unwrap();
        let count = calls.counts.entry(shape.clone()).or_default();
        *count += 1;
        let now = *count;
        calls.seen.push(shape.clone());
        match &self.point {
            Point::Engine {
                shape: wanted,
                nth,
                moment,
            } if *wanted == shape && *nth == now => Some(*moment),
            Point::Engine { .. } | Point::MailConnect | Point::MailTaken | Point::Git { .. } | Point::Never => None,
        }
    }
}

/// One call per connection: both sides are told to close it, so that a head is always at the beginning. Upgraded and
/// streaming connections are bytes from there on.
async fn serve(shared: Arc<Shared>, mut client: UnixStream) -> Option<()> {
    let mut head = Vec::new();
    let end = loop {
        let mut piece = [0; 4096];
        let n = client.read(&mut piece).await.ok().filter(|n| *n > 0)?;
        head.extend_from_slice(&piece[..n]);
        if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if head.len() > HEAD {
            return None;
        }
    };
    let rest = head.split_off(end);
    let text = String::from_utf8(head).ok()?;
    let mut words = text.split(' ');
    let shape = shape(words.next()?, words.next()?);
    let moment = shared.count(shape);
    if moment == Some(Moment::Before) {
        shared.victim.strike();
        return None;
    }
    let upgrade = text.to_ascii_lowercase().contains("\r\nupgrade:");
    let sent = if upgrade {
        text
    } else {
        text.replacen("\r\n", "\r\nConnection: close\r\n", 1)
    };
    let mut engine = UnixStream::connect(&shared.engine).await.ok()?;
    engine.write_all(sent.as_bytes()).await.ok()?;
    engine.write_all(&rest).await.ok()?;
    forward(&shared, client, engine, moment).await;
    None
}

/// Ends both sides as soon as one ends, as the kernel does for a process that was killed.
async fn forward(shared: &Shared, client: UnixStream, engine: UnixStream, moment: Option<Moment>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let up = tokio::io::copy(&mut from_client, &mut to_engine);
    let down = async {
        let mut piece = vec![0; 64 << 10];
        let mut first = moment;
        while let Ok(n) = from_engine.read(&mut piece).await {
            if n == 0 {
                break;
            }
            let struck = first.take();
            if struck == Some(Moment::ResponseLost) {
                shared.victim.strike();
                return;
            }
            if to_client.write_all(&piece[..n]).await.is_err() {
                return;
            }
            if struck == Some(Moment::ResponseBegun) {
                shared.victim.strike();
            }
        }
        let _ = to_client.shutdown().await;
    };
    tokio::pin!(up);
    tokio::select! {
        () = down => {}
        _ = &mut up => {}
    }
}
