//! Configuration revisions that were in force: the last good one survives restarts.

use super::database::Store;
use super::error::StoreError;
use crate::model::fleet::Fleet;
use crate::model::trouble::RefusedRevision;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

const REFUSED: &str = "refused_revision";

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

    /// Keeps which revision is refused; `None`: none is. The first time a revision is refused is the one that counts.
    ///
    /// # Errors
    /// `Database`.
    pub async fn set_refused(&self, refused: Option<RefusedRevision>) -> Result<(), StoreError> {
        let Some(refused) = refused else {
            return self
                .write(|transaction| {
                    transaction.execute("DELETE FROM meta WHERE key = ?1", [REFUSED])?;
                    Ok(())
                })
                .await;
        };
        if self
            .refused()
            .await?
            .is_some_and(|known| known.revision == refused.revision)
        {
            return Ok(());
        }
        let body = serde_json::to_string(&refused).map_err(|e| StoreError::Unreadable {
            what: "refused revision to write",
            why: e.to_string(),
        })?;
        self.write(move |transaction| {
            transaction.execute(
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                params![REFUSED, body],
            )?;
            Ok(())
        })
        .await
    }

    /// The revision that is refused, if the newest one is.
    ///
    /// # Errors
    /// `Database`; `Unreadable` when it cannot be read.
    pub async fn refused(&self) -> Result<Option<RefusedRevision>, StoreError> {
        let text = self
            .call(|connection| {
                let sql = "SELECT value FROM meta WHERE key = ?1";
                Ok(connection
                    .query_row(sql, [REFUSED], |row| row.get::<_, String>(0))
                    .optional()?)
            })
            .await?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|e| StoreError::Unreadable {
                what: "refused revision",
                why: e.to_string(),
            })
        };
        text.map(read).transpose()
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
