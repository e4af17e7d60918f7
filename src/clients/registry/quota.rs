//! How many requests a registry takes: what its answers say of that, and what follows. Pure: a function of headers,
//! what was known, and now.

use crate::clients::http::retry_after;
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

/// No registry makes us wait longer. Docker Hub counts requests over six hours.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);
/// After a 429 that names no time. Each further one of these doubles it.
const UNNAMED: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_UNNAMED: SignedDuration = SignedDuration::from_hours(1);
/// Fewer than one request in so many is few. The limit that counts if the registry does not name its own.
const FEW: u64 = 10;
const USUAL_LIMIT: u64 = 100;

/// What one answer of a registry says of its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// 429.
    refused: bool,
    /// When it takes requests again.
    named: Option<Timestamp>,
    remaining: Option<Remaining>,
}

/// Docker Hub's `ratelimit-remaining` and `ratelimit-limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remaining {
    pub(super) requests: u64,
    pub(super) limit: Option<u64>,
    /// The time over which requests are counted.
    window: SignedDuration,
}

/// What is new and should be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The registry takes no request until then.
    Held(Timestamp),
    Few(Remaining),
}

/// What one account may request of one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Quota {
    held: Option<Timestamp>,
    /// Refusals in a row that named no time.
    unnamed: u32,
    remaining: Option<(Timestamp, Remaining)>,
}

impl Answer {
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Self {
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        let limit = counted(headers, "ratelimit-limit");
        let remaining = counted(headers, "ratelimit-remaining").map(|(requests, window)| Remaining {
            requests,
            limit: limit.map(|(limit, _)| limit),
            window: window.or(limit.and_then(|(_, window)| window)).unwrap_or(LONGEST),
        });
        Self {
            refused,
            named: retry_after(headers, now).filter(|_| refused),
            remaining,
        }
    }

    /// A 429 of which only the status is known.
    pub(super) fn refusal() -> Self {
        Self {
            refused: true,
            named: None,
            remaining: None,
        }
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.refused
    }

    /// Most registries say nothing.
    pub(super) fn is_silent(&self) -> bool {
        !self.refused && self.remaining.is_none()
    }
}

impl Remaining {
    fn few(&self) -> bool {
        self.requests.saturating_mul(FEW) <= self.limit.unwrap_or(USUAL_LIMIT)
    }
}

impl Quota {
    /// Until when the registry takes no request.
    pub(super) fn held(&self, now: Timestamp) -> Option<Timestamp> {
        // Further away than any registry may hold us: the clock was set back.
        self.held.filter(|until| *until > now && *until <= later(now, LONGEST))
    }

    /// What the last answer left; nothing once all of its requests are forgotten there.
    pub(super) fn remaining(&self, now: Timestamp) -> Option<Remaining> {
        let (at, remaining) = self.remaining?;
        (now < later(at, remaining.window)).then_some(remaining)
    }

    /// Would an account of which nothing is known behave in the same way?
    pub(super) fn is_blank(&self, now: Timestamp) -> bool {
        self.held(now).is_none() && self.remaining(now).is_none()
    }

    pub(super) fn hear(&mut self, answer: &Answer, now: Timestamp) -> Option<Change> {
        let mut change = None;
        if let Some(remaining) = answer.remaining {
            let before = self.remaining(now).is_some_and(|before| before.few());
            change = (remaining.few() && !before).then_some(Change::Few(remaining));
            self.remaining = Some((now, remaining));
        }
        let held = self.held(now);
        if answer.refused {
            let until = self.refused(answer.named, held, now);
            self.held = Some(until);
            // Requests that were under way are refused as well; the first one has been logged.
            return held.is_none().then_some(Change::Held(until));
        }
        if held.is_none() {
            self.unnamed = 0;
        }
        change
    }

    fn refused(&mut self, named: Option<Timestamp>, held: Option<Timestamp>, now: Timestamp) -> Timestamp {
        match (named, held) {
            (Some(named), held) => {
                self.unnamed = 0;
                let until = named.clamp(now, later(now, LONGEST));
                held.map_or(until, |held| held.max(until))
            }
            (None, Some(held)) => held,
            (None, None) => {
                let factor = 1_i32.checked_shl(self.unnamed).filter(|factor| *factor > 0);
                let pause = factor.and_then(|factor| UNNAMED.checked_mul(factor));
                self.unnamed = self.unnamed.saturating_add(1);
                later(now, pause.map_or(LONGEST_UNNAMED, |pause| pause.min(LONGEST_UNNAMED)))
            }
        }
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// `76;w=21600`: a number of requests, and the seconds over which they are counted.
fn counted(headers: &HeaderMap, name: &str) -> Option<(u64, Option<SignedDuration>)> {
    let mut parts = headers.get(name)?.to_str().ok()?.split(';').map(str::trim);
    let requests = parts.next()?.parse().ok()?;
    let seconds = parts.find_map(|part| part.strip_prefix("w=")?.parse::<u32>().ok());
    Some((requests, seconds.map(|s| SignedDuration::from_secs(i64::from(s)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-06T{text}Z").parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn answer(status: u16, pairs: &[(&'static str, &'static str)], now: Timestamp) -> Answer {
        Answer::read(StatusCode::from_u16(status).unwrap(), &headers(pairs), now)
    }

    #[test]
    fn headers_say_what_remains() {
        let now = at("02:00:00");
        let read = |pairs: &[(&'static str, &'static str)]| {
            let remaining = answer(200, pairs, now).remaining?;
            Some((remaining.requests, remaining.limit, remaining.window.as_secs()))
        };
        let (limit, remaining) = ("ratelimit-limit", "ratelimit-remaining");
        assert_eq!(
            read(&[(limit, "100;w=21600"), (remaining, "76;w=21600")]),
            Some((76, Some(100), 21600))
        );
        assert_eq!(read(&[(remaining, " 0 ; w=60 ")]), Some((0, None, 60)));
        assert_eq!(
            read(&[(limit, "200;w=3600"), (remaining, "5")]),
            Some((5, Some(200), 3600))
        );
        assert_eq!(
            read(&[(limit, "many"), (remaining, "5;w=soon")]),
            Some((5, None, 21600))
        );
        for nothing in [
            &[][..],
            &[(limit, "100;w=21600")],
            &[(remaining, "")],
            &[(remaining, "-1;w=60")],
            &[(remaining, "99999999999999999999")],
        ] {
            assert_eq!(read(nothing), None, "{nothing:?}");
            assert!(answer(200, nothing, now).is_silent());
        }
    }

    #[test]
    fn a_registry_is_asked_again_when_it_says() {
        let now = at("02:00:00");
        for (status, after, until) in [
            (429, "1860", Some("02:31:00")),
            (429, "Fri, 06 Nov 2026 02:31:00 GMT", Some("02:31:00")),
            (429, "0", None),
            (429, "Fri, 06 Nov 2026 01:00:00 GMT", None),
            // No more than six hours.
            (429, "21600", Some("08:00:00")),
            (429, "86400", Some("08:00:00")),
            (429, "4294967295", Some("08:00:00")),
            (429, "Fri, 06 Nov 2099 02:31:00 GMT", Some("08:00:00")),
            // As without the header.
            (429, "soon", Some("02:05:00")),
            (429, "", Some("02:05:00")),
            (503, "1860", None),
            (200, "1860", None),
        ] {
            let mut quota = Quota::default();
            let _ = quota.hear(&answer(status, &[("retry-after", after)], now), now);
            assert_eq!(quota.held(now), until.map(at), "{status} {after}");
        }
        let mut quota = Quota::default();
        let told = quota.hear(&answer(429, &[("retry-after", "1860")], now), now);
        assert_eq!(told, Some(Change::Held(at("02:31:00"))));
        assert_eq!(quota.held(at("02:30:59")), Some(at("02:31:00")));
        assert_eq!(quota.held(at("02:31:00")), None);
        // The clock was set back by a day.
        assert_eq!(quota.held("2026-11-05T02:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn without_a_time_the_wait_doubles_up_to_an_hour() {
        let mut quota = Quota::default();
        let mut now = at("02:00:00");
        let mut minutes = Vec::new();
        for _ in 0..6 {
            let _ = quota.hear(&Answer::refusal(), now);
            let until = quota.held(now).unwrap();
            minutes.push(until.duration_since(now).as_mins());
            // A request that was under way is refused in the meantime: nothing new.
            assert_eq!(quota.hear(&Answer::refusal(), now), None);
            assert_eq!(quota.held(now), Some(until));
            now = until;
        }
        assert_eq!(minutes, [5, 10, 20, 40, 60, 60]);
        let _ = quota.hear(&answer(200, &[], now), now);
        let _ = quota.hear(&Answer::refusal(), now);
        assert_eq!(quota.held(now), Some(later(now, UNNAMED)));
        quota.unnamed = u32::MAX;
        quota.held = None;
        let _ = quota.hear(&Answer::refusal(), now);
        assert_eq!(quota.held(now), Some(later(now, LONGEST_UNNAMED)));
    }

    #[test]
    fn a_hold_is_never_shortened() {
        let now = at("02:00:00");
        let mut quota = Quota::default();
        let mut hear = |status, after| {
            let told = quota.hear(&answer(status, &[("retry-after", after)], now), now);
            (told.is_some(), quota.held(now))
        };
        assert_eq!(hear(429, "600"), (true, Some(at("02:10:00"))));
        assert_eq!(hear(429, "60"), (false, Some(at("02:10:00"))));
        assert_eq!(hear(200, ""), (false, Some(at("02:10:00"))));
        assert_eq!(hear(429, "900"), (false, Some(at("02:15:00"))));
    }

    #[test]
    fn few_requests_are_told_once() {
        let mut quota = Quota::default();
        let now = at("02:00:00");
        let mut told = |remaining, now| {
            let pairs = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", remaining)];
            match quota.hear(&answer(200, &pairs, now), now) {
                Some(Change::Few(few)) => Some(few.requests),
                Some(Change::Held(_)) => panic!("held"),
                None => None,
            }
        };
        assert_eq!(told("11;w=21600", now), None);
        assert_eq!(told("10;w=21600", now), Some(10));
        assert_eq!(told("9;w=21600", now), None);
        assert_eq!(told("0;w=21600", now), None);
        assert_eq!(told("50;w=21600", now), None);
        assert_eq!(told("3;w=21600", now), Some(3));
        // All of these are forgotten by the next morning.
        assert_eq!(told("3;w=21600", at("09:00:00")), Some(3));
        assert_eq!(quota.remaining(at("14:59:59")).map(|r| r.requests), Some(3));
        assert_eq!(quota.remaining(at("15:00:00")), None);
        assert!(quota.is_blank(at("15:00:00")));
    }
}
