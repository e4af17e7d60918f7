//! Reaching an engine: bollard for typed calls, and a raw JSON client on the same socket for what must not lose fields
//! (bollard 0.21 drops unknown JSON fields and the API version prefix).

use super::error::EngineError;
use super::tunnel::Tunnel;
use crate::clients::tls;
use bollard::Docker;
use lowtide_model::policy::EngineAddress;
use std::sync::Arc;

/// Seconds a plain call may take. Long calls (stop with a grace, wait, build, pull) carry deadlines of their own.
pub(super) const TIMEOUT_S: u64 = 120;

/// A handle to one engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) docker: Docker,
    pub(super) http: reqwest::Client,
    address: String,
    tunnel: Option<Arc<Tunnel>>,
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
    pub kind: EngineKind,
}

/// Whose engine serves a Docker API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    Docker,
    /// It has no Swarm, and cannot change the restart policy of a container.
    Podman,
}

impl Engine {
    /// Prepares the handle; nothing is sent yet. Engines elsewhere are reached through a socket of our own, so that every
    /// call goes the same way.
    ///
    /// # Errors
    /// `Unreachable` when the socket's path, a key or a certificate cannot be used.
    pub fn connect(address: &EngineAddress) -> Result<Self, EngineError> {
        let shown = shown(address);
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Unreachable {
            address: shown.clone(),
            source,
        };
        let (path, tunnel) = match address {
            EngineAddress::Unix(path) => (path.clone(), None),
            EngineAddress::Ssh(ssh) => {
                let tunnel = Tunnel::by_ssh(ssh).map_err(|e| unreachable(Box::new(e)))?;
                (tunnel.socket(), Some(Arc::new(tunnel)))
            }
            EngineAddress::Tls(tls) => {
                let tunnel = Tunnel::by_tls(tls).map_err(|e| unreachable(Box::new(e)))?;
                (tunnel.socket(), Some(Arc::new(tunnel)))
            }
        };
        let docker = Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT_S, bollard::API_DEFAULT_VERSION)
            .map_err(|e| unreachable(Box::new(e)))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client())
            .unix_socket(path.as_path())
            .no_proxy()
            .build()
            .map_err(|e| unreachable(Box::new(e)))?;
        Ok(Self {
            docker,
            http,
            address: shown,
            tunnel,
        })
    }

    /// Is it on another host?
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Where it is, and what the way there said last when it broke off.
    pub(super) fn address(&self) -> String {
        match self.tunnel.as_ref().and_then(|tunnel| tunnel.last_words()) {
            Some(words) => format!("{} ({words})", self.address),
            None => self.address.clone(),
        }
    }

    /// # Errors
    /// `Unreachable` when the engine does not respond.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        let v = self.docker.version().await.map_err(|e| self.error("version", e))?;
        let podman = v.components.iter().flatten().any(|part| part.name == "Podman Engine");
        Ok(EngineVersion {
            kind: if podman { EngineKind::Podman } else { EngineKind::Docker },
            version: v.version.unwrap_or_default(),
            api: v.api_version.unwrap_or_default(),
            os: v.os.unwrap_or_default(),
            arch: v.arch.unwrap_or_default(),
        })
    }

    pub(super) fn error(&self, what: &str, error: bollard::errors::Error) -> EngineError {
        EngineError::from_bollard(&self.address(), what, error)
    }
}

fn shown(address: &EngineAddress) -> String {
    match address {
        EngineAddress::Unix(path) => format!("unix://{}", path.display()),
        EngineAddress::Ssh(ssh) => {
            let user = ssh.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
            let port = ssh.port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("ssh://{user}{}{port}", ssh.host)
        }
        EngineAddress::Tls(tls) => format!("tcp://{}:{}", tls.host, tls.port),
    }
}
