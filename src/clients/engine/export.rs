//! An image's root filesystem as a tar stream.

use super::connect::Engine;
use super::error::EngineError;
use crate::model::image::ImageId;
use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptionsBuilder};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

/// Silence after which an export counts as hung.
const SILENCE: Duration = Duration::from_secs(120);

impl Engine {
    /// Hands the root filesystem of `image`, as a tar stream (`docker export`), to `read`, which runs on a thread where
    /// it may block. The engine exports containers only, so one is created (never started) with `labels`, and always
    /// removed; if lowtide is killed meanwhile, a sweep finds it by them.
    ///
    /// # Errors
    /// As the engine refuses to create the container. A stream that breaks is an error of the reader's `read` call.
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
        let chunks = futures_util::stream::unfold(Box::pin(chunks), |mut chunks| async {
            match tokio::time::timeout(SILENCE, chunks.next()).await {
                Ok(chunk) => chunk.map(|chunk| (chunk, chunks)),
                Err(_) => Some((
                    Err(io::Error::new(io::ErrorKind::TimedOut, "the engine stopped sending")),
                    chunks,
                )),
            }
        });
        let reader = tokio_util::io::StreamReader::new(Box::pin(chunks));
        let mut reader = tokio_util::io::SyncIoBridge::new(reader);
        let done = tokio::task::spawn_blocking(move || read(&mut reader)).await;
        container
            .remove()
            .await
            .map_err(|e| self.error(&format!("container {}", created.id), e))?;
        done.map_err(|panicked| EngineError::Unreadable {
            what: format!("export of {image}"),
            source: Box::new(panicked),
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
