//! Commands that change something: through the socket when a bot runs, over the held state when none does.

use super::args::Global;
use super::exit::Exit;
use super::live;
use super::open::{self, Holder};
use crate::model::name::AppName;
use crate::runtime::control::{self, Ask, Reply};
use crate::runtime::notify;
use crate::runtime::supervisor::{Scope, Supervisor};
use anyhow::Context;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

pub(super) async fn halt(global: &Global, app: &str, why: String) -> anyhow::Result<Exit> {
    ask(
        global,
        Ask::Halt {
            app: name(app)?,
            by: who(),
            why,
        },
        false,
    )
    .await
}

pub(super) async fn resume(global: &Global, app: &str, why: String) -> anyhow::Result<Exit> {
    ask(
        global,
        Ask::Resume {
            app: name(app)?,
            by: who(),
            why,
        },
        false,
    )
    .await
}

pub(super) async fn revert(global: &Global, app: &str, why: String) -> anyhow::Result<Exit> {
    ask(
        global,
        Ask::Revert {
            app: name(app)?,
            by: who(),
            why,
        },
        false,
    )
    .await
}

pub(super) async fn pause(global: &Global, all: bool, off: bool) -> anyhow::Result<Exit> {
    if !all {
        eprintln!("pause stops every app: say `pause --all`; for one app there is `halt APP --reason …`");
        return Ok(Exit::Failed);
    }
    ask(global, Ask::Pause { on: !off }, false).await
}

pub(super) async fn cancel(global: &Global, run: &str) -> anyhow::Result<Exit> {
    let run = run.parse().context("this is not the id of a run")?;
    ask(global, Ask::Cancel { run, by: who() }, false).await
}

/// Asks whoever holds the state, and follows what comes of it.
pub(super) async fn ask(global: &Global, asked: Ask, json: bool) -> anyhow::Result<Exit> {
    let apps = control::followed_apps(&asked);
    if let Some(replies) = control::ask(&global.state, &asked)
        .await
        .context("the control socket cannot be used")?
    {
        return live::follow(replies, &apps, json).await;
    }
    let lock = match open::hold(&global.state)? {
        Holder::Us(lock) => lock,
        Holder::Another => {
            eprintln!(
                "another lowtide holds {} and does not answer yet",
                global.state.display()
            );
            return Ok(Exit::Held);
        }
    };
    let Some(loaded) = open::configuration(global).await? else {
        return Ok(Exit::Problems);
    };
    let bot = open::bot(global, loaded, &lock).await?;
    let shutdown = CancellationToken::new();
    tokio::spawn(super::serve::on_signal(shutdown.clone()));
    let (supervisor, requests) = Supervisor::new(Arc::clone(&bot), Scope::Asked, shutdown.clone());
    let (send, replies) = mpsc::channel(256);
    tokio::spawn(pump(bot.watchers.watch(), send.clone(), shutdown.clone()));
    let supervised = tokio::spawn(supervisor.run());
    let first = match control::put(&requests, asked.command()).await {
        Ok(done) => Reply::Done(done),
        Err(refused) => Reply::Refused(refused),
    };
    send.send(first).await.context("nobody listens")?;
    drop(send);
    let exit = if apps.is_empty() {
        let mut replies = replies;
        match replies.recv().await {
            Some(Reply::Done(text)) => {
                live::print_line(&text);
                Exit::Done
            }
            Some(Reply::Refused(why)) => {
                eprintln!("{why}");
                Exit::Failed
            }
            Some(Reply::Progress(_)) | None => Exit::Done,
        }
    } else {
        live::follow(replies, &apps, json).await?
    };
    shutdown.cancel();
    supervised.await.context("the supervisor broke")??;
    // What was enqueued is sent before we go; what cannot be sent waits for the next start.
    while notify::deliver_once(&bot).await? > 0 {}
    Ok(exit)
}

/// Hands progress on until shutdown.
async fn pump(
    mut progress: broadcast::Receiver<crate::runtime::progress::Progress>,
    send: mpsc::Sender<Reply>,
    shutdown: CancellationToken,
) {
    loop {
        let seen = tokio::select! {
            seen = progress.recv() => seen,
            () = shutdown.cancelled() => return,
        };
        match seen {
            Ok(seen) => {
                if send.send(Reply::Progress(Box::new(seen))).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

pub(super) fn name(text: &str) -> anyhow::Result<AppName> {
    text.parse().context("this is not the name of an app")
}

/// Who asks, for the journal.
pub(super) fn who() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "an operator".to_owned())
}
