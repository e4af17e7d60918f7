//! The configuration revision that is in force survives restarts.

use super::database::Store;
use super::error::StoreError;
use super::journal::stamp;
use super::sql;
use jiff::Timestamp;
use lowtide_core::fleet::app::Fleet;
use lowtide_model::trouble::RefusedRevision;
use rusqlite::{Connection, OptionalExtension, params};

const REFUSED: &str = "refused_revision";

impl Store {
    /// Puts a revision in the place of the last one: runs store their app's configuration themselves.
    ///
    /// # Errors
    /// `Database`.
    pub async fn store_revision(&self, id: String, fleet: &Fleet, now: Timestamp) -> Result<(), StoreError> {
        let body = serde_json::to_string(fleet).map_err(|e| StoreError::Unreadable {
            what: "revision to write",
            why: e.to_string(),
        })?;
        self.write(move |transaction| {
            transaction.execute(sql::DELETE_REVISIONS, [&id])?;
            transaction.execute(sql::PUT_REVISION, params![id, body, stamp(now)])?;
            Ok(())
        })
        .await
    }

    /// Stores which revision is refused; `None`: none is. The first time a revision is refused is the one that counts.
    ///
    /// # Errors
    /// `Database`.
    pub async fn set_refused(&self, refused: Option<RefusedRevision>) -> Result<(), StoreError> {
        let Some(refused) = refused else {
            return self
                .write(|transaction| {
                    transaction.execute(sql::DELETE_META, [REFUSED])?;
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
            transaction.execute(sql::PUT_META, params![REFUSED, body])?;
            Ok(())
        })
        .await
    }

    /// The revision that is refused, if the newest one is.
    ///
    /// # Errors
    /// `Database`; `Unreadable` when it cannot be read.
    pub async fn refused(&self) -> Result<Option<RefusedRevision>, StoreError> {
        self.call(|connection| refused(connection)).await
    }

    /// The revision last put in force.
    ///
    /// # Errors
    /// `Unreadable` when it cannot be read by this version.
    pub async fn last_revision(&self) -> Result<Option<(String, Fleet)>, StoreError> {
        let row = self
            .query(|connection| {
                let row = connection
                    .query_row(sql::LAST_REVISION, [], |row| {
                        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                    })
                    .optional()?;
                Ok(row)
            })
            .await?;
        row.map(|(id, body)| Ok((id, fleet(&body)?))).transpose()
    }

    /// The fleet of this revision, if it is the one that was last put in force.
    ///
    /// # Errors
    /// `Unreadable` when it cannot be read by this version.
    pub async fn revision(&self, id: String) -> Result<Option<Fleet>, StoreError> {
        let body = self
            .query(move |connection| {
                let mut statement = connection.prepare_cached(sql::REVISION)?;
                Ok(statement.query_row([id], |row| row.get::<_, String>(0)).optional()?)
            })
            .await?;
        body.map(|body| fleet(&body)).transpose()
    }
}

fn fleet(body: &str) -> Result<Fleet, StoreError> {
    serde_json::from_str(body).map_err(|e| StoreError::Unreadable {
        what: "revision",
        why: e.to_string(),
    })
}

pub(super) fn refused(connection: &Connection) -> Result<Option<RefusedRevision>, StoreError> {
    let mut statement = connection.prepare_cached(sql::META)?;
    let text: Option<String> = statement.query_row([REFUSED], |row| row.get(0)).optional()?;
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|e| StoreError::Unreadable {
            what: "refused revision",
            why: e.to_string(),
        })
    };
    text.map(read).transpose()
}
