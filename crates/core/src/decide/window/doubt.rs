//! A window that is valid, and in which nothing will ever begin by itself.

use super::start::{Start, start};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::window::{Doubt, Window};

/// Makes the same check as a waiting rollout. A freeze is deliberate, so it is no doubt.
#[must_use]
pub fn doubt(window: &Window, zone: &str, needs: SignedDuration, now: Timestamp) -> Option<Doubt> {
    match start(Some(window), zone, needs, None, now) {
        Start::Never => Some(Doubt::NeverOpens),
        Start::TooShort { needs, longest } => Some(Doubt::TooShort { needs, longest }),
        Start::Now { .. } | Start::Later { .. } | Start::Frozen { .. } | Start::NoWindow => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;
    use lowtide_model::window::{ClosedSpan, Closure, Day, Until, Weekly};

    /// Sundays from 3 to 4.
    fn window() -> Window {
        Window::from(Weekly {
            days: vec![Day::Sun],
            from: time(3, 0, 0, 0),
            until: Until::To(time(4, 0, 0, 0)),
            zone: None,
        })
    }

    fn denied(days: Vec<Day>) -> Window {
        let span = ClosedSpan::Weekly(Weekly {
            days,
            from: time(0, 0, 0, 0),
            until: Until::To(time(0, 0, 0, 0)),
            zone: None,
        });
        Window {
            closed: vec![Closure { span, why: None }],
            ..window()
        }
    }

    #[test]
    fn a_window_in_which_nothing_ever_begins() {
        let minutes = SignedDuration::from_mins;
        let too_short = |needs, longest| {
            Some(Doubt::TooShort {
                needs: minutes(needs),
                longest: minutes(longest),
            })
        };
        let cutoff = Window {
            cutoff: Some(minutes(90)),
            ..window()
        };
        let frozen = Window {
            freeze: Some("the database moves".to_owned()),
            ..denied(vec![Day::Sun])
        };
        for (what, window, needs, expected) in [
            ("long enough", window(), 60, None),
            ("a minute too short", window(), 61, too_short(61, 60)),
            ("a cutoff longer than it", cutoff, 5, too_short(90, 60)),
            (
                "denied when it opens",
                denied(vec![Day::Sun]),
                5,
                Some(Doubt::NeverOpens),
            ),
            ("denied on another day", denied(vec![Day::Mon]), 5, None),
            ("frozen, which is meant", frozen, 5, None),
        ] {
            // A Wednesday.
            let now = "2026-06-03T12:00:00Z".parse().unwrap();
            assert_eq!(doubt(&window, "Europe/Berlin", minutes(needs), now), expected, "{what}");
        }
    }
}
