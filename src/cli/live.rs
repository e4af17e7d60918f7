//! Progress as a person follows it, on stderr, and the verdict for the exit code.

use super::exit::Exit;
use super::names::Names;
use super::screen::{self, Screen, aside, log};
use crate::runtime::control::OperatorResponse;
use crate::runtime::fleet_status;
use crate::runtime::progress::{Left, Progress};
use lowtide_core::report::style::Style;
use lowtide_core::report::{live as report_live, outstanding, words};
use lowtide_model::failure::FailureKind;
use lowtide_model::name::AppName;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::Conclusion;
use rustix::termios::tcgetwinsize;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the rows are drawn: their times are in seconds.
const REDRAWN: Duration = Duration::from_secs(1);

/// Columns of a terminal that does not say how many it has: a serial line.
const USUAL_WIDTH: usize = 80;

/// What is followed, and how it is shown.
pub(super) struct Following {
    /// Followed until all of these apps have settled; without any, until the response.
    pub(super) apps: Vec<AppName>,
    pub(super) json: bool,
    /// The operator requested a revert, so a rollout that rolls back is no failure.
    pub(super) back: bool,
    /// The next lowtide of this state continues what is interrupted.
    pub(super) goes_on: bool,
    /// IANA zone of the times shown.
    pub(super) zone: String,
}

/// Shows replies until they end; the exit code is that of the worst thing seen.
pub(super) async fn follow(
    mut replies: mpsc::Receiver<OperatorResponse>,
    following: &Following,
) -> anyhow::Result<Exit> {
    let Following { apps, json, .. } = following;
    let mut exit = Exit::Done;
    let mut open: Vec<AppName> = apps.clone();
    let mut screen = Screen::new(&following.zone);
    let mut names = Names::new(apps);
    let mut again = tokio::time::interval(REDRAWN);
    loop {
        let reply = tokio::select! {
            reply = replies.recv() => reply,
            _ = again.tick() => {
                screen.draw();
                continue;
            }
        };
        match reply {
            None if open.is_empty() => break,
            None => {
                log(if following.goes_on {
                    "lowtide stopped; it continues the request when it runs again: `lowtide plan`"
                } else {
                    "interrupted: the test has no result"
                });
                return Ok(Exit::Failed);
            }
            Some(OperatorResponse::Done(text)) if apps.is_empty() => print_line(&text),
            Some(OperatorResponse::Done(text)) if !json => log(&text),
            Some(OperatorResponse::Done(_) | OperatorResponse::Heard) => {}
            Some(OperatorResponse::Refused(why)) => {
                log(&why);
                return Ok(Exit::Failed);
            }
            Some(OperatorResponse::Progress(progress)) => {
                if let Progress::RequestCompleted { app, .. } = progress.as_ref() {
                    open.retain(|name| name != app);
                }
                if *json {
                    print_line(&serde_json::to_string(&progress)?);
                } else {
                    let prefix = names.prefix(&progress);
                    show(&progress, &prefix, &following.zone);
                    screen.show(&progress, &prefix);
                }
                if failed(&progress, following) {
                    exit = Exit::Failed;
                }
            }
        }
        if !apps.is_empty() && open.is_empty() {
            break;
        }
    }
    Ok(exit)
}

/// The result, on stdout.
pub(super) fn print_line(text: &str) {
    use std::io::Write;
    // An error is ignored: a reader may close the pipe.
    let _ = aside(|| writeln!(std::io::stdout(), "{text}"));
}

pub(super) fn print(text: &str) {
    use std::io::Write;
    let _ = write!(std::io::stdout(), "{text}");
}

/// What stdout can show. Nothing is cut where it is no terminal: a program reads it, or a file keeps it.
pub(super) fn style() -> Style {
    let stdout = std::io::stdout();
    let is_terminal = stdout.is_terminal();
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    let seen = || {
        let columns = usize::from(tcgetwinsize(&stdout).ok()?.ws_col);
        (columns > 0).then_some(columns)
    };
    let width = columns()
        .or_else(seen)
        .unwrap_or(if is_terminal { USUAL_WIDTH } else { usize::MAX });
    Style {
        color: is_terminal && std::env::var_os("NO_COLOR").is_none(),
        width,
    }
}

fn show(progress: &Progress, prefix: &str, zone: &str) {
    let log = |text: &str| log(&format!("{prefix}{text}"));
    match progress {
        Progress::RunOpened { app, run } => screen::log(&format!("{app}: run {run}")),
        Progress::StageStarted { stage, attempt: 1, .. } => log(&format!("  {stage}")),
        Progress::StageStarted { stage, attempt, .. } => log(&format!("  {stage} (attempt {attempt})")),
        Progress::Line { line, .. } | Progress::RolloutLine { line, .. } => {
            log(&format!("    {}", report_live::line(line)));
        }
        Progress::StageEnded { stage, ok: false, .. } => log(&format!("  {stage} failed")),
        Progress::StageEnded { ok: true, .. } => {}
        Progress::RunWaits { reason, .. } => log(&format!("  waits: {}", words::waiting(reason, zone))),
        Progress::RunEnded { app, conclusion, .. } => {
            print_line(&format!("{app}: {}", words::concluded(conclusion)));
            if let Conclusion::Failed { failure, .. } = conclusion.as_ref() {
                print_line(&format!("  {}", failure.detail));
                for line in &failure.excerpt {
                    // The names of failing tests are the answer; the rest goes to the log.
                    if line.starts_with("failed: ") {
                        print_line(&format!("  {line}"));
                    } else {
                        log(&format!("    {line}"));
                    }
                }
            }
        }
        Progress::RolloutOpened {
            app, target, rollout, ..
        } => screen::log(&format!("{app}: rollout {rollout} to {target}")),
        Progress::RolloutEnded {
            app,
            target,
            conclusion,
            ..
        } => {
            print_line(&format!("{app} on {target}: {}", words::rollout_concluded(conclusion)));
        }
        Progress::Promoted { app, channel, tag } => print_line(&format!("{app}: {channel} is {tag}")),
        Progress::PromotionFailed {
            app,
            channel,
            tag,
            failure,
            again,
        } => {
            let failed = outstanding::failed(channel, tag, failure, *again, fleet_status::now());
            print_line(&format!("{app}: {failed}"));
        }
        Progress::RequestCompleted { app, left } => {
            for left in left {
                print_line(&left_over(app, left));
            }
        }
        // The board shows these.
        Progress::RolloutMoves { .. }
        | Progress::StepStarted { .. }
        | Progress::NotReady { .. }
        | Progress::Ready { .. }
        | Progress::StepEnded { .. }
        | Progress::RolloutReturns { .. }
        | Progress::RolloutWaits { .. } => {}
    }
}

fn left_over(app: &AppName, left: &Left) -> String {
    match left {
        Left::Refused { target, tag, failure } => outstanding::still_refused(app, target, tag, failure),
        Left::Unpromoted {
            channel,
            tag,
            failure,
            again,
        } => outstanding::still_unpromoted(app, channel, tag, (failure, *again), fleet_status::now()),
        Left::Drifted { target, tag, drift } => outstanding::still_drifted(app, target, tag, drift),
    }
}

/// Does this progress make the command fail? Progress of all apps arrives, and only that of the followed ones counts.
fn failed(progress: &Progress, following: &Following) -> bool {
    match progress {
        Progress::RunEnded { app, .. }
        | Progress::RolloutEnded { app, .. }
        | Progress::PromotionFailed { app, .. }
        | Progress::RequestCompleted { app, .. }
            if !following.apps.contains(app) =>
        {
            false
        }
        Progress::PromotionFailed { .. } => true,
        Progress::RequestCompleted { left, .. } => left.iter().any(|left| match left {
            // A refused release does not make a revert fail.
            Left::Refused { .. } => !following.back,
            Left::Unpromoted { .. } | Left::Drifted { .. } => true,
        }),
        Progress::RunEnded { conclusion, .. } => match conclusion.as_ref() {
            Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => true,
            Conclusion::Unchanged { .. }
            | Conclusion::Retested { .. }
            | Conclusion::Released { .. }
            | Conclusion::Observed { .. } => false,
        },
        Progress::RolloutEnded { conclusion, .. } => match conclusion.as_ref() {
            RolloutConclusion::Refused { failure } | RolloutConclusion::Reverted { failure } => {
                !following.back || failure.kind != FailureKind::Withdrawn
            }
            RolloutConclusion::Stuck { .. } => true,
            RolloutConclusion::Done | RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. } => false,
        },
        Progress::RunOpened { .. }
        | Progress::StageStarted { .. }
        | Progress::Line { .. }
        | Progress::StageEnded { .. }
        | Progress::RunWaits { .. }
        | Progress::RolloutOpened { .. }
        | Progress::RolloutMoves { .. }
        | Progress::StepStarted { .. }
        | Progress::RolloutLine { .. }
        | Progress::NotReady { .. }
        | Progress::Ready { .. }
        | Progress::StepEnded { .. }
        | Progress::RolloutReturns { .. }
        | Progress::RolloutWaits { .. }
        | Progress::Promoted { .. } => false,
    }
}
