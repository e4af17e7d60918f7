//! The status page: what `lowtide status` says, for a browser.

use super::layout::{Frame, HOME, app_at, page, rollout_at, ticked, when};
use super::moves::moves;
use crate::runtime::fleet_status::{AppStatus, FleetStatus, OpenRollout};
use jiff::Timestamp;
use lowtide_core::report::rollout as rollouts;
use lowtide_core::report::terminal::row_state;
use lowtide_core::report::trouble;
use lowtide_core::report::views::AppCondition;
use lowtide_core::report::words;
use lowtide_model::name::AppName;
use lowtide_model::policy::Mode;
use maud::{Markup, html};

/// Seconds after which the page is loaded again.
const REFRESH: u32 = 30;

pub(in crate::web) fn html(fleet_status: &FleetStatus, instance: &str, zone: &str) -> Markup {
    let now = fleet_status.now;
    let parts = Parts::of(fleet_status);
    let needs = parts.counts[..NEED_A_PERSON]
        .iter()
        .map(|(_, apps)| apps)
        .sum::<usize>();
    let body = html! {
        h1 { "lowtide" }
        p {
            (words::counted(fleet_status.apps.len(), "app", "apps")) ", "
            @if needs == 0 { "none needs attention" }
            @else { strong.failing { (words::counted(needs, "needs attention", "need attention")) } }
            " · " (instance) " · " (words::moment(now, zone))
        }
        (paused(fleet_status.paused))
        @for trouble in &fleet_status.troubles {
            div.card.note { (trouble::line(trouble, now)) }
        }
        (counts(&parts))
        div.card.stack {
            table {
                caption.hidden { "Apps" }
                thead { tr {
                    @for head in ["App", "Mode", "Release", "Last run", "Next run", "State"] { th scope="col" { (head) } }
                } }
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
    };
    let frame = Frame {
        title: HOME,
        refresh: Some(REFRESH),
        above: &[],
    };
    page(&frame, &body)
}

/// A note while it holds everything up.
pub(super) fn paused(paused: bool) -> Markup {
    html! {
        @if paused {
            div.card.note { "Rollouts and promotions are paused. " code { "lowtide pause --all --off" } " resumes them." }
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
                        @for (n, app) in apps.iter().take(NAMES).enumerate() { @if n > 0 { ", " } (link(&app.app.name)) }
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
            th.name scope="row" { (link(&row.app)) }
            td.soft { @match row.mode { Mode::Observe => "observe", Mode::Active => "active" } }
            td data-label="release" { @match &row.release { Some(tag) => code { (tag) }, None => "–" } }
            td data-label="last run" { (when(row.last_run, now, zone)) }
            td data-label="next run" { (when(row.next_run, now, zone)) }
            td class={ "state " (word) } { (row_state(&row, now, &app.app.timezone).text) }
        }
    }
}

fn link(app: &AppName) -> Markup {
    html! { a href=(app_at(app)) { (app) } }
}

fn rollout(app: &AppStatus, open: &OpenRollout, now: Timestamp) -> Markup {
    html! { div.card.stack { (moves(&open.preview(), &state_of(app, open, now))) } }
}

/// An open rollout, and what it waits for.
pub(super) fn state_of(app: &AppStatus, open: &OpenRollout, now: Timestamp) -> Markup {
    let zone = app.app.timezone.as_str();
    html! {
        strong { a href=(rollout_at(open.id)) { (app.app.name) " → " (open.target) } } " " code { (open.tag) } " "
        @match &open.waits {
            None => span.rolling { "is in progress" },
            Some(why) => span.waiting { (ticked(&words::waiting(why, zone))) },
        }
        @if let Some(entry) = rollouts::entry(open.entry, now, zone) { span.soft { "; " (entry) } }
        @if let Some(since) = open.overdue { span.failing { "; it has waited for " (words::span(since, now)) } }
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
