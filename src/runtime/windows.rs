//! The openings of targets as `windows` shows them.

use super::fleet_status::{AppStatus, FleetStatus};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use lowtide_core::decide::window::{self, Forecast};
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_core::report::windows::{ClosedRow, Needs, OpeningRow, WindowsRow};
use lowtide_model::name::{AppName, TargetName};
use lowtide_model::window::{Doubt, Window};

/// Shown where no span was requested.
const NEXT: usize = 5;

/// Which openings.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    /// All of this span; the next few, if not given.
    pub span: Option<Span>,
    /// From the beginning of this day in the window's zone; from now on, if not given.
    pub from: Option<Date>,
}

/// One target's openings.
///
/// # Errors
/// Zone data that lack a zone of the configuration, and days beyond the calendar.
pub fn row(app: &AppStatus, target: &TargetPolicy, which: Which, now: Timestamp) -> Result<WindowsRow, jiff::Error> {
    let app_zone = app.app.timezone.as_str();
    let window = target.settings.window.as_ref();
    let timezone = window
        .and_then(|w| w.opens.zone.as_deref())
        .unwrap_or(app_zone)
        .to_owned();
    let (estimate, rollouts) = app.estimate(target);
    let shown = window
        .map(|window| openings(window, app_zone, estimate, which, now))
        .transpose()?;
    let (openings, swallowed) = shown.unzip();
    Ok(WindowsRow {
        app: app.app.name.clone(),
        target: target.settings.name.clone(),
        timezone,
        openings,
        swallowed: swallowed.unwrap_or_default(),
        freeze: window.and_then(|window| window.freeze.clone()),
        needs: window.and_then(|window| window.cutoff).map_or(
            Needs::Estimate {
                lasts: estimate,
                rollouts,
            },
            Needs::Cutoff,
        ),
    })
}

/// A target whose window lets nothing begin by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubtful {
    pub app: AppName,
    pub target: TargetName,
    /// Its place in the app's list of targets.
    pub index: usize,
    pub doubt: Doubt,
    pub needs: Needs,
}

/// Such targets, by app, going by how long earlier rollouts of each took.
#[must_use]
pub fn doubtful(fleet_status: &FleetStatus) -> Vec<Doubtful> {
    let mut found = Vec::new();
    for app in &fleet_status.apps {
        for (index, target) in app.app.rollout.iter().enumerate() {
            let (lasts, _) = app.estimate(target);
            let doubt = target
                .settings
                .window
                .as_ref()
                .and_then(|it| window::doubt(it, &app.app.timezone, lasts, fleet_status.now));
            found.extend(doubt.map(|doubt| Doubtful {
                app: app.app.name.clone(),
                target: target.settings.name.clone(),
                index,
                doubt,
                needs: app.needs(target),
            }));
        }
    }
    found
}

fn openings(
    window: &Window,
    zone: &str,
    estimate: SignedDuration,
    which: Which,
    now: Timestamp,
) -> Result<(Vec<OpeningRow>, Vec<Date>), jiff::Error> {
    let name = window.opens.zone.as_deref().unwrap_or(zone);
    let tz = TimeZone::get(name)?;
    let from = match which.from {
        Some(day) => day.to_zoned(tz.clone())?.timestamp(),
        None => now,
    };
    let end = match which.span {
        Some(span) => from.to_zoned(tz).checked_add(span)?.timestamp(),
        None => Timestamp::MAX,
    };
    let limit = if which.span.is_some() { usize::MAX } else { NEXT };
    let found: Vec<Forecast> = window::forecast(window, zone, estimate, (from, end))
        .take(limit)
        .collect();
    let last = found.last().map_or(from, |last| last.whole.end);
    let swallowed = window::swallowed(window, zone, (from, end.min(last)));
    Ok((found.into_iter().map(opening).collect(), swallowed))
}

fn opening(found: Forecast) -> OpeningRow {
    OpeningRow {
        day: found.whole.day,
        start: found.whole.start,
        end: found.whole.end,
        open: found.open.iter().map(|part| (part.start, part.end)).collect(),
        closed: found
            .shut
            .into_iter()
            .map(|shut| ClosedRow {
                start: shut.start,
                end: shut.end,
                once: shut.once,
                why: shut.why,
            })
            .collect(),
        clock: found.clock,
        fits: found.fits,
    }
}
