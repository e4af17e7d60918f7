//! Commands that change something: sent through the socket to a running bot, or else carried out by this process, which
//! takes the state.

use super::args::Global;
use super::exit::Exit;
use super::live::{self, Following};
use super::open::{self, Loaded, LockAttempt};
use super::{screen, status};
use crate::runtime::control::{self, OperatorRequest, OperatorResponse};
use crate::runtime::notify;
use crate::runtime::progress::Watcher;
use crate::runtime::supervisor::{Scope, Supervisor};
use crate::store::lock::StateLock;
use anyhow::Context;
use lowtide_core::config::form;
use lowtide_model::halt::Draft;
use lowtide_model::journal::Stream;
use lowtide_model::name::{AppName, RunId};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a bot may hold the state before it listens: it migrates and folds the database first.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn halt(global: &Global, app: &str, why: String) -> anyhow::Result<Exit> {
    send_request(
        global,
        OperatorRequest::Halt {
            app: name(app)?,
            by: who(),
            why,
        },
        false,
    )
    .await
}

/// `form`: a file, or `-` for stdin.
pub(super) async fn resume(
    global: &Global,
    app: &str,
    why: String,
    form: Option<&Path>,
    release_quarantine: Option<String>,
) -> anyhow::Result<Exit> {
    let form = match form.map(read_form).transpose()? {
        Some(Ok(form)) => Some(Box::new(form)),
        Some(Err(why)) => {
            eprintln!("the form is not YAML: {why}");
            return Ok(Exit::Failed);
        }
        None => None,
    };
    let (app, by) = (name(app)?, who());
    let request = OperatorRequest::Resume {
        app,
        by,
        why,
        form,
        release_quarantine,
    };
    send_request(global, request, false).await
}

fn read_form(path: &Path) -> anyhow::Result<Result<Draft, String>> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("stdin cannot be read")?
    } else {
        std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
    };
    Ok(form::draft(&text))
}

/// `what`: `APP`, or `APP/TARGET`.
pub(super) async fn revert(global: &Global, what: &str, why: String) -> anyhow::Result<Exit> {
    let (app, target) = match what.split_once('/') {
        None => (what, None),
        Some((app, target)) => (app, Some(target.parse().context("this is not the name of a target")?)),
    };
    let (app, by) = (name(app)?, who());
    send_request(global, OperatorRequest::Revert { app, target, by, why }, false).await
}

pub(super) async fn pause(global: &Global, all: bool, off: bool) -> anyhow::Result<Exit> {
    if !all {
        eprintln!("pause stops every app: say `pause --all`; for one app there is `halt APP --reason …`");
        return Ok(Exit::Failed);
    }
    send_request(global, OperatorRequest::Pause { on: !off, by: who() }, false).await
}

/// `what`: an app, for its run under way, or a run by its id or the end of it.
pub(super) async fn cancel(global: &Global, what: &str) -> anyhow::Result<Exit> {
    let run = match what.parse() {
        Ok(run) => run,
        Err(_) => match under_way(global, what).await? {
            Some(run) => run,
            None => return Ok(Exit::Failed),
        },
    };
    send_request(global, OperatorRequest::Cancel { run, by: who() }, false).await
}

async fn under_way(global: &Global, what: &str) -> anyhow::Result<Option<RunId>> {
    let mut open = Vec::new();
    if let Some(store) = open::reader(&global.state)? {
        for row in store.open_streams().await? {
            if let Stream::Run(run) = row.stream {
                open.push((row.app, run));
            }
        }
    }
    match meant(&open, what) {
        Ok(run) => Ok(Some(run)),
        Err(why) => {
            eprintln!("{why}");
            for (app, run) in &open {
                eprintln!("  {app}: run {run}");
            }
            Ok(None)
        }
    }
}

/// The one run that an app's name, or the end of an id, means.
fn meant(open: &[(AppName, RunId)], what: &str) -> Result<RunId, String> {
    let end = what.to_ascii_uppercase();
    let is_meant =
        |(app, run): &&(AppName, RunId)| app.as_str() == what || (!end.is_empty() && run.to_string().ends_with(&end));
    let meant: Vec<_> = open.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [(_, run)] => Ok(*run),
        [] => Err(format!("no run of {what} is under way")),
        _ => Err(format!("{what} means more than one run")),
    }
}

/// The process that carries out the request.
enum Reached {
    Bot(mpsc::Receiver<OperatorResponse>),
    Us(StateLock),
    /// A bot owns the state, but does not respond.
    Unresponsive,
}

/// Finds the process that carries out the request. Retries for a while: a bot that starts or stops holds the state
/// briefly without listening.
async fn reach(global: &Global, request: &OperatorRequest) -> anyhow::Result<Reached> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match control::send(&global.state, request).await {
            Ok(Some(replies)) => return Ok(Reached::Bot(replies)),
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::TimedOut => return Ok(Reached::Unresponsive),
            Err(e) => return Err(e).context("the control socket cannot be used"),
        }
        match open::hold(&global.state)? {
            LockAttempt::Us(lock) => return Ok(Reached::Us(lock)),
            LockAttempt::Another if Instant::now() >= deadline => return Ok(Reached::Unresponsive),
            LockAttempt::Another => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Sends a request to the owner of the state, or carries it out, and follows the outcome.
pub(super) async fn send_request(global: &Global, request: OperatorRequest, json: bool) -> anyhow::Result<Exit> {
    let apps = control::followed_apps(&request);
    let mut following = Following {
        zone: status::zone_of(global, &apps).await,
        apps,
        json,
        back: matches!(request, OperatorRequest::Revert { .. }),
        goes_on: true,
    };
    let lock = match reach(global, &request).await? {
        Reached::Bot(replies) => return live::follow(replies, &following).await,
        Reached::Us(lock) => lock,
        Reached::Unresponsive => {
            let state = global.state.display();
            screen::log(&format!(
                "another lowtide owns {state} and does not respond: it is stopped, hangs, or is being replaced; try again in a few minutes"
            ));
            return Ok(Exit::Held);
        }
    };
    let Some(loaded) = open::configuration(global).await? else {
        return Ok(Exit::Problems);
    };
    following.zone.clone_from(&loaded.fleet.timezone);
    carry_out(global, loaded, &lock, request, &following).await
}

/// Carries out a request in this process, which has the state, and follows the outcome.
pub(super) async fn carry_out(
    global: &Global,
    loaded: Loaded,
    lock: &StateLock,
    request: OperatorRequest,
    following: &Following,
) -> anyhow::Result<Exit> {
    let bot = open::bot(global, loaded, lock).await?;
    // Catches SIGHUP: without a bot, no other process would finish a rollout if a closed terminal ended this one.
    let _hangup = signal(SignalKind::hangup()).context("signals cannot be received")?;
    let shutdown = CancellationToken::new();
    tokio::spawn(super::serve::on_signal(shutdown.clone()));
    let (supervisor, requests) = Supervisor::new(Arc::clone(&bot), Scope::Requested, shutdown.clone());
    let (send, replies) = mpsc::channel(256);
    tokio::spawn(pump(
        bot.watchers.watch(&following.apps),
        send.clone(),
        shutdown.clone(),
    ));
    let mails = tokio::spawn(notify::deliver_until(Arc::clone(&bot), shutdown.clone()));
    let supervised = tokio::spawn(supervisor.run());
    let first = match control::put(&requests, request).await {
        Ok(done) => OperatorResponse::Done(done),
        Err(refused) => OperatorResponse::Refused(refused),
    };
    send.send(first).await.context("no listener")?;
    drop(send);
    let exit = if following.apps.is_empty() {
        let mut replies = replies;
        match replies.recv().await {
            Some(OperatorResponse::Done(text)) => {
                live::print_line(&text);
                Exit::Done
            }
            Some(OperatorResponse::Refused(why)) => {
                screen::log(&why);
                Exit::Failed
            }
            Some(OperatorResponse::Heard | OperatorResponse::Progress(_)) | None => Exit::Done,
        }
    } else {
        live::follow(replies, following).await?
    };
    shutdown.cancel();
    supervised.await.context("the supervisor broke")??;
    mails.await.context("the delivery of mails broke")??;
    // Deliver what was enqueued last before exiting; what cannot be delivered waits for the next start.
    while notify::deliver_once(&bot).await? > 0 {}
    Ok(exit)
}

/// Forwards progress until shutdown.
async fn pump(mut progress: Watcher, send: mpsc::Sender<OperatorResponse>, shutdown: CancellationToken) {
    loop {
        let seen = tokio::select! {
            seen = progress.next() => seen,
            () = shutdown.cancelled() => return,
        };
        if send.send(OperatorResponse::Progress(Box::new(seen))).await.is_err() {
            return;
        }
    }
}

pub(super) fn name(text: &str) -> anyhow::Result<AppName> {
    text.parse().context("this is not the name of an app")
}

/// The name of the operator, for the journal.
pub(super) fn who() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "an operator".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_of_an_app_is_the_one_under_way() {
        let open = [("web", 0xA1), ("archives", 0xB1)].map(|(app, id)| (app.parse().unwrap(), RunId(ulid::Ulid(id))));
        let id = |n: usize| Ok(open[n].1);
        assert_eq!(meant(&open, "web"), id(0));
        assert_eq!(meant(&open, &open[1].1.short()), id(1));
        let twice = [open[0].clone(), (open[1].0.clone(), open[0].1)];
        assert_eq!(
            meant(&twice, &open[0].1.short()[4..]),
            Err("0051 means more than one run".to_owned())
        );
        assert_eq!(meant(&open, "shop"), Err("no run of shop is under way".to_owned()));
        assert_eq!(meant(&open, ""), Err("no run of  is under way".to_owned()));
        assert_eq!(meant(&[], "web"), Err("no run of web is under way".to_owned()));
    }
}
