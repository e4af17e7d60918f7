//! Promotion by digest: the manifest goes over byte for byte, so the digest stays. Order: blobs, children, manifest,
//! tag; killed anywhere, the tag still points where it did and a second copy goes on.

use super::connect::{Registry, Session};
use super::error::RegistryError;
use super::login::Action;
use super::manifest::{Descriptor, Manifest};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use lowtide_model::image::{Reference, Repository, ServedDigest};
use oci_client::errors::OciDistributionError;
use std::collections::BTreeSet;
use std::time::Duration;

/// May the tag be one that exists?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagRule {
    /// A tag with another digest is left alone, and the copy refused.
    Immutable,
    /// The tag is set, wherever it pointed.
    Moving,
}

/// An index holds images, not indexes of indexes.
const DEPTH: u8 = 2;

impl Registry {
    /// Copies the image `digest` of `from` to `to` (repository and tag) and reads it back. Repeating it changes
    /// nothing. A registry has no lock: of two writers of one immutable tag, the one that loses finds out by reading
    /// back.
    ///
    /// # Errors
    /// `TagTaken`, `Missing` when the source has gone, `Mismatch` when `to` is not `digest` afterwards …
    pub async fn copy(
        &self,
        from: &Repository,
        digest: &ServedDigest,
        to: &Repository,
        tag: &str,
        rule: TagRule,
    ) -> Result<(), RegistryError> {
        let writing = self.credential(to).await?;
        let at = self.read_at(from);
        let from = at.as_ref();
        let reading = if from == to {
            writing.clone()
        } else {
            self.credential(from).await?
        };
        // A mount is one request, so its credential has to read the one repository and write the other.
        let mount = from.registry == to.registry
            && reading.as_ref().map(|r| &r.credential) == writing.as_ref().map(|w| &w.credential);
        let target = self.open_with(writing, to, Action::Push, mount.then_some(from)).await?;
        let reference = Reference::tagged(to, tag).to_string();
        let tagged = target.tagged(tag);
        match target.digest(&reference, &tagged).await? {
            Some(existing) if existing == *digest => return Ok(()),
            Some(existing) if rule == TagRule::Immutable => {
                return Err(RegistryError::TagTaken {
                    reference,
                    existing: existing.to_string(),
                    wanted: digest.to_string(),
                });
            }
            Some(_) | None => {}
        }
        let source = self.open_with(reading, from, Action::Pull, None).await?;
        let copying = Copying {
            from: &source,
            repository: from,
            to: &target,
            mount,
            idle: self.timeouts.response,
            blob: self.timeouts.blob,
        };
        // In its own repository all parts are there already.
        copying.manifest(digest, &tagged, from != to, DEPTH).await?;
        match target.digest(&reference, &tagged).await? {
            Some(now) if now == *digest => Ok(()),
            now => Err(RegistryError::Mismatch {
                what: reference,
                expected: digest.to_string(),
                actual: now.map_or_else(|| "missing".to_owned(), String::from),
            }),
        }
    }

    /// Points a moving tag of the image's own repository at it.
    ///
    /// # Errors
    /// As [`Registry::copy`], never `TagTaken`.
    pub async fn tag_moving(
        &self,
        repository: &Repository,
        digest: &ServedDigest,
        tag: &str,
    ) -> Result<(), RegistryError> {
        self.copy(repository, digest, repository, tag, TagRule::Moving).await
    }
}

struct Copying<'a> {
    from: &'a Session<'a>,
    repository: &'a Repository,
    to: &'a Session<'a>,
    /// Both in one registry and open to one credential: blobs are linked instead of sent.
    mount: bool,
    idle: Duration,
    blob: Duration,
}

impl Copying<'_> {
    /// Copies the manifest of `digest` to `to`, its parts first.
    async fn manifest(
        &self,
        digest: &ServedDigest,
        to: &oci_client::Reference,
        with_parts: bool,
        depth: u8,
    ) -> Result<(), RegistryError> {
        let what = Reference::pinned(self.repository, digest).to_string();
        let (_, manifest, bytes) = self.from.manifest(&what, &self.from.pinned(digest)).await?;
        let media_type = reqwest::header::HeaderValue::from_str(manifest.media_type())
            .map_err(|_| self.from.unreadable(&what, "its media type is odd".to_owned()))?;
        match manifest {
            Manifest::Image { config, layers, .. } if with_parts => {
                let mut seen = BTreeSet::new();
                for part in layers.iter().chain([&config]) {
                    if seen.insert(&part.digest) && !part.is_foreign() {
                        self.part(part).await?;
                    }
                }
            }
            Manifest::Index { children, .. } if with_parts => {
                if depth == 0 {
                    return Err(self.from.unreadable(&what, "its indexes nest too deep".to_owned()));
                }
                // All of them: an index whose other platforms are missing fails for whoever runs there.
                for child in &children {
                    // By tag, not by digest: oci-client panics on a registry that sends no Location for the latter.
                    let place = self.to.tagged(child.digest.as_str());
                    Box::pin(self.manifest(&child.digest, &place, true, depth - 1)).await?;
                }
            }
            Manifest::Image { .. } | Manifest::Index { .. } => {}
        }
        let put = self.to.client.push_manifest_raw(to, bytes, media_type);
        self.to.call(&what, put).await.map(drop)
    }

    async fn part(&self, part: &Descriptor) -> Result<(), RegistryError> {
        let digest = part.digest.as_str();
        let place = self.to.pinned(&part.digest);
        let source = self.from.pinned(&part.digest);
        if self.to.call(digest, self.to.client.blob_exists(&place, digest)).await? {
            return Ok(());
        }
        if self.mount {
            match self
                .to
                .call(digest, self.to.client.mount_blob(&place, &source, digest))
                .await
            {
                Ok(()) => return Ok(()),
                Err(
                    e
                    @ (RegistryError::Unreachable { .. } | RegistryError::Timeout { .. } | RegistryError::Busy { .. }),
                ) => return Err(e),
                // 202 and other answers mean that this registry, or our rights there, allow no mount.
                Err(e) => tracing::debug!(registry = self.to.registry, blob = digest, error = %e, "no mount, sending"),
            }
        }
        let stream = self
            .from
            .call(digest, self.from.client.pull_blob_stream(&source, digest))
            .await?;
        let body = lively(stream.stream, self.idle);
        let push = self.to.client.push_blob_stream(&place, body, digest, Some(part.size));
        self.to.call_within(self.blob, digest, push).await.map(drop)
    }
}

type Chunk = Result<bytes::Bytes, std::io::Error>;

/// Ends a stream that says nothing for `idle`.
fn lively(
    stream: BoxStream<'static, Chunk>,
    idle: Duration,
) -> BoxStream<'static, Result<bytes::Bytes, OciDistributionError>> {
    let next = move |stream: Option<BoxStream<'static, Chunk>>| async move {
        let mut stream = stream?;
        match tokio::time::timeout(idle, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(stream))),
            Ok(Some(Err(e))) => Some((Err(OciDistributionError::IoError(e)), None)),
            Err(_) => {
                let silent = std::io::Error::new(std::io::ErrorKind::TimedOut, "the blob stopped coming");
                Some((Err(OciDistributionError::IoError(silent)), None))
            }
        }
    };
    stream::unfold(Some(stream), next).boxed()
}
