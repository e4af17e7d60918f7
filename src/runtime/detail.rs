//! One run or rollout in full, out of its events: what `show` prints, and the pages.

use super::bot::Bot;
use super::fleet_status::millis;
use jiff::Timestamp;
use lowtide_core::decide::commit_link;
use lowtide_core::decide::rollout as rollout_line;
use lowtide_core::decide::run as run_line;
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_core::kinds::list::StepOutcome;
use lowtide_core::kinds::track::Ended;
use lowtide_core::report::quantity;
use lowtide_core::report::views::{Progress, RolloutView, RunRow, RunView, StageRow, StepRow};
use lowtide_core::report::{clean, words};
use lowtide_model::journal::{IllegalEvent, Recorded};
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::preview::RolloutPreview;
use lowtide_model::run::{Effect, Outcome};
use lowtide_model::stages::resolve::{Resolved, ResolvedOrigin};
use lowtide_model::stages::test::TestReport;
use std::path::{Path, PathBuf};

/// # Errors
/// The first event that cannot follow the ones before it.
pub fn run(id: RunId, events: &[Recorded<RunEvent>]) -> Result<RunView, IllegalEvent> {
    let state = run_line::fold(id, events)?;
    let mut stages: Vec<StageRow> = Vec::new();
    let mut since: Option<Timestamp> = None;
    let mut ended = None;
    let mut because = Vec::new();
    for recorded in events {
        match &recorded.event {
            RunEvent::EffectStarted { effect, attempt } => {
                since = Some(recorded.at);
                if let Effect::Build(build) = effect {
                    because.clone_from(&build.because);
                }
                stages.push(StageRow {
                    stage: effect.stage(),
                    state: Progress::Running,
                    took_ms: None,
                    note: if *attempt > 1 {
                        format!("attempt {attempt}")
                    } else {
                        String::new()
                    },
                });
            }
            RunEvent::EffectEnded { outcome } => {
                if let (Some(row), Some(since)) = (stages.last_mut(), since.take()) {
                    row.state = match outcome {
                        Outcome::Failed(_) => Progress::Failed,
                        Outcome::Resolved(_)
                        | Outcome::Built(_)
                        | Outcome::Inspected(_)
                        | Outcome::Bootstrapped(_)
                        | Outcome::Pulled(_)
                        | Outcome::Tested(_)
                        | Outcome::Published(_) => Progress::Done,
                    };
                    row.took_ms = Some(millis(since, recorded.at));
                    row.note = outcome_note(outcome);
                }
            }
            RunEvent::EffectAbandoned { .. } => {
                if let Some(row) = stages.last_mut() {
                    row.state = Progress::Abandoned;
                }
            }
            RunEvent::Concluded { .. } => ended = Some(recorded.at),
            RunEvent::Opened { .. } | RunEvent::CancelRequested { .. } => {}
        }
    }
    let commit = state.resolved.as_ref().and_then(Resolved::commit).cloned();
    let link = commit
        .as_ref()
        .and_then(|commit| commit_link::link(&state.app.source()?.repo, &commit.id));
    Ok(RunView {
        because,
        link,
        files: Vec::new(),
        row: RunRow {
            run: id,
            app: state.app.name,
            started: state.opened,
            took_ms: ended.map(|at| millis(state.opened, at)),
            trigger: state.trigger,
            conclusion: state.conclusion,
        },
        revision: state.revision,
        commit,
        stages,
        tests: TestReport::of_rounds(&state.tested),
        change: state.inspected.and_then(|inspected| inspected.change),
    })
}

/// Logs of a run and the artefacts its tests left, sorted; those that housekeeping has not taken yet.
#[must_use]
pub fn files(state: &Path, run: RunId) -> Vec<PathBuf> {
    let mut folders = vec![state.join("runs").join(run.to_string())];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        // A folder that cannot be read has nothing that this person could open.
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
        if files.len() >= FILES {
            break;
        }
    }
    files.sort();
    files.truncate(FILES);
    files
}

/// Characters of what is noted beside a step.
const NOTE: usize = 256;

/// Files that are named; a run may keep thousands.
const FILES: usize = 50;

/// # Errors
/// The first event that cannot follow the ones before it.
pub fn rollout(id: RolloutId, events: &[Recorded<RolloutEvent>]) -> Result<RolloutView, IllegalEvent> {
    let state = rollout_line::fold(id, events)?;
    let mut steps: Vec<StepRow> = Vec::new();
    let mut since: Option<Timestamp> = None;
    for recorded in events {
        match &recorded.event {
            RolloutEvent::StepStarted { attempt, step } => {
                since = Some(recorded.at);
                steps.push(StepRow {
                    step: step.clone(),
                    state: Progress::Running,
                    took_ms: None,
                    note: if *attempt > 1 {
                        format!("attempt {attempt}")
                    } else {
                        String::new()
                    },
                });
            }
            RolloutEvent::StepEnded { outcome } => {
                if let (Some(row), Some(since)) = (steps.last_mut(), since.take()) {
                    row.state = match outcome {
                        Ended::Failed { .. } => Progress::Failed,
                        Ended::Well { .. } | Ended::Busy { .. } => Progress::Done,
                    };
                    row.took_ms = Some(millis(since, recorded.at));
                    row.note = step_note(outcome);
                }
            }
            RolloutEvent::StepAbandoned => {
                if let Some(row) = steps.last_mut() {
                    row.state = Progress::Abandoned;
                }
            }
            RolloutEvent::Opened { .. }
            | RolloutEvent::Expedited { .. }
            | RolloutEvent::Entered { .. }
            | RolloutEvent::Suspended { .. }
            | RolloutEvent::LateNoticeSent { .. }
            | RolloutEvent::BakeStarted { .. }
            | RolloutEvent::RevertDecided { .. }
            | RolloutEvent::Concluded { .. } => {}
        }
    }
    let incident = state.incident(None);
    Ok(RolloutView {
        incident,
        rollout: id,
        app: state.app,
        target: state.target.name,
        tag: state.release.tag,
        started: state.opened,
        steps,
        conclusion: state.conclusion,
    })
}

/// What a rollout has moved, and what lies ahead of one that is under way.
///
/// # Errors
/// The first event that cannot follow the ones before it.
pub fn rollout_preview(
    bot: &Bot,
    id: RolloutId,
    events: &[Recorded<RolloutEvent>],
    now: Timestamp,
) -> Result<RolloutPreview, IllegalEvent> {
    let state = rollout_line::fold(id, events)?;
    let (outside, app_state) = (bot.outside(&state), bot.app_state(&state.app));
    Ok(rollout_line::preview(
        &state,
        events,
        &outside,
        &app_state.releases,
        now,
    ))
}

fn outcome_note(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Resolved(resolved) => match &resolved.origin {
            ResolvedOrigin::Repository(repository) => {
                let bases = words::counted(repository.bases.len(), "base", "bases");
                format!("{}, {bases}", repository.commit.short())
            }
            ResolvedOrigin::Images(images) => images
                .listed
                .first()
                .map_or_else(String::new, |newest| format!("{} is the newest", newest.tag)),
        },
        Outcome::Pulled(pulled) => format!("{}, {}", pulled.image.short(), quantity::bytes(pulled.size)),
        Outcome::Built(built) => format!("{}, {}", built.image.short(), quantity::bytes(built.size)),
        Outcome::Inspected(inspected) => match &inspected.change {
            Some(change) if change.is_empty() => "the content is the same".to_owned(),
            Some(change) => words::counted(change.packages.len(), "package differs", "packages differ"),
            None => words::counted(inspected.inventory.packages, "package", "packages"),
        },
        Outcome::Bootstrapped(_) => String::new(),
        Outcome::Tested(tested) => match &tested.report {
            Some(report) => format!("{} passed, {} failed", report.passed, report.failed_count),
            None if tested.steps.is_empty() && tested.production_ready_ms.is_none() => words::NOT_STARTED.to_owned(),
            None => words::counted(tested.steps.len(), "step", "steps"),
        },
        Outcome::Published(published) => published
            .digest
            .as_ref()
            .map_or_else(|| "in the engine's own store".to_owned(), |d| d.short().to_owned()),
        Outcome::Failed(failure) => failure.kind.words().to_owned(),
    }
}

fn step_note(outcome: &StepOutcome) -> String {
    match outcome {
        Ended::Well { outcome } => clean::one_line(&outcome.note(), NOTE),
        Ended::Busy { .. } => "asked for a later retry".to_owned(),
        Ended::Failed { failure } => failure.kind.words().to_owned(),
    }
}
