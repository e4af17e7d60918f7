//! A rollout that a command follows live: a line per replica that is redrawn, or a line per change if there is no
//! terminal.

use super::{clean, rollout, words};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::failure::Failure;
use lowtide_model::preview::{Move, Phase};
use lowtide_model::rollout::UpdateOrder;

/// An output line of another program, made safe for a terminal: it moves no cursor and sets no title.
#[must_use]
pub fn line(text: &str) -> String {
    clean::log_line(text)
}

/// One replica, or what is done for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    /// `None`: it has none, or it is not known.
    pub order: Option<UpdateOrder>,
    pub doing: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Between two steps.
    Phase(Phase),
    Step {
        step: String,
        since: Timestamp,
        /// Why it is not ready yet.
        reason: Option<String>,
    },
    /// Swarm replaces tasks.
    Tasks {
        done: u64,
        total: u64,
        deadline: Timestamp,
    },
    Baking {
        until: Timestamp,
    },
    Failed {
        why: String,
    },
}

/// A row as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// May be cut to the width of the terminal.
    pub text: String,
    /// At the right edge, in full: a time that runs.
    pub clock: String,
}

/// The rows as they stand, aligned.
#[must_use]
pub fn rows(rows: &[Row], now: Timestamp) -> Vec<Drawn> {
    let name = |row: &Row| clean::one_line(&row.name, 40);
    let order = |row: &Row| row.order.map_or("", UpdateOrder::as_str);
    let width = |text: &str| text.chars().count();
    let names = rows.iter().map(|row| width(&name(row))).max().unwrap_or(0);
    let orders = rows.iter().map(|row| width(order(row))).max().unwrap_or(0);
    let line = |row: &Row| {
        let order = match orders {
            0 => String::new(),
            width => format!("{:width$}  ", order(row)),
        };
        Drawn {
            text: format!("  {:names$}  {order}{}", name(row), doing(&row.doing)),
            clock: clock(&row.doing, now),
        }
    };
    rows.iter().map(line).collect()
}

fn doing(doing: &Doing) -> String {
    match doing {
        Doing::Phase(phase) => rollout::phase(*phase).to_owned(),
        Doing::Step { step, reason: None, .. } => clean::one_line(step, 80),
        Doing::Step {
            step,
            reason: Some(reason),
            ..
        } => format!("{} ({})", clean::one_line(step, 80), clean::one_line(reason, 80)),
        Doing::Tasks { done, total, .. } => format!("{done} of {total} tasks are replaced"),
        Doing::Baking { .. } => rollout::phase(Phase::Baking).to_owned(),
        Doing::Failed { why } => format!("failed: {}", clean::one_line(why, 160)),
    }
}

fn clock(doing: &Doing, now: Timestamp) -> String {
    let left = |until: &Timestamp| words::lasting(until.duration_since(now).max(SignedDuration::ZERO));
    match doing {
        Doing::Phase(_) | Doing::Failed { .. } => String::new(),
        Doing::Step { since, .. } => words::lasting(now.duration_since(*since)),
        Doing::Tasks { deadline, .. } => format!("at most {} left", left(deadline)),
        Doing::Baking { until } => format!("{} left", left(until)),
    }
}

/// `web-1: 20261109.x-3 → 20261123.x-1, stop-first (no router would pick up a new container)`.
#[must_use]
pub fn moved(it: &Move, tag: &str) -> String {
    format!("  {}", rollout::one(it, tag))
}

#[must_use]
pub fn step(name: &str, step: &str) -> String {
    format!("  {}: {}", clean::one_line(name, 40), clean::one_line(step, 80))
}

#[must_use]
pub fn not_ready(name: &str, reason: &str) -> String {
    format!(
        "  {}: not ready yet: {}",
        clean::one_line(name, 40),
        clean::one_line(reason, 160)
    )
}

#[must_use]
pub fn ready(name: &str, took: SignedDuration) -> String {
    format!("  {}: ready after {}", clean::one_line(name, 40), words::lasting(took))
}

#[must_use]
pub fn failed(name: &str, step: &str, failure: &Failure) -> String {
    format!(
        "  {}: {} failed: {}",
        clean::one_line(name, 40),
        clean::one_line(step, 80),
        because(failure)
    )
}

#[must_use]
pub fn returns(target: &str, failure: &Failure) -> String {
    format!("  {}: rolling back: {}", clean::one_line(target, 40), because(failure))
}

/// The kind in words, and the detail.
#[must_use]
pub fn because(failure: &Failure) -> String {
    let detail = clean::one_line(&failure.detail, 200);
    if detail.is_empty() {
        failure.kind.words().to_owned()
    } else {
        format!("{}: {detail}", failure.kind.words())
    }
}
