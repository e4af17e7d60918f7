//! When a target may be changed unattended: recurring civil times, and what is taken out of them. Nothing in here is an
//! instant: `decide::window` works those out anew each time, from the zone data of that moment.

use jiff::SignedDuration;
use jiff::civil::{DateTime, Time};
use serde::{Deserialize, Serialize};

/// The low-traffic windows of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    #[serde(flatten)]
    pub opens: Weekly,
    /// What is taken out of the openings; it wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Closure>,
    /// Why nothing begins unattended until this is taken out of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<String>,
    /// Nothing begins later than this before the end of an opening. `None`: what a rollout is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<SignedDuration>,
    /// What becomes of a rollout whose opening ends between two of its units. `None`: it depends on how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrun: Option<Overrun>,
    #[serde(default)]
    pub patience: Patience,
}

/// A span that recurs every week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    /// The days of `from`.
    pub days: Vec<Day>,
    pub from: Time,
    #[serde(flatten)]
    pub until: Until,
    /// IANA name. `None`: of the window this is part of, and in the end of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// How a span ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// A time of day; not later than the beginning is on the next day, the same is a whole day.
    To(Time),
    /// So much later, in elapsed time: at most [`Until::LONGEST`].
    For(SignedDuration),
}

impl Until {
    pub const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
}

/// A span in which no rollout begins, and nothing continues except the unit in progress and rollbacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    #[serde(flatten)]
    pub span: ClosedSpan,
    /// In the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedSpan {
    Weekly(Weekly),
    /// `[from, to)`, once, in the window's zone.
    Once {
        from: DateTime,
        to: DateTime,
    },
}

/// What becomes of a rollout whose opening ends between two of its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overrun {
    /// The remaining units are rolled out, too.
    Finish,
    /// The remaining units wait for the next opening: once, and not longer than a night and a day. Then the rollout is
    /// rolled back.
    Suspend,
    /// The rollout is rolled back.
    Revert,
}

/// What a change of the clock does to an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum ClockChange {
    /// The clock skips the time at which it should begin: it begins with the first moment after.
    BeginsLater { wanted: Time },
    /// The same for its end.
    EndsLater { wanted: Time },
    /// The clock goes back meanwhile: it lasts longer than the clock on the wall shows.
    GoesBack { lasts_secs: i64 },
    /// The clock goes forward meanwhile.
    GoesForward { lasts_secs: i64 },
}

/// What has closed a window while a rollout was half-way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "closing")]
pub enum Closing {
    Ended,
    /// In the words of the closure.
    Denied {
        why: Option<String>,
    },
    Frozen {
        why: String,
    },
}

/// How long a release waits for an opening before people are notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    pub max_wait: SignedDuration,
    /// For releases that bring security fixes.
    pub max_wait_security: SignedDuration,
    pub then: Escalation,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            max_wait: SignedDuration::from_hours(14 * 24),
            max_wait_security: SignedDuration::from_hours(3 * 24),
            then: Escalation::Notify,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escalation {
    /// Its people are notified; nothing else changes.
    Notify,
    /// Its people are notified, and the best opening of the next week is taken even if it is too short.
    Start,
}

/// One opening of one window, named by civil time, so that its name does not change with the zone's rules. A rollout
/// begins at most once in each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The day of `from`.
    pub day: jiff::civil::Date,
    pub from: Time,
    /// IANA name.
    pub zone: String,
}

/// A day of the week, as configuration writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    pub const ALL: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
}

impl Weekly {
    /// `from` to `to` on these days.
    #[must_use]
    pub fn between(days: &[Day], from: Time, to: Time) -> Self {
        Self {
            days: days.to_vec(),
            from,
            until: Until::To(to),
            zone: None,
        }
    }
}

impl From<Weekly> for Window {
    fn from(opens: Weekly) -> Self {
        Self {
            opens,
            closed: Vec::new(),
            freeze: None,
            cutoff: None,
            overrun: None,
            patience: Patience::default(),
        }
    }
}

/// Why no rollout will ever begin unattended in a window, although the window is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    NeverOpens,
    /// No opening is as long as a rollout needs.
    TooShort {
        needs: SignedDuration,
        longest: SignedDuration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    #[test]
    fn windows_of_old_journals_still_load() {
        let old = r#"{"days":["mon","sun"],"from":"03:00:00","to":"05:00:00"}"#;
        let read: Window = serde_json::from_str(old).unwrap();
        let days = [Day::Mon, Day::Sun];
        let expected = Window::from(Weekly::between(&days, time(3, 0, 0, 0), time(5, 0, 0, 0)));
        assert_eq!(read, expected);
    }

    #[test]
    fn everything_comes_back_from_the_journal() {
        let weekly = Weekly {
            until: Until::For(SignedDuration::from_hours(30)),
            zone: Some("Asia/Kolkata".to_owned()),
            ..Weekly::between(&[Day::Sat], time(22, 30, 0, 0), Time::midnight())
        };
        let mut window = Window::from(weekly.clone());
        let once = ClosedSpan::Once {
            from: "2026-12-20T00:00".parse().unwrap(),
            to: "2027-01-04T00:00".parse().unwrap(),
        };
        window.closed = [ClosedSpan::Weekly(weekly), once]
            .map(|span| Closure {
                span,
                why: Some("year end".to_owned()),
            })
            .to_vec();
        window.freeze = Some("release week".to_owned());
        window.overrun = Some(Overrun::Suspend);
        window.cutoff = Some(SignedDuration::from_mins(20));
        let text = serde_json::to_string(&window).unwrap();
        assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window);
    }
}
