//! Tables and one-line responses for a terminal. Every function returns whole lines, each ended; columns are aligned
//! and nothing is coloured unless requested.

use super::change::packages_table;
use super::quantity::{duration, relative};
use super::style::Style;
use super::table::{Cell, Ink, columns, fitted};
use super::views::{AppCondition, Progress, RolloutView, RunRow, RunView, StatusRow};
use super::{clean, halt, incident, outstanding, words};
use jiff::Timestamp;
use lowtide_model::policy::Mode;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::Conclusion;
use lowtide_model::stages::test::TestReport;

/// `status`: one line per app, sorted as given.
#[must_use]
pub fn status(rows: &[StatusRow], now: Timestamp, zone: &str, style: Style) -> String {
    if rows.is_empty() {
        return "No apps are configured.\n".to_owned();
    }
    let head = ["APP", "MODE", "RELEASE", "LAST RUN", "NEXT RUN", "STATE"].map(|h| Ink::Soft.cell(h));
    let body = rows.iter().map(|row| {
        let when = |at: Option<Timestamp>| Cell::from(at.map_or_else(|| "–".to_owned(), |at| relative(at, now)));
        [
            row.app.as_str().into(),
            match row.mode {
                Mode::Observe => Ink::Soft.cell("observe"),
                Mode::Active => "active".into(),
            },
            row.release
                .as_deref()
                .map_or_else(|| "–".into(), |tag| clean::one_line(tag, 40).into()),
            when(row.last_run),
            when(row.next_run),
            row_state(row, now, zone),
        ]
    });
    fitted(
        &std::iter::once(head).chain(body).collect::<Vec<_>>(),
        &[(2, 12), (0, 12)],
        style.width,
        style.color,
    )
}

/// `history`: one line per run, sorted as given.
#[must_use]
pub fn history(rows: &[RunRow], now: Timestamp, style: Style) -> String {
    if rows.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let head = ["RUN", "APP", "STARTED", "TOOK", "TRIGGER", "RESULT"].map(|h| Ink::Soft.cell(h));
    let body = rows.iter().map(|row| run_cells(row, now));
    fitted(
        &std::iter::once(head).chain(body).collect::<Vec<_>>(),
        &[(4, 12), (1, 12)],
        style.width,
        style.color,
    )
}

/// One run on one line, as `run` prints it at its end.
#[must_use]
pub fn run_line(row: &RunRow, now: Timestamp, style: Style) -> String {
    columns(&[run_cells(row, now)], style.width, style.color)
}

/// `show RUN`.
#[must_use]
pub fn show_run(view: &RunView, zone: &str, style: Style) -> String {
    let row = &view.row;
    let mut out = columns(&run_facts(view, zone), style.width, style.color);
    let stages: Vec<_> = view
        .stages
        .iter()
        .map(|s| {
            [
                progress(s.state),
                s.stage.to_string().into(),
                took(s.took_ms),
                clean::one_line(&s.note, 200).into(),
            ]
        })
        .collect();
    section(&mut out, "", &columns(&stages, style.width, style.color));
    if let Some(tests) = &view.tests {
        section(&mut out, "tests", &test_report(tests, style));
    }
    if let Some(change) = &view.change {
        section(&mut out, "changed", &packages_table(change, style));
    }
    if let Some(Conclusion::Failed { failure, .. }) = &row.conclusion {
        section(&mut out, "why", &failure_text(failure, style));
    }
    if !view.files.is_empty() {
        let paths = view
            .files
            .iter()
            .map(|path| clean::one_line(&path.to_string_lossy(), 400));
        let lines: Vec<String> = paths.map(|path| format!("  {path}\n")).collect();
        section(&mut out, "files", &lines.concat());
    }
    out
}

/// What a run is about: a label and its value each.
#[must_use]
pub fn run_facts(view: &RunView, zone: &str) -> Vec<[Cell; 2]> {
    let row = &view.row;
    let mut facts: Vec<[Cell; 2]> = vec![
        fact("run", row.run.to_string()),
        fact("app", row.app.to_string()),
        fact("trigger", words::triggered(&row.trigger)),
        fact("started", words::moment(row.started, zone)),
        fact("config", clean::one_line(&view.revision, 40)),
    ];
    if let Some(commit) = &view.commit {
        let subject = clean::one_line(&commit.subject, 100);
        let author = clean::one_line(&commit.author, 60);
        facts.push(fact(
            "commit",
            format!("{} {subject} ({author})", words::short_commit(&commit.id)),
        ));
        facts.extend(view.link.as_ref().map(|link| fact("page", link.clone())));
    }
    if !view.because.is_empty() {
        facts.push(fact("rebuilt for", words::because(&view.because)));
    }
    facts.push([Ink::Soft.cell("result"), run_result(row)]);
    facts
}

/// `show ROLLOUT`.
#[must_use]
pub fn show_rollout(view: &RolloutView, zone: &str, style: Style) -> String {
    let mut out = columns(&rollout_facts(view, zone), style.width, style.color);
    let steps: Vec<_> = view
        .steps
        .iter()
        .map(|s| {
            [
                progress(s.state),
                s.step.to_string().into(),
                took(s.took_ms),
                clean::one_line(&s.note, 200).into(),
            ]
        })
        .collect();
    section(&mut out, "", &columns(&steps, style.width, style.color));
    if let Some(
        RolloutConclusion::Refused { failure }
        | RolloutConclusion::Reverted { failure }
        | RolloutConclusion::Stuck { failure },
    ) = &view.conclusion
    {
        section(&mut out, "why", &failure_text(failure, style));
    }
    out.push_str(&incident::findings(&view.incident, style));
    out
}

/// What a rollout is about: a label and its value each.
#[must_use]
pub fn rollout_facts(view: &RolloutView, zone: &str) -> Vec<[Cell; 2]> {
    vec![
        fact("rollout", view.rollout.to_string()),
        fact("app", view.app.to_string()),
        fact("target", view.target.to_string()),
        fact("release", clean::one_line(&view.tag, 128)),
        fact("started", words::moment(view.started, zone)),
        [Ink::Soft.cell("result"), rollout_result(view.conclusion.as_ref())],
    ]
}

/// How a rollout ended; `None`: it has not.
#[must_use]
pub fn rollout_result(conclusion: Option<&RolloutConclusion>) -> Cell {
    match conclusion {
        None => Ink::Plain.cell("under way"),
        Some(c) => {
            let ink = match c {
                RolloutConclusion::Done | RolloutConclusion::AlreadyThere => Ink::Good,
                RolloutConclusion::Superseded { .. } => Ink::Soft,
                RolloutConclusion::Refused { .. } => Ink::Warn,
                RolloutConclusion::Reverted { .. } | RolloutConclusion::Stuck { .. } => Ink::Bad,
            };
            ink.cell(words::rollout_concluded(c))
        }
    }
}

fn run_cells(row: &RunRow, now: Timestamp) -> [Cell; 6] {
    [
        Ink::Soft.cell(row.run.short()),
        row.app.as_str().into(),
        relative(row.started, now).into(),
        took(row.took_ms),
        words::triggered(&row.trigger).into(),
        run_result(row),
    ]
}

/// How a run ended.
#[must_use]
pub fn run_result(row: &RunRow) -> Cell {
    let Some(conclusion) = &row.conclusion else {
        return "under way".into();
    };
    let ink = match conclusion {
        Conclusion::Unchanged { .. } | Conclusion::Retested { .. } | Conclusion::Cancelled { .. } => Ink::Soft,
        Conclusion::Released { .. } | Conclusion::Observed { .. } => Ink::Good,
        Conclusion::Failed { .. } => Ink::Bad,
    };
    ink.cell(words::concluded(conclusion))
}

/// What an app is at, in a few words.
#[must_use]
pub fn row_state(row: &StatusRow, now: Timestamp, zone: &str) -> Cell {
    let mut cell = state(&row.state, now, zone);
    if !row.probation.is_empty() {
        cell.text.push_str(&format!("; {}", halt::probation(&row.probation)));
    }
    cell
}

fn state(state: &AppCondition, now: Timestamp, zone: &str) -> Cell {
    match state {
        AppCondition::New => Ink::Soft.cell("new"),
        AppCondition::Fresh => Ink::Good.cell("fresh"),
        AppCondition::Running { stage } => format!("running: {stage}").into(),
        AppCondition::Rolling { target } => format!("rolling out to {target}").into(),
        AppCondition::Waiting { target, why } => format!("{target} {}", words::waiting(why, zone)).into(),
        AppCondition::Failing { stage, kind, since } => Ink::Bad.cell(format!(
            "failing at {stage} for {}: {}",
            words::span(*since, now),
            kind.words()
        )),
        AppCondition::Refused { target, failure, since } => {
            Ink::Bad.cell(outstanding::refuses(target, *since, failure, now))
        }
        AppCondition::Unpromoted {
            channel,
            failure,
            since,
            again,
        } => Ink::Bad.cell(outstanding::missing(channel, *since, failure, *again, now)),
        AppCondition::Drifted {
            target,
            tag,
            since,
            drift,
        } => Ink::Bad.cell(outstanding::drifted(target, tag, *since, drift, now)),
        AppCondition::RegistryDrifted {
            reference,
            since,
            drift,
        } => Ink::Bad.cell(outstanding::registry_drifted(reference, *since, drift, now)),
        AppCondition::Behind { since, unfixable } => Ink::Warn.cell(format!(
            "{}, for {}",
            words::unfixable(unfixable),
            words::span(*since, now)
        )),
        AppCondition::Halted { since, exposure } => {
            let mut parts = vec![format!("halted for {}", words::span(*since, now))];
            parts.extend(Some(halt::exposed(*exposure, now)).filter(|text| !text.is_empty()));
            Ink::Bad.cell(parts.join("; "))
        }
    }
}

fn progress(progress: Progress) -> Cell {
    match progress {
        Progress::Running => Ink::Plain.cell("…"),
        Progress::Done => Ink::Good.cell("✓"),
        Progress::Failed => Ink::Bad.cell("✗"),
        Progress::Abandoned => Ink::Warn.cell("↻"),
    }
}

fn took(ms: Option<u64>) -> Cell {
    Ink::Soft.cell(ms.map_or_else(String::new, duration))
}

fn fact(label: &str, value: String) -> [Cell; 2] {
    [Ink::Soft.cell(label), value.into()]
}

fn test_report(tests: &TestReport, style: Style) -> String {
    let mut out = format!(
        "{} passed, {} skipped, {} failed\n",
        tests.passed, tests.skipped, tests.failed_count
    );
    for failed in &tests.failed {
        out.push_str(&Ink::Bad.paint(&format!("  {}", clean::one_line(&failed.name, 200)), style.color));
        out.push('\n');
        for line in &failed.message {
            out.push_str(&format!("    {}\n", clean::log_line(line)));
        }
    }
    let more = tests.failed_count.saturating_sub(tests.failed.len());
    if more > 0 {
        out.push_str(&format!("  and {more} more\n"));
    }
    out
}

fn failure_text(failure: &lowtide_model::failure::Failure, style: Style) -> String {
    let mut out = format!("{}\n", words::failure(failure));
    for line in &failure.excerpt {
        out.push_str(&Ink::Soft.paint("  | ", style.color));
        out.push_str(&clean::log_line(line));
        out.push('\n');
    }
    out.push_str(words::advice(failure.kind));
    out.push('\n');
    out
}

fn section(out: &mut String, heading: &str, body: &str) {
    if body.is_empty() {
        return;
    }
    out.push('\n');
    if !heading.is_empty() {
        out.push_str(heading);
        out.push('\n');
    }
    out.push_str(body);
}

#[cfg(test)]
mod tests;
