//! Reaching an engine: bollard for typed calls, and a raw JSON client on the same socket for what must not lose fields
//! (bollard 0.21 drops unknown JSON fields and the API version prefix).

use super::error::EngineError;
use crate::clients::tls;
use crate::model::fleet::EngineAddress;
use bollard::Docker;

/// Seconds a plain call may take. Long calls (stop with a grace, wait, build, pull) carry deadlines of their own.
pub(super) const TIMEOUT_S: u64 = 120;

/// A handle to one engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) docker: Docker,
    pub(super) http: reqwest::Client,
    pub(super) address: String,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    pub version: String,
    /// Highest API version, `1.41`.
    pub api: String,
    pub os: String,
    /// As the image platform writes it (`amd64`).
    pub arch: String,
}

impl Engine {
    /// Prepares the handle; nothing is sent yet.
    ///
    /// # Errors
    /// `Unreachable` when the socket's path cannot be used.
    pub fn connect(address: &EngineAddress) -> Result<Self, EngineError> {
        tls::ready();
        let EngineAddress::Unix(path) = address;
        let shown = format!("unix://{}", path.display());
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Unreachable {
            address: shown.clone(),
            source,
        };
        let docker = Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT_S, bollard::API_DEFAULT_VERSION)
            .map_err(|e| unreachable(Box::new(e)))?;
        let http = reqwest::Client::builder()
            .unix_socket(path.as_path())
            .no_proxy()
            .build()
            .map_err(|e| unreachable(Box::new(e)))?;
        Ok(Self {
            docker,
            http,
            address: shown,
        })
    }

    /// # Errors
    /// `Unreachable` when the engine does not answer.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        let v = self.docker.version().await.map_err(|e| self.error("version", e))?;
        Ok(EngineVersion {
            version: v.version.unwrap_or_default(),
            api: v.api_version.unwrap_or_default(),
            os: v.os.unwrap_or_default(),
            arch: v.arch.unwrap_or_default(),
        })
    }

    pub(super) fn error(&self, what: &str, error: bollard::errors::Error) -> EngineError {
        EngineError::from_bollard(&self.address, what, error)
    }
}
