//! Removing tags (distribution-spec, "Content Management"). Deleting by tag is optional for a registry, and so is all
//! deletion; some accept a request and do nothing. So the tag is looked for again after each request.

use super::connect::{Registry, Session};
use super::error::RegistryError;
use super::login::Action;
use super::request::refusal;
use lowtide_model::image::{Reference, Repository, ServedDigest};
use reqwest::StatusCode;

/// What became of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The registry no longer has it.
    Gone,
    /// It points to another digest by now and was left alone.
    Moved,
    /// The registry accepted the request and still has the tag.
    Kept,
    /// The registry allows no deletion.
    Unsupported,
}

impl Registry {
    /// Removes a tag that points to `digest`; where the registry cannot delete a tag alone, the digest with all its tags.
    /// Whoever calls has made sure that nothing else needs the digest.
    ///
    /// # Errors
    /// `Denied`, `Unreachable` …: the tag may be there or not.
    pub async fn remove(
        &self,
        repository: &Repository,
        tag: &str,
        digest: &ServedDigest,
    ) -> Result<Removal, RegistryError> {
        let found = self.credential(repository).await?;
        let session = self.open_with(found, repository, Action::Delete, None).await?;
        let removing = Removing {
            what: Reference::tagged(repository, tag).to_string(),
            tagged: session.tagged(tag),
            session,
        };
        match removing.points_to().await? {
            None => return Ok(Removal::Gone),
            Some(now) if now != *digest => return Ok(Removal::Moved),
            Some(_) => {}
        }
        let by_tag = removing.delete(&removing.tagged).await?;
        match removing.points_to().await? {
            None => return Ok(Removal::Gone),
            // Since the request someone else pushed there.
            Some(now) if now != *digest => return Ok(Removal::Moved),
            Some(_) => {}
        }
        let by_digest = removing.delete(&removing.session.pinned(digest)).await?;
        if removing.points_to().await?.is_none() {
            return Ok(Removal::Gone);
        }
        match (by_tag, by_digest) {
            (_, Answer::Unsupported) => Ok(Removal::Unsupported),
            (_, Answer::Accepted | Answer::Missing) | (Answer::Accepted, Answer::Refused(_)) => Ok(Removal::Kept),
            (Answer::Unsupported | Answer::Missing | Answer::Refused(_), Answer::Refused(error)) => Err(error),
        }
    }
}

struct Removing<'a> {
    session: Session<'a>,
    what: String,
    tagged: oci_client::Reference,
}

/// What a registry says to a request to delete.
enum Answer {
    Accepted,
    Missing,
    Unsupported,
    Refused(RegistryError),
}

impl Removing<'_> {
    async fn points_to(&self) -> Result<Option<ServedDigest>, RegistryError> {
        self.session.digest(&self.what, &self.tagged).await
    }

    async fn delete(&self, reference: &oci_client::Reference) -> Result<Answer, RegistryError> {
        let (status, body) = self.session.delete_manifest(&self.what, reference).await?;
        if status.is_success() {
            return Ok(Answer::Accepted);
        }
        // Some registries answer 400 with this code (distribution-spec, "Error Codes").
        let unsupported = String::from_utf8_lossy(&body).contains("\"UNSUPPORTED\"");
        if status == StatusCode::METHOD_NOT_ALLOWED || unsupported {
            return Ok(Answer::Unsupported);
        }
        if status == StatusCode::NOT_FOUND {
            return Ok(Answer::Missing);
        }
        let error = self.session.failed(&self.what, refusal(status, &body));
        // By digest it may go where the tag alone does not; not where we are not let in, or it is too much just now.
        if matches!(error, RegistryError::Denied { .. } | RegistryError::Busy { .. }) {
            return Err(error);
        }
        Ok(Answer::Refused(error))
    }
}
