//! An image's layers as a tar stream.

use super::connect::Engine;
use super::error::EngineError;
use crate::clients::pipe::{Broken, read_blocking};
use bytes::Bytes;
use futures_util::{Stream, stream};
use lowtide_model::image::ImageId;
use reqwest::Method;
use reqwest::header::HeaderMap;
use std::io::{self, Read};
use std::time::Duration;

/// Silence after which an export counts as hung. Engines up to 24 write all layers to disk before the first byte.
const SILENCE: Duration = Duration::from_secs(600);

impl Engine {
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
        let fed = read_blocking(chunks, SILENCE, read).await;
        fed.map(|fed| fed.read).map_err(|broken| match broken {
            Broken::Source(source) => EngineError::Unreachable {
                address: self.address(),
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
