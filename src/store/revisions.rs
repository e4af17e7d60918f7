//! Configuration revisions that were in force: the last good one survives restarts.

use super::database::Store;
use super::error::StoreError;
use crate::model::fleet::Fleet;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

impl Store {
    /// # Errors
    /// `Database`.
    pub async fn keep_revision(&self, id: String, fleet: &Fleet, now: Timestamp) -> Result<(), StoreError> {
        let body = serde_json::to_string(fleet).map_err(|e| StoreError::Unreadable {
            what: "revision to write",
            why: e.to_string(),
        })?;
        self.write(move |transaction| {
            transaction.execute(
                "INSERT INTO revisions (id, body, at) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (id) DO UPDATE SET at = excluded.at, body = excluded.body",
                params![id, body, now.to_string()],
            )?;
            Ok(())
        })
        .await
    }

    /// The revision last put in force.
    ///
    /// # Errors
    /// `Unreadable` when it cannot be read by this version.
    pub async fn last_revision(&self) -> Result<Option<(String, Fleet)>, StoreError> {
        let row = self
            .call(|connection| {
                let sql = "SELECT id, body FROM revisions ORDER BY at DESC LIMIT 1";
                let row = connection
                    .query_row(sql, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
                    .optional()?;
                Ok(row)
            })
            .await?;
        row.map(|(id, body)| {
            serde_json::from_str(&body)
                .map(|fleet| (id, fleet))
                .map_err(|e| StoreError::Unreadable {
                    what: "revision",
                    why: e.to_string(),
                })
        })
        .transpose()
    }
}
