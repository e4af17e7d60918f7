//! Progress as a person follows it, on stderr, and the verdict for the exit code.

use super::exit::Exit;
use crate::model::name::AppName;
use crate::model::rollout::RolloutConclusion;
use crate::model::run::Conclusion;
use crate::report::{terminal, words};
use crate::runtime::control::Reply;
use crate::runtime::progress::Progress;
use std::io::IsTerminal;
use tokio::sync::mpsc;

/// Shows replies until they end; the exit code is that of the worst thing seen.
pub(super) async fn follow(mut replies: mpsc::Receiver<Reply>, apps: &[AppName], json: bool) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut open: Vec<AppName> = apps.to_vec();
    while let Some(reply) = replies.recv().await {
        match reply {
            Reply::Done(text) if apps.is_empty() => print_line(&text),
            Reply::Done(_) => {}
            Reply::Refused(why) => {
                eprintln!("{why}");
                return Ok(Exit::Failed);
            }
            Reply::Progress(progress) => {
                if let Progress::Settled { app } = progress.as_ref() {
                    open.retain(|name| name != app);
                }
                if json {
                    print_line(&serde_json::to_string(&progress)?);
                } else {
                    show(&progress);
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
    let _ = writeln!(std::io::stdout(), "{text}");
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
        Progress::RunOpened { app, run } => eprintln!("{app}: run {run}"),
        Progress::StageStarted { stage, attempt: 1, .. } => eprintln!("  {stage}"),
        Progress::StageStarted { stage, attempt, .. } => eprintln!("  {stage} (attempt {attempt})"),
        Progress::Line { line, .. } | Progress::RolloutLine { line, .. } => eprintln!("    {line}"),
        Progress::StageEnded { stage, ok: false, .. } => eprintln!("  {stage} failed"),
        Progress::StageEnded { ok: true, .. } => {}
        Progress::RunWaits { reason, .. } => eprintln!("  waits: {}", words::waiting(reason, "UTC")),
        Progress::RunEnded { app, conclusion, .. } => {
            print_line(&format!("{app}: {}", words::concluded(conclusion)));
            if let Conclusion::Failed { failure, .. } = conclusion.as_ref() {
                print_line(&format!("  {}", failure.detail));
                for line in &failure.excerpt {
                    // The names of failing tests are the answer; the rest of the log is the story.
                    if line.starts_with("failed: ") {
                        print_line(&format!("  {line}"));
                    } else {
                        eprintln!("    {line}");
                    }
                }
            }
        }
        Progress::RolloutOpened {
            app, target, rollout, ..
        } => eprintln!("{app}: rollout {rollout} to {target}"),
        Progress::StepStarted { step, .. } => eprintln!("  {step}"),
        Progress::RolloutWaits { reason, .. } => eprintln!("  waits: {}", words::waiting(reason, "UTC")),
        Progress::RolloutEnded {
            app,
            target,
            conclusion,
            ..
        } => {
            print_line(&format!("{app} on {target}: {}", words::rollout_concluded(conclusion)));
        }
        Progress::Promoted { app, channel, tag } => print_line(&format!("{app}: {channel} is {tag}")),
        Progress::Settled { .. } => {}
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
        | Progress::StepStarted { .. }
        | Progress::RolloutLine { .. }
        | Progress::RolloutWaits { .. }
        | Progress::Promoted { .. }
        | Progress::Settled { .. } => false,
    }
}
