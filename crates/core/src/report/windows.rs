//! `windows`: when each target may be changed, with warnings.

use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::{clean, words};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::name::{AppName, TargetName};
use lowtide_model::window::{ClockChange, Doubt};

/// One target's openings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsRow {
    pub app: AppName,
    pub target: TargetName,
    /// IANA zone of the window.
    pub timezone: String,
    /// `None`: there is no window.
    pub openings: Option<Vec<OpeningRow>>,
    /// Days on which the clock leaves no opening.
    pub swallowed: Vec<Date>,
    pub freeze: Option<String>,
    pub needs: Needs,
}

/// How much of an opening must be left for a rollout to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The configuration says so.
    Cutoff(SignedDuration),
    /// By so many earlier rollouts; without any, by the target's own limits.
    Estimate { lasts: SignedDuration, rollouts: usize },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningRow {
    /// The day it belongs to.
    pub day: Date,
    pub start: Timestamp,
    pub end: Timestamp,
    /// What closures leave of it.
    pub open: Vec<(Timestamp, Timestamp)>,
    pub closed: Vec<ClosedRow>,
    pub clock: Vec<ClockChange>,
    pub fits: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedRow {
    pub start: Timestamp,
    pub end: Timestamp,
    /// A blackout, or a single denied span.
    pub once: bool,
    pub why: Option<String>,
}

/// One paragraph per target.
#[must_use]
pub fn windows(rows: &[WindowsRow], style: Style) -> String {
    if rows.is_empty() {
        return "No target is configured.\n".to_owned();
    }
    let paragraphs: Vec<String> = rows.iter().map(|row| target(row, style)).collect();
    paragraphs.join("\n")
}

fn target(row: &WindowsRow, style: Style) -> String {
    let head = format!("{} {}", row.app, row.target);
    let Some(openings) = &row.openings else {
        return format!(
            "{head}\n  no window: rollouts wait for `lowtide run {} --now`\n",
            row.app
        );
    };
    let zone = TimeZone::get(&row.timezone).unwrap_or(TimeZone::UTC);
    let mut out = format!("{head}, {}\n  {}\n", row.timezone, needs(row.needs));
    if let Some(why) = &row.freeze {
        let why = clean::one_line(why, 120);
        out.push_str(&Ink::Warn.paint(&format!("  frozen: {why}; nothing begins by itself\n"), style.color));
    }
    let mut lines: Vec<(Date, [Cell; 3])> = openings.iter().map(|one| (one.day, opening(one, row, &zone))).collect();
    lines.extend(row.swallowed.iter().map(|day| (*day, swallowed(*day))));
    lines.sort_by_key(|(day, _)| *day);
    if lines.is_empty() {
        out.push_str("  it does not open\n");
    }
    let lines: Vec<[Cell; 3]> = lines.into_iter().map(|(_, line)| line).collect();
    out.push_str(&columns(&lines, style.width, style.color));
    out
}

/// Why no rollout will ever begin unattended in a window: one sentence without a full stop.
#[must_use]
pub fn doubt(app: &AppName, target: &TargetName, doubt: Doubt, by: Needs) -> String {
    match doubt {
        Doubt::NeverOpens => format!("the window of {app} {target} never opens"),
        Doubt::TooShort { longest, .. } => format!(
            "the window of {app} {target} is too short: {}, and no opening is longer than {}",
            needs(by),
            words::lasting(longest)
        ),
    }
}

fn needs(needs: Needs) -> String {
    match needs {
        Needs::Cutoff(cutoff) => format!("nothing begins later than {} before the end", words::lasting(cutoff)),
        Needs::Estimate { lasts, rollouts: 0 } => {
            let lasts = words::lasting(lasts);
            format!("a rollout may need {lasts}, going by the target's limits: none has been timed yet")
        }
        Needs::Estimate { lasts, rollouts } => {
            let by = words::counted(rollouts, "earlier one", "earlier ones");
            format!("a rollout may need {}, going by {by}", words::lasting(lasts))
        }
    }
}

fn opening(one: &OpeningRow, row: &WindowsRow, zone: &TimeZone) -> [Cell; 3] {
    let mut notes: Vec<String> = one.clock.iter().map(|change| clock(*change, one, zone)).collect();
    notes.extend(one.closed.iter().map(|closed| shut(closed, one, zone)));
    if one.open.is_empty() {
        notes.push("nothing is left of it".to_owned());
    } else if !one.fits {
        notes.push(match row.needs {
            Needs::Cutoff(_) => "too short for the cutoff".to_owned(),
            Needs::Estimate { .. } => "too short for a rollout".to_owned(),
        });
    }
    let ink = if one.fits { Ink::Plain } else { Ink::Warn };
    [
        Cell::from(format!("  {}", one.day.strftime("%a %Y-%m-%d"))),
        Ink::Plain.cell(span(one.start, one.end, one.day, zone)),
        ink.cell(notes.join("; ")),
    ]
}

fn swallowed(day: Date) -> [Cell; 3] {
    [
        Cell::from(format!("  {}", day.strftime("%a %Y-%m-%d"))),
        "none".into(),
        Ink::Warn.cell("the clock skips it"),
    ]
}

fn clock(change: ClockChange, one: &OpeningRow, zone: &TimeZone) -> String {
    let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
    let lasting = |secs: i64| words::lasting(SignedDuration::from_secs(secs));
    match change {
        ClockChange::BeginsLater { wanted } => {
            let wanted = wanted.strftime("%H:%M");
            format!("starts {}, not {wanted}: the clock skips that time", local(one.start))
        }
        ClockChange::EndsLater { wanted } => {
            let wanted = wanted.strftime("%H:%M");
            format!("ends {}, not {wanted}: the clock skips that time", local(one.end))
        }
        ClockChange::GoesBack { lasts_secs } => format!("{} long: the clock goes back", lasting(lasts_secs)),
        ClockChange::GoesForward { lasts_secs } => format!("{} long: the clock goes forward", lasting(lasts_secs)),
    }
}

fn shut(closed: &ClosedRow, one: &OpeningRow, zone: &TimeZone) -> String {
    let kind = if closed.once { "blacked out" } else { "denied" };
    let why = closed
        .why
        .as_ref()
        .map_or_else(String::new, |why| format!(" ({})", clean::one_line(why, 60)));
    if closed.start <= one.start && closed.end >= one.end {
        return format!("{kind}{why}");
    }
    let (start, end) = (closed.start.max(one.start), closed.end.min(one.end));
    format!(
        "{kind} {}{why}",
        span(start, end, start.to_zoned(zone.clone()).date(), zone)
    )
}

/// `03:00–05:00`; with the date where it ends on a later day than the next.
fn span(start: Timestamp, end: Timestamp, day: Date, zone: &TimeZone) -> String {
    let local = |at: Timestamp| at.to_zoned(zone.clone());
    let (start, end) = (local(start), local(end));
    let near = end.date() <= day.tomorrow().unwrap_or(day);
    let end = if near {
        end.strftime("%H:%M")
    } else {
        end.strftime("%a %m-%d %H:%M")
    };
    format!("{}–{end}", start.strftime("%H:%M"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const STYLE: Style = Style {
        color: false,
        width: 130,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn row(openings: Option<Vec<OpeningRow>>) -> WindowsRow {
        WindowsRow {
            app: "archives".parse().unwrap(),
            target: "front".parse().unwrap(),
            timezone: "Europe/Berlin".to_owned(),
            openings,
            swallowed: Vec::new(),
            freeze: None,
            needs: Needs::Estimate {
                lasts: SignedDuration::from_mins(22),
                rollouts: 7,
            },
        }
    }

    fn plain(day: &str, start: &str, end: &str) -> OpeningRow {
        OpeningRow {
            day: day.parse().unwrap(),
            start: at(start),
            end: at(end),
            open: vec![(at(start), at(end))],
            closed: Vec::new(),
            clock: Vec::new(),
            fits: true,
        }
    }

    fn closed(start: &str, end: &str, once: bool, why: Option<&str>) -> ClosedRow {
        ClosedRow {
            start: at(start),
            end: at(end),
            once,
            why: why.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn every_note_there_is() {
        let mut gap = plain("2026-03-29", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z");
        gap.clock = vec![ClockChange::BeginsLater {
            wanted: jiff::civil::time(2, 30, 0, 0),
        }];
        let mut late = plain("2026-03-30", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z");
        late.clock = vec![
            ClockChange::EndsLater {
                wanted: jiff::civil::time(2, 30, 0, 0),
            },
            ClockChange::GoesForward { lasts_secs: 3600 },
        ];
        let mut fold = plain("2026-10-25", "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z");
        fold.clock = vec![ClockChange::GoesBack { lasts_secs: 9000 }];
        let mut denied = plain("2026-11-06", "2026-11-06T21:00:00Z", "2026-11-07T01:00:00Z");
        denied.closed = vec![
            closed("2026-11-06T22:00:00Z", "2026-11-06T23:30:00Z", false, Some("backup")),
            closed("2026-11-07T00:40:00Z", "2026-11-09T00:00:00Z", true, None),
        ];
        denied.fits = false;
        let mut black = plain("2026-12-25", "2026-12-25T02:00:00Z", "2026-12-25T04:00:00Z");
        black.open.clear();
        black.fits = false;
        black.closed = vec![closed(
            "2026-12-20T00:00:00Z",
            "2027-01-04T00:00:00Z",
            true,
            Some("year end"),
        )];
        let long = plain("2026-12-28", "2026-12-28T05:00:00Z", "2027-01-04T05:00:00Z");
        let mut shown = row(Some(vec![gap, late, fold, denied, black, long]));
        shown.swallowed = vec!["2026-03-31".parse().unwrap()];
        shown.freeze = Some("the database\nmoves".to_owned());
        assert_snapshot!(windows(&[shown], STYLE), @r"
        archives front, Europe/Berlin
          a rollout may need 22 min, going by 7 earlier ones
          frozen: the database moves; nothing begins by itself
          Sun 2026-03-29  03:00–04:00            starts 03:00, not 02:30: the clock skips that time
          Mon 2026-03-30  02:00–03:00            ends 03:00, not 02:30: the clock skips that time; 1 h long: the clock goes forward
          Tue 2026-03-31  none                   the clock skips it
          Sun 2026-10-25  02:30–04:00            2 h 30 min long: the clock goes back
          Fri 2026-11-06  22:00–02:00            denied 23:00–00:30 (backup); blacked out 01:40–02:00; too short for a rollout
          Fri 2026-12-25  03:00–05:00            blacked out (year end); nothing is left of it
          Mon 2026-12-28  06:00–Mon 01-04 06:00
        ");
    }

    #[test]
    fn little_to_say() {
        let none = row(None);
        let mut never = row(Some(Vec::new()));
        never.needs = Needs::Cutoff(SignedDuration::from_mins(20));
        let mut new = row(Some(vec![plain(
            "2026-06-01",
            "2026-06-01T01:00:00Z",
            "2026-06-01T03:00:00Z",
        )]));
        new.needs = Needs::Estimate {
            lasts: SignedDuration::from_secs(380),
            rollouts: 0,
        };
        assert_snapshot!(windows(&[none, never, new], STYLE), @r"
        archives front
          no window: rollouts wait for `lowtide run archives --now`

        archives front, Europe/Berlin
          nothing begins later than 20 min before the end
          it does not open

        archives front, Europe/Berlin
          a rollout may need 6 min 20 s, going by the target's limits: none has been timed yet
          Mon 2026-06-01  03:00–05:00
        ");
        assert_snapshot!(windows(&[], STYLE), @r"No target is configured.");
    }
}
