//! `plan`: per app what happens next, when, and why not.

use super::quantity::relative;
use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::windows::Needs;
use super::{clean, halt, outstanding, rollout, words};
use crate::fleet::app_state::UnfixableUpdates;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, HaltReason, WaitReason};
use lowtide_model::freshness::Because;
use lowtide_model::halt::Exposure;
use lowtide_model::name::{AppName, ChannelName, RolloutId, TargetName};
use lowtide_model::policy::{Mode, Schedule};
use lowtide_model::preview::{Entry, RolloutPreview};

/// One app's future.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    pub app: AppName,
    pub mode: Mode,
    /// IANA zone its times are shown in.
    pub timezone: String,
    pub schedule: Schedule,
    pub next_run: Option<Timestamp>,
    /// A release of one of these starts a run too.
    pub parents: Vec<AppName>,
    pub halted: Option<(Timestamp, HaltReason)>,
    /// How old what runs is, and what it lacks.
    pub exposure: Exposure,
    /// Rollouts of each target that are still watched twice as long; targets without any are left out.
    pub probation: Vec<(TargetName, u32)>,
    /// Channels that do not get their release, and those that disagree with their targets.
    pub channels: Vec<ChannelPlan>,
    /// When the last recorded build was, and why.
    pub built: Option<(Timestamp, Vec<Because>)>,
    /// Fixes that no rebuild can bring, and since when there are any.
    pub unfixable: Option<(Timestamp, UnfixableUpdates)>,
    pub targets: Vec<TargetPlan>,
}

/// What a target waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetPlan {
    pub target: TargetName,
    /// The open rollout.
    pub rollout: Option<RolloutPlan>,
    /// A release that the target did not take, although nothing is wrong with the release.
    pub refused: Option<RefusedPlan>,
    /// It no longer runs its last release.
    pub drifted: Option<DriftPlan>,
    pub window: Window,
    /// How much of an opening must be left for a rollout to begin.
    pub needs: Needs,
    pub bake: SignedDuration,
    /// A run of the coming night ends only then, after the window has opened.
    pub late: Option<(Timestamp, Timestamp)>,
}

/// A release that a target did not take.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedPlan {
    pub tag: String,
    pub since: Timestamp,
    pub failure: Failure,
}

/// What a target runs in place of its last release.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftPlan {
    pub tag: String,
    pub since: Timestamp,
    pub drift: Drift,
}

/// What is wrong with a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelPlan {
    pub channel: ChannelName,
    pub trouble: ChannelTrouble,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ChannelTrouble {
    /// `again`: when it is tried again by itself.
    Unpromoted {
        tag: String,
        since: Timestamp,
        failure: Failure,
        again: Option<Timestamp>,
    },
    /// The app is halted, and these targets run another release than the channel has.
    Disagrees {
        has: String,
        targets: Vec<(TargetName, String)>,
    },
}

/// A rollout that is not over.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutPlan {
    pub id: RolloutId,
    pub tag: String,
    pub opened: Timestamp,
    /// `None`: it is in progress.
    pub waits: Option<WaitReason>,
    /// The release, or those it took the place of, has waited since then: too long.
    pub overdue: Option<Timestamp>,
    pub preview: RolloutPreview,
    pub entry: Entry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Open {
        until: Timestamp,
    },
    Closed {
        opens: Timestamp,
    },
    Frozen,
    /// There is one, and it never opens.
    NeverOpens,
    /// There is none.
    Never,
}

/// One setting in force: key, value, who said so.
pub type Setting = (String, String, String);

/// All apps, one paragraph each.
#[must_use]
pub fn plan(rows: &[PlanRow], paused: bool, now: Timestamp, style: Style) -> String {
    let mut out = String::new();
    if paused {
        out.push_str("Everything is paused: runs continue, nothing is promoted or rolled out.\n\n");
    }
    let paragraphs: Vec<String> = rows.iter().map(|row| app(row, now, style)).collect();
    out.push_str(&paragraphs.join("\n"));
    if rows.is_empty() {
        out.push_str("No apps are configured.\n");
    }
    out
}

/// The steps of every open rollout of an app, a paragraph each; empty without one.
#[must_use]
pub fn steps(row: &PlanRow, now: Timestamp, style: Style) -> String {
    let open = row.targets.iter().filter_map(|it| Some((it, it.rollout.as_ref()?)));
    let paragraphs =
        open.map(|(it, open)| format!("\n{}", rollout::steps(open.id, &it.target, &open.preview, now, style)));
    paragraphs.collect()
}

/// Every setting of one app and where it came from.
#[must_use]
pub fn settings(settings: &[Setting], style: Style) -> String {
    let rows: Vec<_> = settings
        .iter()
        .map(|(key, value, origin)| {
            [
                clean::one_line(key, 60).into(),
                clean::one_line(value, 60).into(),
                Ink::Soft.cell(origin.as_str()),
            ]
        })
        .collect();
    columns(&rows, style.width, style.color)
}

fn app(row: &PlanRow, now: Timestamp, style: Style) -> String {
    format!("{}\n{}", row.app, columns(&lines(row, now), style.width, style.color))
}

/// What is ahead of an app: a label and a line of text each. A line without a label belongs to the one before.
#[must_use]
pub fn lines(row: &PlanRow, now: Timestamp) -> Vec<[Cell; 2]> {
    let mode = match row.mode {
        Mode::Observe => "observe: builds and tests, pushes and rolls out nothing",
        Mode::Active => "active",
    };
    let mut lines: Vec<[Cell; 2]> = vec![line("mode", mode.into()), line("next run", next_run(row, now).into())];
    if let Some((at, because)) = &row.built {
        let because = words::because(because);
        lines.push(line("last build", format!("{}: {because}", relative(*at, now)).into()));
    }
    if let Some((since, unfixable)) = &row.unfixable {
        let text = format!("{}, for {}", words::unfixable(unfixable), words::span(*since, now));
        lines.push(line("behind", Ink::Warn.cell(text)));
    }
    if let Some((since, reason)) = &row.halted {
        let text = format!("for {}. {}", words::span(*since, now), words::halted(reason));
        lines.push(line("halted", Ink::Bad.cell(text)));
        let exposed = halt::exposed(row.exposure, now);
        if !exposed.is_empty() {
            lines.push(line("", Ink::Warn.cell(exposed)));
        }
    }
    if !row.probation.is_empty() {
        let text = format!("{}: their bake is doubled", halt::probation(&row.probation));
        lines.push(line("watched", Ink::Warn.cell(text)));
    }
    if row.targets.is_empty() {
        lines.push(line("rollout", Ink::Soft.cell("no target is configured")));
    }
    lines.extend(row.channels.iter().map(|channel| channel_line(channel, now)));
    for target in &row.targets {
        lines.push(line(target.target.as_str(), target_words(row, target).into()));
        lines.extend(refused_lines(row, target, now));
        lines.extend(drift_lines(row, target, now));
        if let Some(open) = &target.rollout {
            lines.extend(rollout_lines(row, target, open, now));
        } else if row.mode == Mode::Active {
            let text = format!("a rollout {}", rollout::needs(target.needs, target.bake));
            lines.push(line("", Ink::Soft.cell(text)));
        }
        if let Some((done, opens)) = target.late {
            let text = format!(
                "the night may end too late: done by {}, open from {}",
                words::moment(done, &row.timezone),
                words::moment(opens, &row.timezone)
            );
            lines.push(line("", Ink::Warn.cell(text)));
        }
    }
    lines
}

fn next_run(row: &PlanRow, now: Timestamp) -> String {
    let by_schedule = match (&row.schedule, row.next_run) {
        (Schedule::Never, _) => "only when asked: `lowtide run`".to_owned(),
        (Schedule::Between { .. } | Schedule::Cron(_), None) => "never: its schedule has no moment".to_owned(),
        (Schedule::Between { .. } | Schedule::Cron(_), Some(at)) if at <= now => "due now".to_owned(),
        (Schedule::Between { .. }, Some(at)) => moment(at, row, now, "nightly"),
        (Schedule::Cron(cron), Some(at)) => moment(at, row, now, &format!("cron {}", clean::one_line(cron, 60))),
    };
    let parents: Vec<&str> = row.parents.iter().map(AppName::as_str).collect();
    if parents.is_empty() {
        by_schedule
    } else {
        format!("{by_schedule}; and after a release of {}", parents.join(", "))
    }
}

fn moment(at: Timestamp, row: &PlanRow, now: Timestamp, why: &str) -> String {
    format!("{}, {} ({why})", relative(at, now), words::moment(at, &row.timezone))
}

fn target_words(row: &PlanRow, target: &TargetPlan) -> String {
    match &target.rollout {
        Some(open) => {
            let tag = clean::one_line(&open.tag, 40);
            match &open.waits {
                None => format!("rollout {} of {tag} is in progress", open.id.short()),
                Some(why) => format!(
                    "rollout {} of {tag}: {}",
                    open.id.short(),
                    words::waiting(why, &row.timezone)
                ),
            }
        }
        None if target.refused.is_some() => {
            let tag = target.refused.as_ref().map_or("", |refused| refused.tag.as_str());
            format!("does not run {}", clean::one_line(tag, 40))
        }
        None if target.drifted.is_some() => "nothing waits; it has drifted".to_owned(),
        None => match (row.mode, target.window) {
            (Mode::Observe, _) => "nothing rolls out in observe mode".to_owned(),
            (Mode::Active, Window::Open { until }) => {
                format!(
                    "nothing waits; its window is open until {}",
                    words::moment(until, &row.timezone)
                )
            }
            (Mode::Active, Window::Closed { opens }) => {
                format!(
                    "nothing waits; its window opens {}",
                    words::moment(opens, &row.timezone)
                )
            }
            (Mode::Active, Window::Frozen) => "nothing waits; nothing would begin: rollouts are frozen".to_owned(),
            (Mode::Active, Window::NeverOpens) => format!(
                "nothing waits; its window never opens: `lowtide windows --app {}` shows it",
                row.app
            ),
            (Mode::Active, Window::Never) => {
                "nothing waits; without a window a rollout waits for `lowtide run APP --now`".to_owned()
            }
        },
    }
}

fn channel_line(plan: &ChannelPlan, now: Timestamp) -> [Cell; 2] {
    let text = match &plan.trouble {
        ChannelTrouble::Unpromoted {
            tag,
            since,
            failure,
            again,
        } => {
            let again = again.map_or_else(
                || "tried again after the next night's run, or when the configuration changes".to_owned(),
                |at| format!("tried again {}", relative(at, now)),
            );
            let (tag, since) = (clean::one_line(tag, 40), words::span(*since, now));
            format!(
                "has been missing {tag} for {since}: {} ({again})",
                words::failure(failure)
            )
        }
        ChannelTrouble::Disagrees { has, targets } => {
            let runs = targets
                .iter()
                .map(|(target, tag)| format!("{target} runs {}", clean::one_line(tag, 40)));
            let runs: Vec<String> = runs.collect();
            format!(
                "has {} while the app is halted; {}",
                clean::one_line(has, 40),
                runs.join(", ")
            )
        }
    };
    line(plan.channel.as_str(), Ink::Bad.cell(text))
}

/// Why a target does not run the release, and what tries again.
fn refused_lines(row: &PlanRow, target: &TargetPlan, now: Timestamp) -> Vec<[Cell; 2]> {
    let Some(refused) = &target.refused else {
        return Vec::new();
    };
    let text = format!(
        "refused {} ago: {}",
        words::span(refused.since, now),
        words::failure(&refused.failure)
    );
    vec![
        line("", Ink::Bad.cell(text)),
        line("", Ink::Soft.cell(words::advice(refused.failure.kind))),
        line("", Ink::Soft.cell(outstanding::next_try(&row.app))),
    ]
}

/// What a target runs in place of its last release, and what puts it right.
fn drift_lines(row: &PlanRow, target: &TargetPlan, now: Timestamp) -> Vec<[Cell; 2]> {
    let Some(DriftPlan { tag, since, drift }) = &target.drifted else {
        return Vec::new();
    };
    vec![
        line("", Ink::Bad.cell(outstanding::no_longer_runs(tag, *since, drift, now))),
        line("", Ink::Soft.cell(outstanding::puts_back(&row.app))),
    ]
}

/// What it moves, how far it is, how long it takes, in which opening.
fn rollout_lines(row: &PlanRow, target: &TargetPlan, open: &RolloutPlan, now: Timestamp) -> Vec<[Cell; 2]> {
    let soft = |text: String| line("", Ink::Soft.cell(text));
    let warn = |text: String| line("", Ink::Warn.cell(text));
    let mut lines = Vec::new();
    if let Some(since) = open.overdue {
        lines.push(warn(format!("it has waited for {}", words::span(since, now))));
    }
    lines.extend(rollout::moved(&open.preview, &open.tag).into_iter().map(soft));
    lines.extend(rollout::progress(&open.preview).map(|text| line("", text.into())));
    lines.extend(rollout::ends(&open.preview).map(warn));
    lines.push(soft(format!("it {}", rollout::needs(target.needs, target.bake))));
    lines.extend(rollout::entry(open.entry, now, &row.timezone).map(soft));
    lines
}

fn line(label: &str, value: Cell) -> [Cell; 2] {
    [Ink::Soft.cell(format!("  {label}")), value]
}

#[cfg(test)]
mod tests;
