//! An image's files as a tar stream: its root filesystem, or its layers.

use super::connect::Engine;
use super::error::EngineError;
use crate::clients::feed::{Broken, feed};
use crate::model::image::ImageId;
use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::Method;
use reqwest::header::HeaderMap;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

/// Silence after which an export counts as hung. Engines up to 24 write all layers to disk before the first byte.
const SILENCE: Duration = Duration::from_secs(600);

impl Engine {
    /// Hands the root filesystem of `image`, as a tar stream (`docker export`), to `read`, which runs on a thread where
    /// it may block. The engine exports containers only, so one is created (never started) with `labels`, and always
    /// removed; if lowtide is killed meanwhile, a sweep finds it by them.
    ///
    /// # Errors
    /// As the engine refuses to create the container; `Unreachable` or `Timeout` when its stream breaks off.
    pub async fn export_rootfs<T: Send + 'static>(
        &self,
        image: &ImageId,
        labels: &BTreeMap<String, String>,
        read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let body = ContainerCreateBody {
            image: Some(image.to_string()),
            // An image without a command could not become a container otherwise.
            cmd: Some(vec!["never-started".to_owned()]),
            labels: Some(labels.clone().into_iter().collect()),
            ..ContainerCreateBody::default()
        };
        let created = self.docker.create_container(None::<CreateContainerOptions>, body).await;
        let created = created.map_err(|e| self.error(&format!("image {image}"), e))?;
        let mut container = Leftover {
            docker: self.docker.clone(),
            id: Some(created.id.clone()),
        };

        let chunks = self
            .docker
            .export_container(&created.id)
            .map(|chunk| chunk.map_err(io::Error::other));
        let what = format!("export of {image}");
        let read = self.fed(&what, chunks, read).await;
        container
            .remove()
            .await
            .map_err(|e| self.error(&format!("container {}", created.id), e))?;
        read
    }

    /// Hands an image with all its layers, as the tar stream of `docker save`, to `read`, which runs on a thread where it
    /// may block. Creates nothing.
    ///
    /// # Errors
    /// `NotFound`; `Unreachable` or `Timeout` when the stream breaks off.
    pub async fn save_image<T: Send + 'static>(
        &self,
        image: &ImageId,
        read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let path = format!("/images/{image}/get");
        let stream = self
            .raw_stream(Method::GET, &path, None, HeaderMap::new(), SILENCE)
            .await?;
        let chunks = stream::unfold(stream, |mut stream| async {
            let piece = stream.next().await.map_err(io::Error::other).transpose()?;
            Some((piece, stream))
        });
        self.fed(&format!("save of {image}"), chunks, read).await
    }

    async fn fed<T: Send + 'static>(
        &self,
        what: &str,
        chunks: impl Stream<Item = io::Result<Bytes>>,
        read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let fed = feed(chunks, SILENCE, read).await;
        fed.map(|fed| fed.read).map_err(|broken| match broken {
            Broken::Source(source) => EngineError::Unreachable {
                address: self.address.clone(),
                source: Box::new(source),
            },
            Broken::Silent(limit) => EngineError::Timeout {
                what: what.to_owned(),
                seconds: limit.as_secs(),
            },
            Broken::Panicked(source) => EngineError::Unreadable {
                what: what.to_owned(),
                source: Box::new(source),
            },
        })
    }
}

/// A container to remove; also when the future that made it is dropped.
struct Leftover {
    docker: Docker,
    id: Option<String>,
}

impl Leftover {
    async fn remove(&mut self) -> Result<(), bollard::errors::Error> {
        let removed = match &self.id {
            Some(id) => remove(&self.docker, id).await,
            None => Ok(()),
        };
        self.id = None;
        removed
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let docker = self.docker.clone();
        runtime.spawn(async move {
            if let Err(error) = remove(&docker, &id).await {
                tracing::warn!(container = id, %error, "an export's container could not be removed; the sweep will");
            }
        });
    }
}

async fn remove(docker: &Docker, id: &str) -> Result<(), bollard::errors::Error> {
    // Its anonymous volumes too.
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(id, Some(options)).await {
        Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
