//! Reading: what a reference stands for.

use super::connect::{Registry, Session};
use super::error::RegistryError;
use super::manifest::{Manifest, choose};
use lowtide_model::image::{ImageId, ManifestDigest, Platform, Reference, Repository, ServedDigest};
use lowtide_model::stages::resolve::BasePin;

impl Registry {
    /// What `reference` stands for now: the digest it is served under, and our platform's manifest. Always
    /// [`BasePin::Registry`].
    ///
    /// # Errors
    /// `Missing`, `NoPlatform`, `Denied`, `Unreachable` …
    pub async fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<BasePin, RegistryError> {
        let session = self.open(&reference.repository).await?;
        let what = reference.to_string();
        let (served, manifest, _) = session.manifest(&what, &session.named(reference)).await?;
        let manifest = match manifest {
            Manifest::Image { .. } => served.clone(),
            Manifest::Index { children, .. } => match choose(&children, platform) {
                Some(child) => child.digest.clone(),
                None => {
                    let images = children.iter().filter(|c| c.is_image());
                    return Err(RegistryError::NoPlatform {
                        reference: what,
                        platform: platform.to_string(),
                        offered: images.map(super::manifest::Child::shown).collect::<Vec<_>>().join(", "),
                    });
                }
            },
        };
        let manifest =
            ManifestDigest::try_from(String::from(manifest)).map_err(|e| session.mismatch(&what, &e.text))?;
        Ok(BasePin::Registry { served, manifest })
    }

    /// The digest `reference` is served under; `None` when there is no such tag, digest or repository.
    ///
    /// # Errors
    /// `Denied`, `Unreachable` …; never for something that is not there.
    pub async fn digest(&self, reference: &Reference) -> Result<Option<ServedDigest>, RegistryError> {
        let session = self.open(&reference.repository).await?;
        session.digest(&reference.to_string(), &session.named(reference)).await
    }

    /// The id an engine gives the image behind a digest: the digest of its config. Says which image a pushed digest is.
    ///
    /// # Errors
    /// `Missing`, `Unreadable` when it is an index of several images …
    pub async fn image_id(&self, repository: &Repository, digest: &ServedDigest) -> Result<ImageId, RegistryError> {
        let session = self.open(repository).await?;
        let mut digest = digest.clone();
        // An engine with containerd's image store pushes an index of one image and its attestations.
        for _ in 0..2 {
            let what = Reference::pinned(repository, &digest).to_string();
            let (_, manifest, _) = session.manifest(&what, &session.pinned(&digest)).await?;
            match manifest {
                Manifest::Image { config, .. } => {
                    return ImageId::try_from(String::from(config.digest))
                        .map_err(|e| session.mismatch(&what, &e.text));
                }
                Manifest::Index { children, .. } => {
                    let mut images = children.into_iter().filter(super::manifest::Child::is_image);
                    match (images.next(), images.next()) {
                        (Some(only), None) => digest = only.digest,
                        (Some(_), Some(_)) | (None, _) => break,
                    }
                }
            }
        }
        let what = Reference::pinned(repository, &digest).to_string();
        Err(session.unreadable(&what, "it is not one image".to_owned()))
    }
}

impl Session<'_> {
    /// Digest, manifest and its very bytes. The digest is computed from the bytes, and must be the one asked for.
    pub(super) async fn manifest(
        &self,
        what: &str,
        reference: &oci_client::Reference,
    ) -> Result<(ServedDigest, Manifest, bytes::Bytes), RegistryError> {
        let (digest, bytes) = self.get_manifest(what, reference).await?;
        let manifest = Manifest::parse(&bytes).map_err(|why| self.unreadable(what, why))?;
        Ok((digest, manifest, bytes))
    }

    pub(super) async fn digest(
        &self,
        what: &str,
        reference: &oci_client::Reference,
    ) -> Result<Option<ServedDigest>, RegistryError> {
        match self.head_manifest(what, reference).await {
            Ok(digest) => Ok(Some(digest)),
            Err(RegistryError::Missing { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) fn unreadable(&self, what: &str, why: String) -> RegistryError {
        RegistryError::Unreadable {
            registry: self.registry.clone(),
            what: what.to_owned(),
            why,
        }
    }

    fn mismatch(&self, what: &str, text: &str) -> RegistryError {
        self.unreadable(what, format!("{text} is not a digest"))
    }
}
