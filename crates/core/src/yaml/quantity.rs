//! Durations, sizes, times of day, spans and days: text with units to values, and back for people.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use lowtide_model::window::Day;

/// Ten years: longer is a slip of the unit.
const MAX_SECONDS: u64 = 3650 * 86_400;

/// `15m`, `1h30m`, `500ms`, `2d`. The error is what to say after "is not a duration: ".
pub(crate) fn duration(text: &str) -> Result<SignedDuration, &'static str> {
    let mut millis: u64 = 0;
    let mut rest = text;
    if text.is_empty() {
        return Err("it is empty");
    }
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(unit_len);
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            // 365 days: the unit is for retention times, where leap days do not matter.
            "y" => 365 * 86_400_000,
            "" if digits > 0 && tail.is_empty() => return Err("it has no unit"),
            _ => return Err("its units are `ms`, `s`, `m`, `h`, `d` and `y`"),
        };
        if factor >= last {
            return Err("its units must go from large to small, each once");
        }
        last = factor;
        let number: u64 = number.parse().map_err(|_| "a unit has no whole number before it")?;
        millis = number
            .checked_mul(factor)
            .and_then(|part| millis.checked_add(part))
            .ok_or("it is too long")?;
        rest = tail;
    }
    if millis / 1_000 > MAX_SECONDS {
        return Err("it is longer than ten years");
    }
    i64::try_from(millis)
        .map(SignedDuration::from_millis)
        .map_err(|_| "it is too long")
}

/// The shortest text that reads back as the same duration.
pub(crate) fn duration_text(value: SignedDuration) -> String {
    let mut millis = value.as_millis().unsigned_abs();
    let mut out = String::new();
    for (factor, unit) in [
        (365 * 86_400_000, "y"),
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ] {
        if millis >= factor {
            out.push_str(&format!("{}{unit}", millis / factor));
            millis %= factor;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// `512MiB`, `2GiB`, `100MB`, `4096B`. The error is what to say after "is not a size: ".
pub(crate) fn size(text: &str) -> Result<u64, &'static str> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "" => return Err("it has no unit"),
        _ => return Err("its unit is one of `B`, `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB`, `TB`"),
    };
    let number: u64 = number.parse().map_err(|_| "there is no whole number before its unit")?;
    // The database and the engine's API count in signed 64 bit.
    number
        .checked_mul(factor)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or("it is too large")
}

/// The largest binary unit that divides evenly.
pub(crate) fn size_text(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// `HH:MM`, 00:00 to 23:59.
pub(crate) fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i8>().ok())?;
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

/// `2026-12-20` (its first moment) or `2026-12-20T18:00`.
pub(crate) fn datetime(text: &str) -> Option<DateTime> {
    let (date, at) = match text.split_once(['T', ' ']) {
        Some((date, at)) => (date, time(at)?),
        None => (text, Time::midnight()),
    };
    let plain = date.len() == 10 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date: Date = date.parse().ok().filter(|_| plain)?;
    Some(date.to_datetime(at))
}

pub(crate) fn time_text(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// `22:00-02:30`; may cross midnight.
pub(crate) fn span(text: &str) -> Option<(Time, Time)> {
    let (from, to) = text.split_once('-')?;
    Some((time(from.trim())?, time(to.trim())?))
}

pub(crate) const DAYS: [(&str, Day); 7] = [
    ("mon", Day::Mon),
    ("tue", Day::Tue),
    ("wed", Day::Wed),
    ("thu", Day::Thu),
    ("fri", Day::Fri),
    ("sat", Day::Sat),
    ("sun", Day::Sun),
];

pub(crate) fn day(text: &str) -> Option<Day> {
    DAYS.iter().find(|(name, _)| *name == text).map(|(_, day)| *day)
}

pub(crate) fn day_text(day: Day) -> &'static str {
    DAYS.iter().find(|(_, d)| *d == day).map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("2d", 172_800_000),
            ("1y6d", 371 * 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(SignedDuration::from_millis(ms)), "{text}");
        }
        for bad in [
            "",
            "15",
            "m",
            "1x",
            "1m1h",
            "1m1m",
            "-1m",
            "1.5h",
            " 1m",
            "1 m",
            "99999999999999999999d",
            "4000d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512MiB", 512 << 20),
            ("2GiB", 2 << 30),
            ("100MB", 100_000_000),
            ("1B", 1),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "12", "MiB", "1.5GiB", "2gib", "-1B", "99999999999TiB", "1 MiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates() {
        for (text, shown) in [
            ("2026-12-20", "2026-12-20T00:00:00"),
            ("2026-12-20T18:30", "2026-12-20T18:30:00"),
            ("2026-12-20 18:30", "2026-12-20T18:30:00"),
        ] {
            assert_eq!(
                datetime(text).map(|at| at.to_string()).as_deref(),
                Some(shown),
                "{text}"
            );
        }
        for bad in [
            "",
            "20.12.2026",
            "2026-02-30",
            "2026-12-20T",
            "2026-12-20T24:00",
            "2026-12-20T18:30Z",
            "18:30",
        ] {
            assert_eq!(datetime(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_and_spans() {
        assert_eq!(time("23:59").map(time_text).as_deref(), Some("23:59"));
        for bad in ["24:00", "9:00", "09:60", "0900", "09:00:00", "+9:00", "ab:cd"] {
            assert_eq!(time(bad), None, "{bad}");
        }
        assert!(span("22:00-02:30").is_some() && span("22:00 - 02:30").is_some());
        assert_eq!(span("22:00"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 0_i64..=315_360_000_000, bytes in 0_u64..=(i64::MAX as u64)) {
            let value = SignedDuration::from_millis(ms);
            prop_assert_eq!(duration(&duration_text(value)), Ok(value));
            prop_assert_eq!(size(&size_text(bytes)), Ok(bytes));
        }
    }
}
