//! Moments to remember by name: when the digest was last looked at.

use super::database::Store;
use super::error::StoreError;
use super::journal::parse_time;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

impl Store {
    /// # Errors
    /// `Database`.
    pub async fn mark(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let key = format!("mark/{name}");
        self.call(move |connection| {
            let sql = "SELECT value FROM meta WHERE key = ?1";
            let text: Option<String> = connection.query_row(sql, [key], |row| row.get(0)).optional()?;
            text.as_deref().map(parse_time).transpose()
        })
        .await
    }

    /// # Errors
    /// `Database`.
    pub async fn set_mark(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let key = format!("mark/{name}");
        self.write(move |transaction| {
            transaction.execute(
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                params![key, at.to_string()],
            )?;
            Ok(())
        })
        .await
    }
}
