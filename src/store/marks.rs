//! Moments and numbers to remember by name: when the daily report was last looked at, which issue reports an incident.

use super::database::Store;
use super::error::StoreError;
use super::journal::{parse_time, stamp};
use super::sql;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

impl Store {
    /// # Errors
    /// `Database`.
    pub async fn mark(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let key = format!("mark/{name}");
        self.call(move |connection| {
            let text: Option<String> = connection.query_row(sql::META, [key], |row| row.get(0)).optional()?;
            text.as_deref().map(parse_time).transpose()
        })
        .await
    }

    /// # Errors
    /// `Database`.
    pub async fn set_mark(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let key = format!("mark/{name}");
        self.write(move |transaction| {
            transaction.execute(sql::PUT_META, params![key, stamp(at)])?;
            Ok(())
        })
        .await
    }

    /// # Errors
    /// `Database`; `Unreadable` when it is no number.
    pub async fn number(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let key = format!("number/{name}");
        self.call(move |connection| {
            let text: Option<String> = connection.query_row(sql::META, [key], |row| row.get(0)).optional()?;
            let number = text.map(|text| {
                text.parse().map_err(|_| StoreError::Unreadable {
                    what: "number",
                    why: text,
                })
            });
            number.transpose()
        })
        .await
    }

    /// `None` forgets it.
    ///
    /// # Errors
    /// `Database`.
    pub async fn set_number(&self, name: &str, number: Option<u64>) -> Result<(), StoreError> {
        let key = format!("number/{name}");
        self.write(move |transaction| {
            match number {
                Some(number) => transaction.execute(sql::PUT_META, params![key, number.to_string()])?,
                None => transaction.execute(sql::DELETE_META, [key])?,
            };
            Ok(())
        })
        .await
    }
}
