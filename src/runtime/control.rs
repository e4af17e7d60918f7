//! The control socket: how other processes on this machine send requests to the bot that holds the state. A request is
//! one JSON line, a response several. Only the permissions of the file (0600) guard it: it is never on TCP.

use super::bot::Bot;
use super::doors::{Guest, Guests, REQUEST_TIMEOUT, Refused};
use super::progress::Progress;
use super::supervisor::{Request, RequestResult};
use lowtide_model::halt::Draft;
use lowtide_model::name::{AppName, RunId, TargetName};
use lowtide_model::policy::Unhealthy;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The longest request, which is one line.
const MAX_LINE: u64 = 64 << 10;
/// How long a live bot may take to greet: its threads build and hash, and the machine may be loaded.
const GREETED_WITHIN: Duration = Duration::from_secs(5);
/// For the log.
const DOOR: &str = "control socket";

/// A request of an operator to the process that holds the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum OperatorRequest {
    Run {
        apps: Vec<AppName>,
        now: bool,
        /// Build also when nothing has moved.
        #[serde(default)]
        rebuild: bool,
        /// With `now`: what becomes of a container that is not healthy.
        #[serde(default)]
        unhealthy: Unhealthy,
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
        by: String,
    },
    Cancel {
        run: RunId,
        by: String,
    },
}

/// Messages to the client: a greeting before the request, then the response, then progress while the client follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorResponse {
    /// The greeting. A client sends its request only after it: a stopped process that continues must not find requests
    /// whose clients have given up.
    Heard,
    Done(String),
    Refused(String),
    Progress(Box<Progress>),
}

impl OperatorRequest {
    /// Is there something to follow after the response?
    #[must_use]
    pub fn is_followed(&self) -> bool {
        matches!(self, OperatorRequest::Run { .. } | OperatorRequest::Revert { .. })
    }
}

#[must_use]
pub fn socket_path(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Serves requests until shutdown.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve(bot: Arc<Bot>, requests: mpsc::Sender<Request>, shutdown: CancellationToken) -> io::Result<()> {
    let path = socket_path(&bot.state);
    // We hold the state's lock, so an existing socket is stale.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    info!(socket = %path.display(), "listening on the control socket");
    let guests = Guests::new();
    let mut refused = Refused::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                refused.wait(DOOR, &error).await;
                continue;
            }
        };
        refused.accepted(DOOR);
        let Some(guest) = guests.admit() else {
            warn!("too many commands at once: one was turned away");
            continue;
        };
        let (bot, requests, shutdown) = (Arc::clone(&bot), requests.clone(), shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                done = converse(&bot, &requests, stream, &guest) => if let Err(error) = done { debug!(%error, "a client left") },
                () = guest.shown_out() => debug!("a silent client made room"),
                () = shutdown.cancelled() => {}
            }
        });
    }
    let _ = std::fs::remove_file(&path);
    Ok(())
}

async fn converse(
    bot: &Bot,
    requests: &mpsc::Sender<Request>,
    mut stream: UnixStream,
    guest: &Guest,
) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    write(&mut writing, &OperatorResponse::Heard).await?;
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(MAX_LINE));
    timeout(REQUEST_TIMEOUT, reading.read_line(&mut line)).await??;
    guest.request_received();
    let request: OperatorRequest = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            warn!(%error, "an unreadable question at the control socket");
            return write(
                &mut writing,
                &OperatorResponse::Refused(format!("unreadable question: {error}")),
            )
            .await;
        }
    };
    // Registered before asking: no progress is missed.
    let mut apps = followed_apps(&request);
    let mut progress = bot.watchers.watch(&apps);
    let followed = request.is_followed();
    match put(requests, request).await {
        Ok(done) => write(&mut writing, &OperatorResponse::Done(done)).await?,
        Err(refused) => return write(&mut writing, &OperatorResponse::Refused(refused)).await,
    }
    while followed && !apps.is_empty() {
        let seen = progress.next().await;
        if let Progress::RequestCompleted { app, .. } = &seen {
            apps.retain(|name| name != app);
        }
        write(&mut writing, &OperatorResponse::Progress(Box::new(seen))).await?;
    }
    Ok(())
}

/// The apps whose settling ends the conversation.
#[must_use]
pub fn followed_apps(request: &OperatorRequest) -> Vec<AppName> {
    match request {
        OperatorRequest::Run { apps, .. } => apps.clone(),
        OperatorRequest::Revert { app, .. } => vec![app.clone()],
        OperatorRequest::Halt { .. }
        | OperatorRequest::Resume { .. }
        | OperatorRequest::Pause { .. }
        | OperatorRequest::Cancel { .. } => Vec::new(),
    }
}

/// Sends a request to the supervisor of this process.
///
/// # Errors
/// Its refusal, or that it is ending.
pub async fn put(requests: &mpsc::Sender<Request>, request: OperatorRequest) -> RequestResult {
    let (response, result) = oneshot::channel();
    let ending = || "lowtide is shutting down".to_owned();
    requests
        .send(Request {
            command: request,
            response,
        })
        .await
        .map_err(|_| ending())?;
    result.await.unwrap_or_else(|_| Err(ending()))
}

async fn write(writing: &mut (impl AsyncWriteExt + Unpin), reply: &OperatorResponse) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    writing.write_all(&line).await
}

/// The other end: sends a request to the bot that holds `state`; `None` when none listens. Replies come through the
/// channel.
///
/// # Errors
/// When the socket is there and cannot be used; `TimedOut` when whoever listens does not greet (it is stopped, or hangs).
pub async fn send(state: &Path, request: &OperatorRequest) -> io::Result<Option<mpsc::Receiver<OperatorResponse>>> {
    let stream = match UnixStream::connect(socket_path(state)).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        // The queue of the socket is full: the listener accepts nothing.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
        Err(e) => return Err(e),
    };
    let mut stream = BufReader::new(stream);
    let mut greeting = String::new();
    timeout(GREETED_WITHIN, stream.read_line(&mut greeting)).await??;
    if !matches!(serde_json::from_str(&greeting), Ok(OperatorResponse::Heard)) {
        // The bot is shutting down, or has too many connections.
        return Ok(None);
    }
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let (send, receive) = mpsc::channel(256);
    tokio::spawn(async move {
        let mut lines = stream.lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(reply) = serde_json::from_str(&line) else { break };
            if send.send(reply).await.is_err() {
                break;
            }
        }
    });
    Ok(Some(receive))
}
