//! The release tags that lowtide pushed to registries. Rows follow from facts about apps, in the transaction of each: a
//! release adds one, a promotion another for the channel's repository, and the removal of tags takes them out.

use super::database::Store;
use super::error::StoreError;
use super::sql;
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_model::image::{ManifestDigest, Repository};
use lowtide_model::name::{AppName, RunId};
use lowtide_model::registry_tag::PushedTag;
use lowtide_model::release::Release;
use rusqlite::{Row, Transaction, params};

/// What a fact about an app changes.
#[derive(Debug)]
pub(super) enum Change {
    Released(PushedTag),
    /// The release is about to be in this repository as well, under the same tag.
    Promoted {
        repository: Repository,
        run: RunId,
        digest: ManifestDigest,
    },
    Removed {
        repository: Repository,
        tags: Vec<String>,
    },
}

impl Change {
    pub(super) fn of(app: &AppName, event: &AppEvent) -> Option<Self> {
        match event {
            // Its registry is others', who have pushed it there.
            AppEvent::Released { release } if is_upstream(release) => None,
            AppEvent::Released { release } => {
                let digest = release.digest.clone()?;
                Some(Change::Released(PushedTag {
                    app: app.clone(),
                    repository: release.reference.repository.clone(),
                    run: release.run,
                    tag: release.tag.clone(),
                    digest,
                }))
            }
            AppEvent::PromoteStarted {
                release,
                reference,
                digest,
                ..
            } => Some(Change::Promoted {
                repository: reference.repository.clone(),
                run: *release,
                digest: digest.clone(),
            }),
            AppEvent::TagsRemoved { repository, tags } => Some(Change::Removed {
                repository: repository.clone(),
                tags: tags.clone(),
            }),
            AppEvent::Tracked
            | AppEvent::ScheduleFired { .. }
            | AppEvent::Retested { .. }
            | AppEvent::BasesKnown { .. }
            | AppEvent::ImagesSeen { .. }
            | AppEvent::Judged { .. }
            | AppEvent::UnfixableUpdates { .. }
            | AppEvent::RunFailed { .. }
            | AppEvent::RunRecovered { .. }
            | AppEvent::Promoted { .. }
            | AppEvent::PromoteFailed { .. }
            | AppEvent::Again { .. }
            | AppEvent::Adopted { .. }
            | AppEvent::RolloutOpened { .. }
            | AppEvent::RolloutEnded { .. }
            | AppEvent::Drifted { .. }
            | AppEvent::TagsExpired { .. }
            | AppEvent::RegistryDrifted { .. }
            | AppEvent::Halted { .. }
            | AppEvent::Quarantined { .. }
            | AppEvent::Unquarantined { .. }
            | AppEvent::Resumed { .. }
            | AppEvent::Expedited { .. }
            | AppEvent::Cancelled { .. }
            | AppEvent::RequestCompleted
            | AppEvent::Checkpoint { .. } => None,
        }
    }

    pub(super) fn apply(&self, transaction: &Transaction<'_>, app: &AppName) -> Result<(), StoreError> {
        match self {
            Change::Released(tag) => put(transaction, tag)?,
            Change::Promoted {
                repository,
                run,
                digest,
            } => {
                let mut copy = transaction.prepare_cached(sql::COPY_PUSHED_TAG)?;
                copy.execute(params![
                    app.as_str(),
                    repository.to_string(),
                    run.to_string(),
                    digest.as_str()
                ])?;
            }
            Change::Removed { repository, tags } => {
                let mut delete = transaction.prepare_cached(sql::DELETE_PUSHED_TAG)?;
                for tag in tags {
                    delete.execute(params![app.as_str(), repository.to_string(), tag])?;
                }
            }
        }
        Ok(())
    }
}

fn is_upstream(release: &Release) -> bool {
    let upstream = release.upstream.as_deref();
    upstream.is_some_and(|upstream| upstream.image == release.reference.repository)
}

fn put(transaction: &Transaction<'_>, tag: &PushedTag) -> Result<(), StoreError> {
    transaction.prepare_cached(sql::PUT_PUSHED_TAG)?.execute(params![
        tag.app.as_str(),
        tag.repository.to_string(),
        tag.run.to_string(),
        tag.tag,
        tag.digest.as_str()
    ])?;
    Ok(())
}

impl Store {
    /// Every tag that lowtide pushed and did not remove, by app and repository, the oldest first.
    ///
    /// # Errors
    /// `Database`, `Unreadable`.
    pub async fn pushed_tags(&self) -> Result<Vec<PushedTag>, StoreError> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached(sql::PUSHED_TAGS)?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        })
        .await
    }

    /// Forgets all but the `remembered` newest tags of each app in each repository. Returns how many.
    ///
    /// # Errors
    /// `Database`.
    pub async fn forget_pushed_tags(&self, remembered: usize) -> Result<usize, StoreError> {
        let remembered = i64::try_from(remembered).unwrap_or(i64::MAX);
        self.write(move |transaction| Ok(transaction.execute(sql::FORGET_PUSHED_TAGS, [remembered])?))
            .await
    }
}

fn read(row: &Row<'_>) -> Result<PushedTag, StoreError> {
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let unreadable = |why: String| StoreError::Unreadable {
        what: "pushed tag",
        why,
    };
    Ok(PushedTag {
        app: text(0)?.parse().map_err(|e| unreadable(format!("{e}")))?,
        repository: text(1)?.parse().map_err(|e| unreadable(format!("{e}")))?,
        run: text(2)?.parse().map_err(|e| unreadable(format!("{e}")))?,
        tag: text(3)?.to_owned(),
        digest: text(4)?.parse().map_err(|e| unreadable(format!("{e}")))?,
    })
}

#[cfg(test)]
#[path = "pushed_tags_tests.rs"]
mod tests;
