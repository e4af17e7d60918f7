//! How reading an image can fail.

use crate::clients::engine::error::EngineError;
use crate::clients::registry::error::RegistryError;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_packages::error::ParseError;
use lowtide_packages::layer::error::LayerError;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The image itself cannot be read.
    #[error("{image}: {source}")]
    Layer { image: String, source: LayerError },
    #[error("{image}: {source}")]
    Database { image: String, source: ParseError },
    /// Neither the engine nor a registry has it.
    #[error("{image} is neither in the engine nor in its registry")]
    Nowhere { image: String },
}

impl ReadError {
    /// As a failure of a stage.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            ReadError::Engine(error) => error.failure(),
            ReadError::Registry(error) => error.failure(),
            ReadError::Layer { .. } | ReadError::Database { .. } | ReadError::Nowhere { .. } => {
                Failure::new(FailureKind::ImageUnreadable, self.to_string())
            }
        }
    }
}
