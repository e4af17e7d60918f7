//! When unattended steps may be taken.
//!
//! A window is defined in civil time. Its openings are instants, computed again on every call, so that new zone data or
//! a corrected clock take effect at once. Only the [`Occurrence`] of an opening is stored, which is civil.

use jiff::Timestamp;
use jiff::civil::Date;
use lowtide_model::window::{Occurrence, Window};

mod civil;
mod doubt;
mod forecast;
mod openings;
mod overrun;
mod start;

pub(super) use civil::opening;
pub use doubt::doubt;
pub use forecast::{Forecast, forecast, swallowed};
pub use openings::{Shut, openings};
pub use overrun::{Between, Resume, SuspensionsLeft, Underway, between_units, resume};
pub use start::{Start, escalated, estimate, start};

/// One opening of a window, `[start, end)`, or what closures leave of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The civil day that owns it: the day of `from`, also after midnight.
    pub day: Date,
    pub start: Timestamp,
    pub end: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowState {
    /// Openings that touch count as one.
    Open {
        until: Timestamp,
    },
    Closed {
        opens: Timestamp,
    },
    /// Nothing begins until an operator takes the freeze out of the configuration.
    Frozen,
    /// There is none: nothing happens unattended (fail closed).
    NoWindow,
    /// There is one, and it never opens.
    Never,
}

/// Is the window open now?
#[must_use]
pub fn state(window: Option<&Window>, zone: &str, now: Timestamp) -> WindowState {
    let Some(window) = window else {
        return WindowState::NoWindow;
    };
    if window.freeze.is_some() {
        return WindowState::Frozen;
    }
    match openings::stretches(window, zone, now).next() {
        None => WindowState::Never,
        Some(stretch) if stretch.start() > now => WindowState::Closed { opens: stretch.start() },
        Some(stretch) => WindowState::Open { until: stretch.end() },
    }
}

/// Name of an opening in the journal.
#[must_use]
pub fn occurrence(window: &Window, zone: &str, opening: &Opening) -> Occurrence {
    Occurrence {
        day: opening.day,
        from: window.opens.from,
        zone: window.opens.zone.as_deref().unwrap_or(zone).to_owned(),
    }
}

#[cfg(test)]
mod tests;
