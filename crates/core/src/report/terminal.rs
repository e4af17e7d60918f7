//! Tables and one-line answers for a terminal. Every function returns whole lines, each ended; columns are aligned and
//! nothing is coloured unless asked for.

use super::table::{Cell, Ink, columns, fitted};
use super::{change, clean, halt, incident, outstanding, words};
use crate::fleet::app_state::UnfixableUpdates;
use crate::kinds::list::Step;
use jiff::Timestamp;
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, FailureKind, WaitReason};
use lowtide_model::freshness::Because;
use lowtide_model::halt::{Exposure, Incident};
use lowtide_model::inventory::Change;
use lowtide_model::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::policy::Mode;
use lowtide_model::rollout::RolloutConclusion;
use lowtide_model::run::{Conclusion, Stage, Trigger};
use lowtide_model::stages::resolve::Commit;
use lowtide_model::stages::test::TestReport;
use std::path::PathBuf;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Columns. Last columns of tables are cut to it.
    pub width: usize,
}

/// One app in `status`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusRow {
    pub app: AppName,
    pub mode: Mode,
    /// Tag of the last release.
    pub release: Option<String>,
    pub last_run: Option<Timestamp>,
    pub next_run: Option<Timestamp>,
    pub state: AppCondition,
    /// Rollouts of each target that are still watched twice as long; targets without any are left out.
    pub probation: Vec<(TargetName, u32)>,
}

/// What there is to know of an app at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppCondition {
    /// Nothing has run yet.
    New,
    /// The last run succeeded and nothing waits.
    Fresh,
    /// The last run succeeded, but there are fixes that no rebuild can bring.
    Behind {
        since: Timestamp,
        unfixable: Box<UnfixableUpdates>,
    },
    Running {
        stage: Stage,
    },
    Rolling {
        target: TargetName,
    },
    Waiting {
        target: TargetName,
        why: WaitReason,
    },
    Failing {
        stage: Stage,
        kind: FailureKind,
        since: Timestamp,
    },
    /// A target did not take the release, although nothing is wrong with the release.
    Refused {
        target: TargetName,
        failure: Box<Failure>,
        since: Timestamp,
    },
    /// A channel did not get the release. `again`: when the promotion is retried automatically.
    Unpromoted {
        channel: ChannelName,
        failure: Box<Failure>,
        since: Timestamp,
        again: Option<Timestamp>,
    },
    /// Someone else changed what a target runs.
    Drifted {
        target: TargetName,
        tag: String,
        since: Timestamp,
        drift: Drift,
    },
    Halted {
        since: Timestamp,
        exposure: Exposure,
    },
}

impl AppCondition {
    /// Every word that [`AppCondition::word`] has.
    pub const WORDS: [&str; 11] = [
        "new",
        "fresh",
        "behind",
        "running",
        "rolling",
        "waiting",
        "refused",
        "unpromoted",
        "drifted",
        "failing",
        "halted",
    ];

    /// One word, the same in JSON, metrics and on the status page.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            AppCondition::New => "new",
            AppCondition::Fresh => "fresh",
            AppCondition::Behind { .. } => "behind",
            AppCondition::Running { .. } => "running",
            AppCondition::Rolling { .. } => "rolling",
            AppCondition::Waiting { .. } => "waiting",
            AppCondition::Refused { .. } => "refused",
            AppCondition::Unpromoted { .. } => "unpromoted",
            AppCondition::Drifted { .. } => "drifted",
            AppCondition::Failing { .. } => "failing",
            AppCondition::Halted { .. } => "halted",
        }
    }
}

/// One run in `history`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    pub run: RunId,
    pub app: AppName,
    pub started: Timestamp,
    /// Milliseconds, once it has ended.
    pub took_ms: Option<u64>,
    pub trigger: Trigger,
    /// `None`: it is still under way.
    pub conclusion: Option<Conclusion>,
}

/// One run in full.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    pub row: RunRow,
    /// Configuration revision it ran with.
    pub revision: String,
    pub commit: Option<Commit>,
    /// The commit's page, where one is known.
    pub link: Option<String>,
    /// Logs and kept artefacts, where they are on this machine.
    pub files: Vec<PathBuf>,
    /// Why it built; empty when it did not.
    pub because: Vec<Because>,
    pub stages: Vec<StageRow>,
    pub tests: Option<TestReport>,
    pub change: Option<Change>,
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRow {
    pub stage: Stage,
    pub state: Progress,
    pub took_ms: Option<u64>,
    /// A few words of what came out (`142 MB`, `128 passed`); may be empty.
    pub note: String,
}

/// How far a stage or step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Running,
    Done,
    Failed,
    /// lowtide ended during it; it was decided anew.
    Abandoned,
}

/// One rollout in full.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutView {
    pub rollout: RolloutId,
    pub app: AppName,
    pub target: TargetName,
    pub tag: String,
    pub started: Timestamp,
    pub steps: Vec<StepRow>,
    pub conclusion: Option<RolloutConclusion>,
    pub incident: Incident,
}

/// One step of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    pub step: Step,
    pub state: Progress,
    pub took_ms: Option<u64>,
    pub note: String,
}

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
    let mut out = columns(&facts, style.width, style.color);
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

/// `show ROLLOUT`.
#[must_use]
pub fn show_rollout(view: &RolloutView, zone: &str, style: Style) -> String {
    let result = match &view.conclusion {
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
    };
    let facts = [
        fact("rollout", view.rollout.to_string()),
        fact("app", view.app.to_string()),
        fact("target", view.target.to_string()),
        fact("release", clean::one_line(&view.tag, 128)),
        fact("started", words::moment(view.started, zone)),
        [Ink::Soft.cell("result"), result],
    ];
    let mut out = columns(&facts, style.width, style.color);
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

/// Every package that differs, then config and files.
#[must_use]
pub fn packages_table(change: &Change, style: Style) -> String {
    if change.is_empty() {
        return "The content is the same.\n".to_owned();
    }
    let rows: Vec<_> = change
        .packages
        .iter()
        .map(|p| {
            let version = |v: &Option<String>| {
                Cell::from(v.as_deref().map_or_else(|| "–".to_owned(), |v| clean::one_line(v, 60)))
            };
            [
                change::row(p).name.into(),
                version(&p.old),
                Ink::Soft.cell("→"),
                version(&p.new),
            ]
        })
        .collect();
    let mut out = columns(&rows, style.width, style.color);
    if !change.config.is_empty() {
        let names: Vec<String> = change.config.iter().map(|n| clean::one_line(n, 40)).collect();
        out.push_str(&format!("image settings: {}\n", names.join(", ")));
    }
    let files = &change.files;
    if !files.is_empty() {
        out.push_str(&format!(
            "files: {} added, {} removed, {} changed\n",
            files.added, files.removed, files.changed
        ));
        for path in &files.examples {
            out.push_str(&format!("  {}\n", clean::one_line(path, style.width.max(40))));
        }
    }
    out
}

/// `3 min ago`, `in 2 h`, `now`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.duration_since(now).as_secs();
    let length = match seconds.unsigned_abs() {
        0..=29 => return "now".to_owned(),
        s @ 30..=59 => format!("{s} s"),
        s @ 60..=3599 => format!("{} min", s / 60),
        s @ 3600..=172_799 => format!("{} h", s / 3600),
        s @ 172_800.. => format!("{} d", s / 86_400),
    };
    if seconds < 0 {
        format!("{length} ago")
    } else {
        format!("in {length}")
    }
}

/// Milliseconds as people read them: `850 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match ms {
        0..=999 => format!("{ms} ms"),
        1000..=9_999 => format!("{s}.{} s", ms % 1000 / 100),
        10_000..=59_999 => format!("{s} s"),
        60_000..=3_599_999 => format!("{} min {} s", s / 60, s % 60),
        3_600_000.. => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Bytes in binary units with one decimal: `512 B`, `1.5 KiB`, `142.0 MiB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    // Tenths of the unit, rounded down: never more than there is.
    let mut tenths = u128::from(n) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
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

fn run_result(row: &RunRow) -> Cell {
    let Some(conclusion) = &row.conclusion else {
        return "under way".into();
    };
    let ink = match conclusion {
        Conclusion::Unchanged { .. } | Conclusion::Cancelled { .. } => Ink::Soft,
        Conclusion::Released { .. } | Conclusion::Observed { .. } => Ink::Good,
        Conclusion::Failed { .. } => Ink::Bad,
    };
    ink.cell(words::concluded(conclusion))
}

/// What an app is at, in a few words.
#[must_use]
pub fn state_words(row: &StatusRow, now: Timestamp, zone: &str) -> String {
    row_state(row, now, zone).text
}

fn row_state(row: &StatusRow, now: Timestamp, zone: &str) -> Cell {
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
