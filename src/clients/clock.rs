//! The clock: the only place where the time of day is read.

use jiff::Timestamp;

/// Now, in UTC.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}
