//! The page of one app: what it is at, what runs where, what comes next, what is wrong, and what was.

use super::app_parts::{missing_fixes, plots, release, rollouts, runs, runs_where, troubles};
use super::fleet::{paused, state_of};
use super::layout::{Frame, UNDER_WAY, WAITS, card, cell, facts, page};
use super::moves::moves;
use crate::runtime::app_history::AppHistory;
use crate::runtime::fleet_status::{AppStatus, FleetStatus};
use lowtide_core::report::plan::{self, PlanRow};
use lowtide_core::report::terminal::row_state;
use lowtide_core::report::words;
use maud::{Markup, html};

/// What the page is made of.
pub(in crate::web) struct Seen {
    /// Of the one app.
    pub(in crate::web) fleet_status: FleetStatus,
    pub(in crate::web) plan: Vec<PlanRow>,
    pub(in crate::web) history: AppHistory,
    pub(in crate::web) instance: String,
}

/// `None`: the status is of no app.
pub(in crate::web) fn html(seen: &Seen) -> Option<Markup> {
    let app = seen.fleet_status.apps.first()?;
    let (now, zone) = (seen.fleet_status.now, app.app.timezone.as_str());
    let row = app.status_row();
    let body = html! {
        h1 { (app.app.name) }
        p.lead { (cell(&row_state(&row, now, zone))) }
        p { (seen.instance) " · " (words::moment(now, zone)) }
        (paused(seen.fleet_status.paused))
        (troubles(app, now))
        @for row in &seen.plan { (card("Plan", &facts(&plan::lines(row, now), |_| None))) }
        @for open in &app.rollouts { section.card.stack { (moves(&open.preview(), &state_of(app, open, now))) } }
        (release(app, now))
        (runs_where(app))
        (missing_fixes(app, now))
        (plots(&seen.history, zone))
        (runs(&seen.history.runs, now, zone))
        (rollouts(&seen.history.rollouts, now, zone))
    };
    let frame = Frame {
        title: app.app.name.as_str(),
        refresh: refresh(app),
        above: &[],
    };
    Some(page(&frame, &body))
}

/// Only while something is expected to change: a page that is read stays as it is.
fn refresh(app: &AppStatus) -> Option<u32> {
    let moves = app.rollouts.iter().any(|open| open.waits.is_none());
    match (app.running.is_some() || moves, app.rollouts.is_empty()) {
        (true, _) => Some(UNDER_WAY),
        (false, false) => Some(WAITS),
        (false, true) => None,
    }
}
