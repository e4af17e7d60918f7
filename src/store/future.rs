//! Times that a clock wrote which was ahead. Left as they are, they would silence schedules, mails and reports until the
//! clock comes there; so they count as now, for good.

use super::database::Store;
use super::error::StoreError;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

/// Clocks are set by seconds all the time; nothing waits for so little.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);
/// The furthest that anything is planned ahead: a mail's next try, a remote's wish for silence.
const PLANNED: SignedDuration = SignedDuration::from_hours(25);

/// Columns that say when something was.
const PAST: [(&str, &str); 8] = [
    ("events", "at"),
    ("streams", "opened"),
    ("streams", "closed"),
    ("outbox", "created"),
    ("outbox", "delivered"),
    ("evidence", "at"),
    ("revisions", "at"),
    ("meta", "value"),
];

impl Store {
    /// Makes every time that lies in the future the present. Returns how many there were.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget_the_future(&self, now: Timestamp) -> Result<usize, StoreError> {
        let text = now.to_string();
        let (past, planned) = ((now + TOLERANCE).to_string(), (now + PLANNED).to_string());
        self.write(move |transaction| {
            let mut changed = 0;
            for (table, column) in PAST {
                // Of what is remembered by name, only moments; a wish for silence may lie ahead.
                let only = if table == "meta" {
                    "AND key LIKE 'mark/%' AND key NOT LIKE 'mark/%-silent'"
                } else {
                    ""
                };
                let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {column} > ?2 {only}");
                changed += transaction.execute(&sql, params![text, past])?;
            }
            for sql in [
                "UPDATE outbox SET next = ?1 WHERE next > ?2",
                "UPDATE meta SET value = ?1 WHERE key LIKE 'mark/%-silent' AND value > ?2",
            ] {
                changed += transaction.execute(sql, params![text, planned])?;
            }
            Ok(changed)
        })
        .await
    }
}
