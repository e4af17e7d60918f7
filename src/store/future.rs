//! Timestamps written while the clock was ahead. Left alone, they would suppress schedules, mails and reports until the
//! clock catches up, so they are permanently set to now.

use super::database::Store;
use super::error::StoreError;
use super::journal::{NEWEST, stamp};
use super::sql;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};

/// Clocks are set by seconds all the time; nothing waits for so little.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);
/// The furthest that anything is planned ahead: a mail's next try, a remote's wish for silence.
const PLANNED: SignedDuration = SignedDuration::from_hours(25);

/// Columns with as many rows as the journal. They are updated only if the journal's newest time is in the future.
const JOURNAL: [&str; 6] = [
    sql::FUTURE_EVENTS,
    sql::FUTURE_AUDIT,
    sql::FUTURE_OPENED,
    sql::FUTURE_CLOSED,
    sql::FUTURE_ENDED,
    sql::FUTURE_DELIVERED,
];

/// Other times that say when something was.
const PAST: [&str; 4] = [
    sql::FUTURE_CREATED,
    sql::FUTURE_EVIDENCE,
    sql::FUTURE_REVISIONS,
    sql::FUTURE_MARKS,
];

impl Store {
    /// Makes every time that lies in the future the present. Returns how many there were. The journal itself is gone through
    /// only if its newest time is one of them.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget_the_future(&self, now: Timestamp) -> Result<usize, StoreError> {
        let text = stamp(now);
        let (past, planned) = (stamp(now + TOLERANCE), stamp(now + PLANNED));
        self.write(move |transaction| {
            let mut changed = 0;
            let mut set = |sql: &str, latest: &str| -> Result<(), StoreError> {
                changed += transaction.execute(sql, params![text, latest])?;
                Ok(())
            };
            let newest: Option<String> = transaction
                .query_row(sql::META, [NEWEST], |row| row.get(0))
                .optional()?;
            if newest.is_some_and(|newest| newest > past) {
                for sql in JOURNAL {
                    set(sql, &past)?;
                }
                transaction.execute(sql::PUT_META, [NEWEST, &text])?;
            }
            for sql in PAST {
                set(sql, &past)?;
            }
            for sql in [sql::FUTURE_NEXT, sql::FUTURE_SILENCE] {
                set(sql, &planned)?;
            }
            Ok(changed)
        })
        .await
    }
}
