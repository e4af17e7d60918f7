//! What all HTTP clients read in the same way.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::error::Error;

/// The innermost cause: "Connection refused". The outer errors only say that sending failed, and may hold the address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Root(String);

impl Root {
    pub(crate) fn of(error: &dyn Error) -> Self {
        let mut root = error;
        while let Some(source) = root.source() {
            root = source;
        }
        Self(root.to_string())
    }
}

/// When a busy server wants a retry: seconds or a date (RFC 9110 §10.2.3). `None`: it does not say.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return now.saturating_add(SignedDuration::from_secs(i64::from(seconds))).ok();
    }
    Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_when_to_come_again_in_two_ways() {
        let now: Timestamp = "2026-11-06T08:49:00Z".parse().unwrap();
        let after = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|at| at.to_string())
        };
        assert_eq!(after("90").as_deref(), Some("2026-11-06T08:50:30Z"));
        assert_eq!(
            after("Fri, 06 Nov 2026 08:50:00 GMT").as_deref(),
            Some("2026-11-06T08:50:00Z")
        );
        assert_eq!(after("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
