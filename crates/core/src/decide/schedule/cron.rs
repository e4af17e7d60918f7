//! The slots of cron expressions.

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Direction};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Changes of the clock looked at around a search: some eight years.
const CHANGES: usize = 16;

/// The cron expressions of a fleet, each in its time zone.
///
/// An expression takes some 30 µs to parse and up to 100 µs to search (29 February), and each pass needs the slots of each app: for a
/// thousand apps a tenth of a second. So the two slots around a moment are remembered. They hold until the next one has come, for
/// all apps that share the expression. There is one entry for each expression and zone; a new configuration starts a new calendar.
#[derive(Debug, Default)]
pub struct Calendar {
    lines: HashMap<(String, String), Option<Line>>,
}

#[derive(Debug)]
struct Line {
    cron: Cron,
    zone: TimeZone,
    gap: Option<Gap>,
}

/// Two slots that follow each other. `None`: there is no such slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub last: Option<Timestamp>,
    pub next: Option<Timestamp>,
}

impl Gap {
    fn holds(&self, at: Timestamp) -> bool {
        self.last.is_none_or(|last| last <= at) && self.next.is_none_or(|next| at < next)
    }
}

impl Calendar {
    /// The last slot not later than `at` and the next one after it. `None`: the expression or the zone makes no sense.
    pub(super) fn around(&mut self, text: &str, zone: &str, at: Timestamp) -> Option<Gap> {
        // Two short strings are cheaper than a second map inside the first.
        let key = (text.to_owned(), zone.to_owned());
        let line = self
            .lines
            .entry(key)
            .or_insert_with(|| Line::new(text, zone))
            .as_mut()?;
        match line.gap {
            Some(gap) if gap.holds(at) => Some(gap),
            Some(_) | None => {
                let gap = Gap {
                    last: slot(&line.cron, &line.zone, at, Direction::Backward),
                    next: slot(&line.cron, &line.zone, at, Direction::Forward),
                };
                line.gap = Some(gap);
                Some(gap)
            }
        }
    }
}

impl Line {
    /// Five fields, as every crontab has them; croner's seconds and years are refused. Sundays are 0 or 7, and a pattern
    /// with both a day of the month and a weekday matches either (crontab(5)).
    fn new(text: &str, zone: &str) -> Option<Self> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed);
        Some(Self {
            cron: parser.build().parse(text).ok()?,
            zone: TimeZone::get(zone).ok()?,
            gap: None,
        })
    }
}

/// The next slot after `from`, or the last one not later than it.
///
/// croner 4.0 gives up where a slot falls into a gap of more than two hours (a day the zone skipped); the search then
/// goes on from the gap's other side.
fn slot(cron: &Cron, zone: &TimeZone, from: Timestamp, direction: Direction) -> Option<Timestamp> {
    let find = |from: Timestamp, inclusive| {
        let from = from.to_zoned(zone.clone());
        let found = match direction {
            Direction::Forward => cron.find_next_occurrence(&from, inclusive),
            Direction::Backward => cron.find_previous_occurrence(&from, inclusive),
        };
        found.ok().map(|slot| slot.timestamp())
    };
    let second = SignedDuration::from_secs(1);
    let is_long = |change: &Timestamp| {
        let before = zone.to_offset(*change - second).seconds();
        zone.to_offset(*change).seconds() - before > 2 * 3600
    };
    find(from, direction == Direction::Backward).or_else(|| match direction {
        Direction::Forward => {
            let mut changes = zone.following(from).take(CHANGES).map(|c| c.timestamp());
            find(changes.find(is_long)?, true)
        }
        Direction::Backward => {
            let mut changes = zone.preceding(from).take(CHANGES).map(|c| c.timestamp());
            find(changes.find(is_long)? - second, true)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_searched_until_the_next_slot() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut calendar = Calendar::default();
        let gap = calendar.around("0 3 * * *", "UTC", at("2026-05-09T12:00:00Z")).unwrap();
        let remembered = |calendar: &Calendar| calendar.lines.values().flatten().next().unwrap().gap;
        assert_eq!(remembered(&calendar), Some(gap));
        for (moment, holds) in [
            ("2026-05-09T02:59:59Z", false),
            ("2026-05-09T03:00:00Z", true),
            ("2026-05-10T02:59:59Z", true),
            ("2026-05-10T03:00:00Z", false),
        ] {
            assert_eq!(gap.holds(at(moment)), holds, "{moment}");
        }
        let next = calendar.around("0 3 * * *", "UTC", at("2026-05-10T03:00:00Z"));
        assert_eq!((remembered(&calendar), next.unwrap().last), (next, gap.next));
        assert_eq!(calendar.lines.len(), 1, "one entry for all apps of one expression");
    }
}
