//! `lowtide windows`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, status, window_views};
use crate::decide::window::{self, Forecast};
use crate::model::fleet::TargetPolicy;
use crate::model::window::Window;
use crate::report::windows::{self as words, ClosedRow, Needs, OpeningRow, WindowsRow};
use crate::runtime::reading::AppReading;
use anyhow::Context as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// Shown where no span was asked for.
const NEXT: usize = 5;

/// What was asked for.
pub(super) struct Asked {
    pub(super) app: Option<String>,
    pub(super) target: Option<String>,
    /// All openings of this span.
    pub(super) simulate: Option<Span>,
    /// From the beginning of this day in the window's zone; from now on, if not given.
    pub(super) from: Option<Date>,
}

/// Like the plan, from the configuration as it stands now, so that a change can be looked at before it is in force.
pub(super) async fn windows(global: &Global, asked: &Asked, json: bool) -> anyhow::Result<Exit> {
    let app = asked.app.as_deref().map(operate::name).transpose()?;
    let Some(loaded) = open::configuration(global).await? else {
        return Ok(Exit::Problems);
    };
    let reading = status::read(global, &loaded.fleet).await?;
    let wanted = |name: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| wanted == name);
    let mut rows = Vec::new();
    for app in reading
        .apps
        .iter()
        .filter(|it| app.as_ref().is_none_or(|app| it.app.name == *app))
    {
        for target in &app.app.rollout {
            if wanted(target.name.as_str(), asked.target.as_deref()) {
                rows.push(row(app, target, asked, reading.now)?);
            }
        }
    }
    if rows.is_empty() && (asked.app.is_some() || asked.target.is_some()) {
        eprintln!("no such app or target");
        return Ok(Exit::Failed);
    }
    if json {
        live::print_line(&serde_json::to_string(&window_views::windows(&rows, reading.now))?);
    } else {
        live::print(&words::windows(&rows, live::style()));
    }
    Ok(Exit::Done)
}

/// `2y`, `18 months`, `90d`: at most three years, since nobody knows the rules of clocks beyond.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let span: Span = text
        .parse()
        .map_err(|_| "write it like `2y`, `6mo` or `90d`".to_owned())?;
    let start = Date::constant(2026, 1, 1);
    let end = start.checked_add(span).map_err(|_| "it is too long".to_owned())?;
    if end <= start || end > start.saturating_add(3.years()) {
        return Err("between a day and three years".to_owned());
    }
    Ok(span)
}

fn row(app: &AppReading, target: &TargetPolicy, asked: &Asked, now: Timestamp) -> anyhow::Result<WindowsRow> {
    let app_zone = app.app.timezone.as_str();
    let window = target.window.as_ref();
    let timezone = window
        .and_then(|w| w.opens.zone.as_deref())
        .unwrap_or(app_zone)
        .to_owned();
    let (estimate, rollouts) = app.estimate(target);
    let shown = window
        .map(|window| openings(window, app_zone, estimate, asked, now))
        .transpose()?;
    let (openings, swallowed) = shown.unzip();
    Ok(WindowsRow {
        app: app.app.name.clone(),
        target: target.name.clone(),
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

fn openings(
    window: &Window,
    zone: &str,
    estimate: jiff::SignedDuration,
    asked: &Asked,
    now: Timestamp,
) -> anyhow::Result<(Vec<OpeningRow>, Vec<Date>)> {
    let name = window.opens.zone.as_deref().unwrap_or(zone);
    let tz = TimeZone::get(name).with_context(|| format!("the time zone {name} is not known here"))?;
    let from = match asked.from {
        Some(day) => day.to_zoned(tz.clone())?.timestamp(),
        None => now,
    };
    let end = match asked.simulate {
        Some(span) => from.to_zoned(tz).checked_add(span)?.timestamp(),
        None => Timestamp::MAX,
    };
    let limit = if asked.simulate.is_some() { usize::MAX } else { NEXT };
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
