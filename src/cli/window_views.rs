//! What `windows --json` prints; see [`super::views`] for what all of them share.

use super::views::VERSION;
use jiff::Timestamp;
use jiff::civil::Date;
use lowtide_core::report::windows::{ClosedRow, Needs, OpeningRow, WindowsRow};
use lowtide_model::window::ClockChange;
use serde::Serialize;

/// `windows --json`.
#[derive(Debug, Serialize)]
pub(super) struct Windows<'a> {
    version: u32,
    now: Timestamp,
    targets: Vec<Target<'a>>,
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    app: &'a str,
    target: &'a str,
    /// IANA zone of the window.
    timezone: &'a str,
    freeze: Option<&'a str>,
    /// What must be left of an opening for a rollout to begin.
    needs_ms: i64,
    /// `cutoff`: the configuration says so; `history`: by earlier rollouts; `limits`: by the target's own limits.
    needs_by: &'static str,
    /// `null`: there is no window.
    openings: Option<Vec<Opening<'a>>>,
    /// Days on which the clock leaves no opening.
    swallowed: &'a [Date],
}

#[derive(Debug, Serialize)]
struct Opening<'a> {
    /// The day it belongs to.
    day: Date,
    start: Timestamp,
    end: Timestamp,
    /// What is left of it.
    open: Vec<Span>,
    closed: Vec<Closed<'a>>,
    clock: &'a [ClockChange],
    /// A rollout can begin in it.
    fits: bool,
}

#[derive(Debug, Serialize)]
struct Span {
    start: Timestamp,
    end: Timestamp,
}

#[derive(Debug, Serialize)]
struct Closed<'a> {
    start: Timestamp,
    end: Timestamp,
    once: bool,
    why: Option<&'a str>,
}

pub(super) fn windows(rows: &[WindowsRow], now: Timestamp) -> Windows<'_> {
    Windows {
        version: VERSION,
        now,
        targets: rows.iter().map(target).collect(),
    }
}

fn target(row: &WindowsRow) -> Target<'_> {
    let (needs, needs_by) = match row.needs {
        Needs::Cutoff(cutoff) => (cutoff, "cutoff"),
        Needs::Estimate { lasts, rollouts: 0 } => (lasts, "limits"),
        Needs::Estimate { lasts, .. } => (lasts, "history"),
    };
    Target {
        app: row.app.as_str(),
        target: row.target.as_str(),
        timezone: &row.timezone,
        freeze: row.freeze.as_deref(),
        needs_ms: i64::try_from(needs.as_millis()).unwrap_or(i64::MAX),
        needs_by,
        openings: row.openings.as_ref().map(|all| all.iter().map(opening).collect()),
        swallowed: &row.swallowed,
    }
}

fn opening(row: &OpeningRow) -> Opening<'_> {
    Opening {
        day: row.day,
        start: row.start,
        end: row.end,
        open: row
            .open
            .iter()
            .map(|(start, end)| Span {
                start: *start,
                end: *end,
            })
            .collect(),
        closed: row.closed.iter().map(closed).collect(),
        clock: &row.clock,
        fits: row.fits,
    }
}

fn closed(row: &ClosedRow) -> Closed<'_> {
    Closed {
        start: row.start,
        end: row.end,
        once: row.once,
        why: row.why.as_deref(),
    }
}
