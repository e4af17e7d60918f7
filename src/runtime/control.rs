//! The control socket: how other processes on this machine ask the bot that holds the state. One JSON line asks; JSON
//! lines answer. Only the file's permissions (0600) guard it: it is never on TCP.

use super::bot::Bot;
use super::progress::Progress;
use super::supervisor::{Answer, Request};
use crate::model::halt::Draft;
use crate::model::name::{AppName, RunId, TargetName};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// A question is a line; a longer one is no question of ours.
const MAX_LINE: u64 = 64 << 10;

/// What an operator asks of the one who holds the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Ask {
    Run {
        apps: Vec<AppName>,
        now: bool,
        /// Build also when nothing has moved.
        #[serde(default)]
        rebuild: bool,
        by: String,
    },
    Halt {
        app: AppName,
        by: String,
        why: String,
    },
    Resume {
        app: AppName,
        by: String,
        why: String,
        #[serde(default)]
        form: Option<Box<Draft>>,
        /// A quarantined content that may be released again: its digest, that of its image or in the registry, or a tag.
        #[serde(default)]
        release_quarantine: Option<String>,
    },
    Revert {
        app: AppName,
        /// `None`: all of them.
        #[serde(default)]
        target: Option<TargetName>,
        by: String,
        why: String,
    },
    Pause {
        on: bool,
    },
    Cancel {
        run: RunId,
        by: String,
    },
}

/// What comes back: the answer first, then, while it is followed, progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done(String),
    Refused(String),
    Progress(Box<Progress>),
}

impl Ask {
    /// Is there something to follow after the answer?
    #[must_use]
    pub fn is_followed(&self) -> bool {
        matches!(self, Ask::Run { .. } | Ask::Revert { .. })
    }
}

#[must_use]
pub fn socket_path(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Answers until shutdown.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve(bot: Arc<Bot>, ask: mpsc::Sender<Request>, shutdown: CancellationToken) -> io::Result<()> {
    let path = socket_path(&bot.state);
    // We hold the state's lock, so a socket that is there belongs to nobody.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    info!(socket = %path.display(), "commands are heard");
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            () = shutdown.cancelled() => break,
        };
        let (bot, ask, shutdown) = (Arc::clone(&bot), ask.clone(), shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                done = converse(&bot, &ask, stream) => if let Err(error) = done { debug!(%error, "a client left") },
                () = shutdown.cancelled() => {}
            }
        });
    }
    let _ = std::fs::remove_file(&path);
    Ok(())
}

async fn converse(bot: &Bot, ask: &mpsc::Sender<Request>, mut stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = String::new();
    BufReader::new(reading.take(MAX_LINE)).read_line(&mut line).await?;
    let asked: Ask = match serde_json::from_str(&line) {
        Ok(asked) => asked,
        Err(error) => {
            warn!(%error, "an unreadable question at the control socket");
            return write(&mut writing, &Reply::Refused(format!("unreadable question: {error}"))).await;
        }
    };
    // Registered before asking: no progress is missed.
    let mut progress = bot.watchers.watch();
    let followed = asked.is_followed();
    let mut apps = followed_apps(&asked);
    match put(ask, asked).await {
        Ok(done) => write(&mut writing, &Reply::Done(done)).await?,
        Err(refused) => return write(&mut writing, &Reply::Refused(refused)).await,
    }
    while followed && !apps.is_empty() {
        match progress.recv().await {
            Ok(seen) => {
                if let Progress::Settled { app } = &seen {
                    apps.retain(|name| name != app);
                }
                write(&mut writing, &Reply::Progress(Box::new(seen))).await?;
            }
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => break,
        }
    }
    Ok(())
}

/// The apps whose settling ends the conversation.
#[must_use]
pub fn followed_apps(asked: &Ask) -> Vec<AppName> {
    match asked {
        Ask::Run { apps, .. } => apps.clone(),
        Ask::Revert { app, .. } => vec![app.clone()],
        Ask::Halt { .. } | Ask::Resume { .. } | Ask::Pause { .. } | Ask::Cancel { .. } => Vec::new(),
    }
}

/// Asks the supervisor of this process.
///
/// # Errors
/// Its refusal, or that it is ending.
pub async fn put(ask: &mpsc::Sender<Request>, asked: Ask) -> Answer {
    let (answer, answered) = oneshot::channel();
    let ending = || "lowtide is shutting down".to_owned();
    ask.send(Request { asked, answer }).await.map_err(|_| ending())?;
    answered.await.unwrap_or_else(|_| Err(ending()))
}

async fn write(writing: &mut (impl AsyncWriteExt + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    writing.write_all(&line).await
}

/// The other end: asks the bot that holds `state`; `None` when none listens. Replies come through the channel.
///
/// # Errors
/// When the socket is there and cannot be used.
pub async fn ask(state: &Path, asked: &Ask) -> io::Result<Option<mpsc::Receiver<Reply>>> {
    let mut stream = match UnixStream::connect(socket_path(state)).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut line = serde_json::to_vec(asked)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let (send, receive) = mpsc::channel(256);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(reply) = serde_json::from_str(&line) else { break };
            if send.send(reply).await.is_err() {
                break;
            }
        }
    });
    Ok(Some(receive))
}
