//! What is due.
//!
//! A *slot* is a moment at which a schedule fires. The last slot an app used is in its journal, and no slot up to it
//! fires again. So slots missed while lowtide was down or busy collapse into the latest one.

mod cron;

pub use cron::Calendar;

use super::family::{Families, Place};
use super::window::{self, Opening};
use crate::fleet::app::{App, Fleet};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use lowtide_model::name::AppName;
use lowtide_model::policy::Schedule;
use lowtide_model::window::Until;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How far an app's schedule has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// When the app was first seen with a schedule: earlier slots never fire.
    pub since: Timestamp,
    /// The slot last taken up.
    pub last: Option<Timestamp>,
}

/// A run that should start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub app: AppName,
    pub slot: Timestamp,
    /// Generation in its family.
    pub generation: usize,
}

/// What should start now: parents first, never more than `limits.runs` together with what runs. An app without
/// `progress` was never seen before and is not due; a child waits while one of its ancestors runs or is due itself.
#[must_use]
pub fn due_apps(
    fleet: &Fleet,
    families: &Families,
    progress: &BTreeMap<AppName, Progress>,
    running: &BTreeSet<AppName>,
    calendar: &mut Calendar,
    now: Timestamp,
) -> Vec<Due> {
    let mut due: Vec<Due> = fleet
        .apps
        .values()
        .filter(|app| !running.contains(&app.name))
        .filter_map(|app| {
            let place = families.place(&app.name);
            Some(Due {
                app: app.name.clone(),
                slot: self::due(app, &place, *progress.get(&app.name)?, calendar, now)?,
                generation: place.generation,
            })
        })
        .collect();
    let busy: BTreeSet<AppName> = due.iter().map(|d| &d.app).chain(running).cloned().collect();
    due.retain(|d| d.generation == 0 || families.ancestors(&d.app).is_disjoint(&busy));
    due.sort_by(|a, b| (a.generation, a.slot, &a.app).cmp(&(b.generation, b.slot, &b.app)));
    due.truncate(fleet.limits.runs.saturating_sub(running.len()));
    due
}

/// The latest slot not later than `now` that was not taken up yet.
#[must_use]
pub fn due(app: &App, place: &Place, progress: Progress, calendar: &mut Calendar, now: Timestamp) -> Option<Timestamp> {
    match &app.schedule {
        Schedule::Never => None,
        Schedule::Cron(text) => {
            let slot = calendar.around(text, &app.timezone, now)?.last;
            slot.filter(|slot| *slot > over(progress))
        }
        Schedule::Between { .. } => {
            let zone = TimeZone::get(&app.timezone).ok()?;
            let night = nights(app, &zone, now)
                .take_while(|night| moment(app, place, night) <= now)
                .last()?;
            let slot = moment(app, place, &night);
            // Once per night, even if a change in the family moved this app's slot during the night.
            let taken = progress.last.is_some_and(|last| last >= night.start);
            Some(slot).filter(|slot| !taken && *slot > over(progress))
        }
    }
}

/// The next slot after `now`, for people and for the next wake-up. A slot that is already due does not count.
#[must_use]
pub fn next(
    app: &App,
    place: &Place,
    progress: Progress,
    calendar: &mut Calendar,
    now: Timestamp,
) -> Option<Timestamp> {
    let after = now.max(over(progress));
    match &app.schedule {
        Schedule::Never => None,
        Schedule::Cron(text) => calendar.around(text, &app.timezone, after)?.next,
        Schedule::Between { .. } => nights(app, &TimeZone::get(&app.timezone).ok()?, after)
            .filter(|night| progress.last.is_none_or(|last| last < night.start))
            .map(|night| moment(app, place, &night))
            .find(|slot| *slot > after),
    }
}

fn over(progress: Progress) -> Timestamp {
    progress.last.map_or(progress.since, |last| last.max(progress.since))
}

/// The spans of a `between` schedule, from two days before `around` on.
fn nights(app: &App, zone: &TimeZone, around: Timestamp) -> impl Iterator<Item = Opening> {
    let span = match &app.schedule {
        Schedule::Between { from, to } => Some((*from, *to)),
        Schedule::Cron(_) | Schedule::Never => None,
    };
    let first = zone.to_datetime(around).date().checked_sub(3.days()).ok();
    // Ten days: longer than any run of nights a gap in the clock can swallow.
    std::iter::successors(first, |day| day.tomorrow().ok())
        .take(10)
        .filter_map(move |day| span.and_then(|(from, to)| window::opening(day, from, Until::To(to), zone)))
}

/// The app's own time in the span: each generation of its family gets an equal part of it, and a hash of the app's name
/// picks the time within that part. So the time is the same every night, and apps are spread out.
fn moment(app: &App, place: &Place, night: &Opening) -> Timestamp {
    let seconds = night.end.duration_since(night.start).as_secs();
    let generations = i64::try_from(place.generations.max(1)).unwrap_or(i64::MAX);
    let generation = i64::try_from(place.generation).unwrap_or(0).min(generations - 1);
    let part = seconds / generations;
    let within = i64::from(spread(&app.name)) * part / (i64::from(u32::MAX) + 1);
    let offset = SignedDuration::from_secs(part * generation + within);
    night.start.saturating_add(offset).unwrap_or(night.start)
}

fn spread(name: &AppName) -> u32 {
    let hash = Sha256::digest(name.as_str());
    hash.iter().take(4).fold(0, |n, byte| n << 8 | u32::from(*byte))
}

#[cfg(test)]
pub(crate) use tests::app as tests_app;

#[cfg(test)]
mod tests;
