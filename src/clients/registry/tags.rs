//! What a repository has: its tags, what each points to, and what indexes consist of.

use super::connect::{Registry, Session};
use super::error::RegistryError;
use super::manifest::Manifest;
use lowtide_model::image::{Reference, Repository, ServedDigest};
use reqwest::Url;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A page of the list of tags. Registries may answer with fewer.
const PAGE: usize = 1000;
/// Each tag costs a request.
const TAGS: usize = 10_000;

/// A tag of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTag {
    pub digest: ServedDigest,
    /// Manifests that it is an index of, or the referrer of.
    pub refers: BTreeSet<ServedDigest>,
}

/// What a repository has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub tags: BTreeMap<String, SeenTag>,
    /// What the indexes among the digests of interest consist of.
    pub parts: BTreeSet<ServedDigest>,
}

impl Registry {
    /// Does the registry show this repository to lowtide's credential?
    ///
    /// # Errors
    /// `Denied`, `Unreachable` …
    pub async fn shows(&self, repository: &Repository) -> Result<bool, RegistryError> {
        let session = self.open(repository).await?;
        let what = format!("{repository} tags");
        let first = session.list_url(repository, 1)?;
        match session.get_page(&what, &first).await {
            Ok(_) => Ok(true),
            Err(RegistryError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The names of a repository's tags.
    ///
    /// # Errors
    /// `Missing` when there is no such repository, `Unreadable` when it has more than `most`, `Denied`, `Unreachable` …
    pub async fn tags(&self, repository: &Repository, most: usize) -> Result<BTreeSet<String>, RegistryError> {
        self.open(repository).await?.tags(repository, most).await
    }

    /// Every tag of a repository. `close`: tags whose manifest is read in any case; of others only indexes are. `known`:
    /// tags that should be there; one that the list lacks but the repository has shows that the list is incomplete.
    /// `digests`: of interest, whether or not they have a tag.
    ///
    /// # Errors
    /// `Missing` when there is no such repository, `Unreadable` when the list is incomplete, `Denied`, `Unreachable` …
    pub async fn contents(
        &self,
        repository: &Repository,
        close: &BTreeSet<&str>,
        known: &BTreeSet<&str>,
        digests: &BTreeSet<ServedDigest>,
    ) -> Result<Seen, RegistryError> {
        let session = self.open(repository).await?;
        let listed = session.tags(repository, TAGS).await?;
        for tag in known.iter().filter(|tag| !listed.contains(**tag)) {
            let what = Reference::tagged(repository, tag).to_string();
            if session.digest(&what, &session.tagged(tag)).await?.is_some() {
                return Err(session.unreadable(&format!("{repository} tags"), format!("the list lacks {tag}")));
            }
        }
        let mut seen = Seen::default();
        for tag in listed {
            if let Some(found) = session.seen_tag(repository, &tag, close.contains(tag.as_str())).await? {
                seen.tags.insert(tag, found);
            }
        }
        for digest in digests {
            let what = Reference::pinned(repository, digest).to_string();
            match session.get_manifest(&what, &session.pinned(digest)).await {
                Ok((_, bytes)) => seen.parts.extend(session.named_manifests(&what, &bytes)?),
                Err(RegistryError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }
}

impl Session<'_> {
    fn list_url(&self, repository: &Repository, page: usize) -> Result<Url, RegistryError> {
        // The session's path: at a mirror it has the mirror's prefix, which the repository's own does not.
        let first = format!("{}{}/tags/list?n={page}", self.base, self.path);
        Url::parse(&first).map_err(|e| self.unreadable(&format!("{repository} tags"), e.to_string()))
    }

    /// The names of all tags (distribution-spec, "Listing Tags").
    async fn tags(&self, repository: &Repository, most: usize) -> Result<BTreeSet<String>, RegistryError> {
        #[derive(Deserialize)]
        struct List {
            /// `null` for none, with some registries.
            tags: Option<Vec<String>>,
        }
        let what = format!("{repository} tags");
        let odd = |why: String| self.unreadable(&what, why);
        let mut next = Some(self.list_url(repository, PAGE)?);
        let mut found = BTreeSet::new();
        while let Some(url) = next.take() {
            let (bytes, following) = self.get_page(&what, &url).await?;
            let list: List = serde_json::from_slice(&bytes).map_err(|e| odd(e.to_string()))?;
            let before = found.len();
            found.extend(list.tags.unwrap_or_default());
            if found.len() > most {
                return Err(odd(format!("it has more than {most} tags")));
            }
            if following.is_some() && found.len() == before {
                return Err(odd("its pages do not end".to_owned()));
            }
            next = following;
        }
        Ok(found)
    }

    /// `None`: it is gone since it was listed.
    async fn seen_tag(
        &self,
        repository: &Repository,
        tag: &str,
        close: bool,
    ) -> Result<Option<SeenTag>, RegistryError> {
        let what = Reference::tagged(repository, tag).to_string();
        let described = self.describe_manifest(&what, &self.tagged(tag)).await;
        let (digest, media_type) = match described {
            Ok(described) => described,
            Err(RegistryError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut refers = BTreeSet::new();
        if close || !media_type.as_deref().is_some_and(Manifest::is_image_type) {
            let (_, bytes) = self.get_manifest(&what, &self.pinned(&digest)).await?;
            refers = self.named_manifests(&what, &bytes)?;
        }
        Ok(Some(SeenTag { digest, refers }))
    }

    /// Manifests that this one is an index of, and the one that it is about (image-spec, "subject").
    fn named_manifests(&self, what: &str, bytes: &[u8]) -> Result<BTreeSet<ServedDigest>, RegistryError> {
        #[derive(Deserialize)]
        struct Named {
            digest: ServedDigest,
        }
        #[derive(Deserialize)]
        struct Naming {
            #[serde(default)]
            manifests: Vec<Named>,
            subject: Option<Named>,
        }
        let naming: Naming = serde_json::from_slice(bytes).map_err(|e| self.unreadable(what, e.to_string()))?;
        let named = naming.manifests.into_iter().chain(naming.subject);
        Ok(named.map(|named| named.digest).collect())
    }
}
