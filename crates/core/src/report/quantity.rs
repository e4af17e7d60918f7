//! Times, durations and sizes as people read them.

use jiff::Timestamp;

/// `3 min ago`, `in 2 h`, `now`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.duration_since(now).as_secs();
    let length = match seconds.unsigned_abs() {
        0..=29 => return "now".to_owned(),
        s @ 30..=59 => format!("{s} s"),
        s @ 60..=3599 => format!("{} min", s / 60),
        s @ 3600..=172_799 => format!("{} h", s / 3600),
        s @ 172_800.. => format!("{} d", s / 86_400),
    };
    if seconds < 0 {
        format!("{length} ago")
    } else {
        format!("in {length}")
    }
}

/// Milliseconds as people read them: `850 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match ms {
        0..=999 => format!("{ms} ms"),
        1000..=9_999 => format!("{s}.{} s", ms % 1000 / 100),
        10_000..=59_999 => format!("{s} s"),
        60_000..=3_599_999 => format!("{} min {} s", s / 60, s % 60),
        3_600_000.. => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Bytes in binary units with one decimal: `512 B`, `1.5 KiB`, `142.0 MiB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    // Tenths of the unit, rounded down: never more than there is.
    let mut tenths = u128::from(n) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}
