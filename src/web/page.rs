//! The status page: what `lowtide status` says, for a browser. It loads nothing from anywhere.

use crate::runtime::fleet_status::{AppStatus, FleetStatus, OpenRollout};
use jiff::Timestamp;
use lowtide_core::report::quantity::relative;
use lowtide_core::report::rollout as rollouts;
use lowtide_core::report::terminal::state_words;
use lowtide_core::report::trouble;
use lowtide_core::report::views::AppCondition;
use lowtide_core::report::words;
use lowtide_model::preview::{PlannedState, RolloutPreview};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2b33; --soft: #5d6e78; --line: #d8e0e4; --back: #f6f8f9; --card: #fff;
  --good: #1a7a4c; --warn: #9a6200; --bad: #b3261e; --move: #1f6099; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3eaee; --soft: #93a5b0; --line: #2c3a42; --back: #10181c;
  --card: #172127; --good: #5cc491; --warn: #e0a84a; --bad: #f08a80; --move: #7db8ea; } }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
p { margin: .3rem 0; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; margin-top: 1.2rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .55rem .9rem; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .85rem; white-space: nowrap; }
td { white-space: nowrap; } td:last-child { white-space: normal; min-width: 16rem; }
td.name { font-weight: 600; } .soft { color: var(--soft); } code { font-size: .9em; }
.new { color: var(--soft); } .fresh { color: var(--good); } .running, .rolling { color: var(--move); }
.waiting, .behind { color: var(--warn); } .failing, .halted, .refused, .unpromoted, .drifted, .registry_drifted { color: var(--bad); }
.rollout caption { text-align: left; padding: .7rem .9rem; } .rollout td.wide { white-space: normal; min-width: 12rem; }
.rollout td.waiting, .rollout td.untouched { color: var(--soft); } .moved, .baking, .finishing { color: var(--good); }
.moving { color: var(--move); } .returning, .returned { color: var(--warn); }
@media (max-width: 44rem) {
  main { padding: 1rem .6rem; } .stack thead { display: none; }
  .stack tr { display: grid; grid-template-columns: repeat(2, auto); justify-content: start; gap: .1rem 1.2rem;
    padding: .6rem .9rem; border-top: 1px solid var(--line); }
  .stack tr:first-child { border-top: 0; }
  .stack td { display: block; border: 0; padding: 0; font-size: .85rem; white-space: normal; min-width: 0; }
  .stack td.name { grid-column: 1 / -1; font-size: 1rem; } .stack td.state { grid-column: 1 / -1; order: -1; font-size: 1rem; }
  .stack td.name { order: -2; } .stack td[data-label]::before { content: attr(data-label) ' '; color: var(--soft); }
}
.names p { overflow-wrap: anywhere; }
.note { border-left: 4px solid var(--warn); padding: .6rem .9rem; }
";

pub(super) fn html(fleet_status: &FleetStatus, instance: &str, zone: &str) -> Markup {
    let now = fleet_status.now;
    let parts = Parts::of(fleet_status);
    let needs = parts.counts[..NEED_A_PERSON]
        .iter()
        .map(|(_, apps)| apps)
        .sum::<usize>();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="30";
                title { "lowtide" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "lowtide" }
                    p {
                        (words::counted(fleet_status.apps.len(), "app", "apps")) ", "
                        @if needs == 0 { "none needs attention" }
                        @else { strong.failing { (words::counted(needs, "needs attention", "need attention")) } }
                        " · " (instance) " · " (words::moment(now, zone))
                    }
                    @if fleet_status.paused {
                        div.card.note { "Rollouts and promotions are paused. " code { "lowtide pause --all --off" } " resumes them." }
                    }
                    @for trouble in &fleet_status.troubles {
                        div.card.note { (trouble::line(trouble, now)) }
                    }
                    (counts(&parts))
                    div.card.stack {
                        table {
                            thead { tr { th { "App" } th { "Mode" } th { "Release" } th { "Last run" } th { "Next run" } th { "State" } } }
                            tbody {
                                @for app in &parts.rows { (row(app, now, zone)) }
                                @if fleet_status.apps.is_empty() { tr { td colspan="6" { "No apps are configured." } } }
                            }
                        }
                    }
                    (names(&parts))
                    @for (app, open) in &parts.rollouts { (rollout(app, open, now)) }
                    @if parts.more_rollouts > 0 {
                        p { (words::counted(parts.more_rollouts, "more rollout is open", "more rollouts are open")) ": "
                            code { "lowtide plan" } " lists all of them." }
                    }
                    @if fleet_status.notices > 0 {
                        p { (words::counted(fleet_status.notices as usize, "mail waits", "mails wait")) " for delivery." }
                    }
                }
            }
        }
    }
}

/// How many apps are in which state, once there are too many to see it.
fn counts(parts: &Parts<'_>) -> Markup {
    html! {
        @if !parts.others.is_empty() {
            p {
                @for (n, (state, apps)) in parts.counts.iter().filter(|(_, apps)| *apps > 0).enumerate() {
                    @if n > 0 { " · " }
                    span class=(state) { (apps) " " (state) }
                }
            }
        }
    }
}

/// Apps without a row: a name is what a person searches the page for.
fn names(parts: &Parts<'_>) -> Markup {
    html! {
        @if !parts.others.is_empty() {
            div.card.note.names {
                p { (words::counted(parts.others.len(), "other app", "other apps")) ", no action needed. "
                    code { "lowtide status" } " shows more about each." }
                @for (state, apps) in &parts.quiet() {
                    p { span class=(state) { (state) } ": "
                        @for (n, app) in apps.iter().take(NAMES).enumerate() { @if n > 0 { ", " } (app.app.name) }
                        @if apps.len() > NAMES { ", and " (apps.len() - NAMES) " more" }
                    }
                }
            }
        }
    }
}

fn row(app: &AppStatus, now: Timestamp, zone: &str) -> Markup {
    let row = app.status_row();
    let word = row.state.word();
    html! {
        tr {
            td.name { (row.app) }
            td.soft { @match row.mode { lowtide_model::policy::Mode::Observe => "observe", lowtide_model::policy::Mode::Active => "active" } }
            td data-label="release" { @match &row.release { Some(tag) => code { (tag) }, None => "–" } }
            td data-label="last run" { (when(row.last_run, now, zone)) }
            td data-label="next run" { (when(row.next_run, now, zone)) }
            td class={ "state " (word) } { (state_words(&row, now, &app.app.timezone)) }
        }
    }
}

/// An open rollout: what it waits for, and how far each of its replicas is.
fn rollout(app: &AppStatus, open: &OpenRollout, now: Timestamp) -> Markup {
    let zone = app.app.timezone.as_str();
    let preview = open.preview();
    let entry = rollouts::entry(open.entry, now, zone);
    html! {
        div.card.rollout.stack {
            table {
                caption {
                    strong { (app.app.name) " → " (open.target) } " " code { (open.tag) } " "
                    @match &open.waits {
                        None => span.rolling { "is in progress" },
                        Some(why) => span.waiting { (words::waiting(why, zone)) },
                    }
                    @if let Some(entry) = entry { span.soft { "; " (entry) } }
                    @if let Some(since) = open.overdue { span.failing { "; it has waited for " (words::span(since, now)) } }
                }
                thead { tr { th { "Replica" } th { "Before" } th { "Steps" } th { "Order" } th { "State" } } }
                tbody {
                    @for (index, it) in preview.moves.iter().enumerate() {
                        tr {
                            td.name { (it.name) }
                            td { @match &it.from { Some(from) => code { (from) }, None => "–" } }
                            td.soft { (counted(&preview, index)) }
                            td.soft.wide { (rollouts::order(it)) }
                            td class={ "state " (it.phase.word()) } { (rollouts::replica(&preview, index)) }
                        }
                    }
                }
            }
        }
    }
}

/// Steps taken, of how many.
fn counted(preview: &RolloutPreview, unit: usize) -> String {
    let of = preview.steps.iter().filter(|line| line.unit == Some(unit));
    let done = of
        .clone()
        .filter(|line| matches!(line.state, PlannedState::Done { .. }))
        .count();
    format!("{done} of {}", of.count())
}

fn when(at: Option<Timestamp>, now: Timestamp, zone: &str) -> Markup {
    html! {
        @match at {
            Some(at) => span title=(words::moment(at, zone)) { (relative(at, now)) },
            None => "–",
        }
    }
}

/// What the page shows: everything of a small fleet; of a large one, first the apps that need attention, then those in
/// progress.
struct Parts<'a> {
    /// Words of states, the most urgent first, and how many apps are in each.
    counts: Vec<(&'static str, usize)>,
    rows: Vec<&'a AppStatus>,
    /// Without a row.
    others: Vec<(&'static str, &'a AppStatus)>,
    rollouts: Vec<(&'a AppStatus, &'a OpenRollout)>,
    more_rollouts: usize,
}

impl<'a> Parts<'a> {
    fn of(fleet_status: &'a FleetStatus) -> Self {
        let mut apps: Vec<(AppCondition, &AppStatus)> =
            fleet_status.apps.iter().map(|app| (app.state(), app)).collect();
        let mut counts: Vec<(&str, usize)> = URGENCY.iter().map(|state| (*state, 0)).collect();
        for (state, _) in &apps {
            counts[urgency(state)].1 += 1;
        }
        let all = apps.len() <= FEW;
        if !all {
            // Stable: by name within a state.
            apps.sort_by_key(|(state, _)| urgency(state));
        }
        let shown = |state: &AppCondition| all || urgency(state) < QUIET;
        let rows = apps.iter().filter(|(state, _)| shown(state)).take(FEW);
        let rows: Vec<&AppStatus> = rows.map(|(_, app)| *app).collect();
        let others = apps.iter().skip(rows.len()).map(|(state, app)| (state.word(), *app));
        // Those at work before those that wait.
        let open = apps
            .iter()
            .flat_map(|(_, app)| app.rollouts.iter().map(|open| (*app, open)));
        let (working, waiting): (Vec<_>, Vec<_>) = open.partition(|(_, open)| open.waits.is_none() || all);
        let rollouts: Vec<_> = working.into_iter().chain(waiting).collect();
        let more_rollouts = rollouts.len().saturating_sub(ROLLOUTS);
        Self {
            counts,
            others: others.collect(),
            rollouts: rollouts.into_iter().take(ROLLOUTS).collect(),
            rows,
            more_rollouts,
        }
    }

    /// Apps without a row by state, the most urgent first.
    fn quiet(&self) -> Vec<(&'static str, Vec<&'a AppStatus>)> {
        let of = |word: &'static str| {
            let apps = self.others.iter().filter(|(state, _)| *state == word);
            (word, apps.map(|(_, app)| *app).collect::<Vec<_>>())
        };
        let by_state = URGENCY.iter().map(|word| of(word));
        by_state.filter(|(_, apps)| !apps.is_empty()).collect()
    }
}

/// Rows of the table: up to so many apps, each has one.
const FEW: usize = 150;
/// Rollouts with their replicas.
const ROLLOUTS: usize = 30;
/// Names per state: the page of ten thousand apps is no larger than that of two thousand.
const NAMES: usize = 1500;

/// Words of all states, the most urgent first.
const URGENCY: [&str; 12] = [
    "halted",
    "failing",
    "refused",
    "unpromoted",
    "drifted",
    "registry_drifted",
    "rolling",
    "running",
    "waiting",
    "behind",
    "new",
    "fresh",
];
/// The first so many states need attention.
const NEED_A_PERSON: usize = 6;
/// From this index on, nothing is in progress and nothing needs attention.
const QUIET: usize = 9;

fn urgency(state: &AppCondition) -> usize {
    match state {
        AppCondition::Halted { .. } => 0,
        AppCondition::Failing { .. } => 1,
        AppCondition::Refused { .. } => 2,
        AppCondition::Unpromoted { .. } => 3,
        AppCondition::Drifted { .. } => 4,
        AppCondition::RegistryDrifted { .. } => 5,
        AppCondition::Rolling { .. } => 6,
        AppCondition::Running { .. } => 7,
        AppCondition::Waiting { .. } => 8,
        AppCondition::Behind { .. } => 9,
        AppCondition::New => 10,
        AppCondition::Fresh => 11,
    }
}

#[cfg(test)]
mod tests;
