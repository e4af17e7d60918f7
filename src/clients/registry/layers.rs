//! An image's parts for reading: its config and its layers, checked against their digests as they stream.

use super::connect::{Registry, Session};
use super::error::RegistryError;
use super::manifest::{Descriptor, Manifest};
use crate::clients::pipe::{Broken, read_blocking};
use futures_util::{Stream, StreamExt};
use lowtide_model::image::{ImageId, ManifestDigest, Platform, Reference, Repository, ServedDigest};
use lowtide_model::stages::resolve::BasePin;
use std::io::{self, Read};

/// Bytes of an image config. One with a long history is some hundred kilobytes.
const CONFIG_LIMIT: usize = 8 << 20;

/// One platform's image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteImage {
    pub manifest: ManifestDigest,
    /// The digest of the config.
    pub id: ImageId,
    /// The config blob.
    pub config: Vec<u8>,
    /// Base first.
    pub layers: Vec<RemoteLayer>,
}

/// A layer as it is stored, mostly compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteLayer {
    pub digest: ServedDigest,
    /// Bytes.
    pub size: u64,
}

impl Registry {
    /// What `reference` stands for on `platform`: the manifest's parts, with the config itself.
    ///
    /// # Errors
    /// As [`Registry::resolve`]; `Unreadable` when layers of it may not be distributed (Windows bases).
    pub async fn image(&self, reference: &Reference, platform: &Platform) -> Result<RemoteImage, RegistryError> {
        let BasePin::Registry { manifest, .. } = self.resolve(reference, platform).await? else {
            return Err(RegistryError::Missing {
                what: reference.to_string(),
            });
        };
        let repository = &reference.repository;
        let session = self.open(repository).await?;
        let digest = ServedDigest::try_from(String::from(manifest.clone()))
            .map_err(|e| session.unreadable(&reference.to_string(), e.to_string()))?;
        let what = Reference::pinned(repository, &digest).to_string();
        let (_, parsed, _) = session.manifest(&what, &session.pinned(&digest)).await?;
        let Manifest::Image { config, layers, .. } = parsed else {
            return Err(session.unreadable(&what, "it is an index in an index".to_owned()));
        };
        if layers.iter().any(Descriptor::is_foreign) {
            return Err(session.unreadable(&what, "it has layers that may not be distributed".to_owned()));
        }
        let id = ImageId::try_from(String::from(config.digest.clone()))
            .map_err(|e| session.unreadable(&what, e.to_string()))?;
        Ok(RemoteImage {
            manifest,
            id,
            config: session.config(&config).await?,
            layers: layers
                .into_iter()
                .map(|Descriptor { digest, size, .. }| RemoteLayer { digest, size })
                .collect(),
        })
    }

    /// Hands a layer, as it is stored, to `read`, which runs on a thread where it may block. What `read` made of it comes
    /// back only when all of it was read and is what its digest says; its own error comes back as it is.
    ///
    /// # Errors
    /// `Mismatch`, `Missing`, `Timeout`, `Unreachable` …
    pub async fn read_layer<T: Send + 'static, E: Send + 'static>(
        &self,
        repository: &Repository,
        layer: &RemoteLayer,
        read: impl FnOnce(&mut dyn Read) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, RegistryError> {
        let session = self.open(repository).await?;
        let what = Reference::pinned(repository, &layer.digest).to_string();
        let chunks = session.blob(&what, &layer.digest).await?;
        let limit = self.timeouts.blob;
        let fed = tokio::time::timeout(limit, read_blocking(chunks, self.timeouts.response, read)).await;
        let fed = fed.unwrap_or(Err(Broken::Silent(limit)));
        match fed.map_err(|broken| session.broken(&what, broken))? {
            fed if fed.read.is_ok() && !fed.whole => Err(session.unreadable(&what, "bytes follow its end".to_owned())),
            fed => Ok(fed.read),
        }
    }
}

impl Session<'_> {
    async fn config(&self, config: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let what = format!("the config {}", config.digest);
        let mut chunks = self.blob(&what, &config.digest).await?;
        let mut bytes = Vec::new();
        let whole = async {
            while let Some(chunk) = chunks.next().await {
                bytes.extend_from_slice(&chunk.map_err(|e| self.broken(&what, Broken::Source(e)))?);
                if bytes.len() > CONFIG_LIMIT {
                    return Err(self.unreadable(&what, format!("it has more than {CONFIG_LIMIT} bytes")));
                }
            }
            Ok(())
        };
        self.within(&what, whole).await?;
        Ok(bytes)
    }

    /// Ends with an error when it is not what its digest says.
    async fn blob(
        &self,
        what: &str,
        digest: &ServedDigest,
    ) -> Result<impl Stream<Item = io::Result<bytes::Bytes>> + use<>, RegistryError> {
        let place = self.pinned(digest);
        let stream = self.client.pull_blob_stream(&place, digest.as_str());
        Ok(self.call(what, stream).await?.stream)
    }

    fn broken(&self, what: &str, broken: Broken) -> RegistryError {
        match broken {
            Broken::Source(error) => RegistryError::from_stream(&self.registry, what, error),
            Broken::Silent(limit) => RegistryError::Timeout {
                registry: self.registry.clone(),
                what: what.to_owned(),
                limit,
            },
            Broken::Panicked(error) => self.unreadable(what, error.to_string()),
        }
    }
}
