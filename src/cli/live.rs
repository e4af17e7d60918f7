//! Progress as a person follows it, on stderr, and the verdict for the exit code.

use super::exit::Exit;
use super::screen::{Screen, aside, story};
use crate::model::name::AppName;
use crate::model::rollout::RolloutConclusion;
use crate::model::run::Conclusion;
use crate::report::{terminal, words};
use crate::runtime::control::Reply;
use crate::runtime::progress::Progress;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the rows are drawn: their times are in seconds.
const REDRAWN: Duration = Duration::from_secs(1);

/// Shows replies until they end; the exit code is that of the worst thing seen.
pub(super) async fn follow(mut replies: mpsc::Receiver<Reply>, apps: &[AppName], json: bool) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut open: Vec<AppName> = apps.to_vec();
    let mut screen = Screen::new();
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
            None => break,
            Some(Reply::Done(text)) if apps.is_empty() => print_line(&text),
            Some(Reply::Done(_)) => {}
            Some(Reply::Refused(why)) => {
                eprintln!("{why}");
                return Ok(Exit::Failed);
            }
            Some(Reply::Progress(progress)) => {
                if let Progress::Settled { app } = progress.as_ref() {
                    open.retain(|name| name != app);
                }
                if json {
                    print_line(&serde_json::to_string(&progress)?);
                } else {
                    show(&progress);
                    screen.show(&progress);
                }
                if failed(&progress) {
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

/// The answer, on stdout.
pub(super) fn print_line(text: &str) {
    use std::io::Write;
    // A closed pipe is the reader's choice.
    let _ = aside(|| writeln!(std::io::stdout(), "{text}"));
}

pub(super) fn print(text: &str) {
    use std::io::Write;
    let _ = write!(std::io::stdout(), "{text}");
}

/// What the terminal can show.
pub(super) fn style() -> terminal::Style {
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = std::env::var("COLUMNS")
        .ok()
        .and_then(|c| c.parse().ok())
        .unwrap_or(120);
    terminal::Style { color, width }
}

fn show(progress: &Progress) {
    match progress {
        Progress::RunOpened { app, run } => story(&format!("{app}: run {run}")),
        Progress::StageStarted { stage, attempt: 1, .. } => story(&format!("  {stage}")),
        Progress::StageStarted { stage, attempt, .. } => story(&format!("  {stage} (attempt {attempt})")),
        Progress::Line { line, .. } | Progress::RolloutLine { line, .. } => story(&format!("    {line}")),
        Progress::StageEnded { stage, ok: false, .. } => story(&format!("  {stage} failed")),
        Progress::StageEnded { ok: true, .. } => {}
        Progress::RunWaits { reason, .. } => story(&format!("  waits: {}", words::waiting(reason, "UTC"))),
        Progress::RunEnded { app, conclusion, .. } => {
            print_line(&format!("{app}: {}", words::concluded(conclusion)));
            if let Conclusion::Failed { failure, .. } = conclusion.as_ref() {
                print_line(&format!("  {}", failure.detail));
                for line in &failure.excerpt {
                    // The names of failing tests are the answer; the rest of the log is the story.
                    if line.starts_with("failed: ") {
                        print_line(&format!("  {line}"));
                    } else {
                        story(&format!("    {line}"));
                    }
                }
            }
        }
        Progress::RolloutOpened {
            app, target, rollout, ..
        } => story(&format!("{app}: rollout {rollout} to {target}")),
        Progress::RolloutEnded {
            app,
            target,
            conclusion,
            ..
        } => {
            print_line(&format!("{app} on {target}: {}", words::rollout_concluded(conclusion)));
        }
        Progress::Promoted { app, channel, tag } => print_line(&format!("{app}: {channel} is {tag}")),
        // The board's to tell.
        Progress::RolloutMoves { .. }
        | Progress::StepStarted { .. }
        | Progress::NotReady { .. }
        | Progress::Ready { .. }
        | Progress::StepEnded { .. }
        | Progress::RolloutReturns { .. }
        | Progress::RolloutWaits { .. }
        | Progress::Settled { .. } => {}
    }
}

fn failed(progress: &Progress) -> bool {
    match progress {
        Progress::RunEnded { conclusion, .. } => match conclusion.as_ref() {
            Conclusion::Failed { .. } | Conclusion::Cancelled { .. } => true,
            Conclusion::Unchanged { .. } | Conclusion::Released { .. } | Conclusion::Observed { .. } => false,
        },
        Progress::RolloutEnded { conclusion, .. } => match conclusion.as_ref() {
            RolloutConclusion::Refused { .. }
            | RolloutConclusion::Reverted { .. }
            | RolloutConclusion::Stuck { .. } => true,
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
        | Progress::Promoted { .. }
        | Progress::Settled { .. } => false,
    }
}
