//! A BuildKit session: the connection over which the engine fetches context files, registry credentials and secrets from us
//! while it builds. bollard's own session serves credentials only; a context sent as an archive beside it would put an
//! ignored Dockerfile into the image (`COPY .`), which `docker build` never does.
//!
//! The file transfer is fsutil's protocol (github.com/tonistiigi/fsutil, `send.go`): we send one STAT per entry, in
//! order, then an empty STAT; the engine requests files by their number; we send DATA until an empty one; FIN ends it.

use super::agent::{Agent, ForwardedAgents};
use super::connect::Engine;
use super::context::{Broken, Context, ContextError, Kind};
use super::error::EngineError;
use crate::clients::credentials::Credential;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::{FileSync, FileSyncServer};
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use lowtide_model::secret::Secret;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// The most BuildKit's gRPC takes in one message is far above; its own sender uses this.
const CHUNK: usize = 32 * 1024;
/// What BuildKit may call in our session; it takes what is not named as absent.
const METHODS: [&str; 7] = [
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.Auth/GetTokenAuthority",
    "/moby.filesync.v1.Auth/FetchToken",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
];
/// Go's `io/fs` mode bits, which fsutil sends.
const GO_DIRECTORY: u32 = 1 << 31;
const GO_SYMLINK: u32 = 1 << 27;

/// What each registry host requires.
pub type RegistryAuth = BTreeMap<String, Credential>;

/// What a session offers to the engine.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) context: Arc<Context>,
    /// The Dockerfile alone.
    pub(super) dockerfile: Arc<Context>,
    pub(super) auth: RegistryAuth,
    /// For `RUN --mount=type=secret`, by their ids.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// For `RUN --mount=type=ssh`, by their ids.
    pub(super) ssh: BTreeMap<String, Agent>,
}

/// An open session; dropped, it closes, and a build that still needs it fails.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    /// Why the context could not be sent, when that is what went wrong.
    pub(super) broken: Broken,
    _pump: AbortOnDropHandle<()>,
    _server: AbortOnDropHandle<()>,
}

impl Engine {
    /// Opens a session. `None`: this engine has no BuildKit (Docker before 18.09, Podman).
    pub(super) async fn session(&self, id: &str, offer: Offer) -> Result<Option<Session>, EngineError> {
        let unreachable = |source: reqwest::Error| EngineError::no_response(self.address(), Box::new(source));
        let mut request = self
            .http
            .post("http://engine/session")
            .header("Connection", "Upgrade")
            .header("Upgrade", "h2c")
            .header("X-Docker-Expose-Session-Uuid", id)
            .header("X-Docker-Expose-Session-Name", "lowtide")
            // BuildKit reuses what an earlier session of the same key sent when size, mode and time agree. All our
            // files carry the commit's time, so a shared key would let one commit's file stand in for another's.
            .header("X-Docker-Expose-Session-Sharedkey", id);
        for method in METHODS {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let response = request.send().await.map_err(unreachable)?;
        match response.status().as_u16() {
            101 => {}
            // An engine that is starting or ailing says nothing about what it has.
            status @ (500 | 502..) => {
                let message = "it opens no build session".to_owned();
                return Err(EngineError::Refused { status, message });
            }
            _ => return Ok(None),
        }
        let mut wire = response.upgrade().await.map_err(unreachable)?;

        let broken = Broken::default();
        let files = Files {
            offer: Arc::new(offer),
            broken: broken.clone(),
        };
        let credentials = Credentials::new(files.offer.clone());
        let secrets = BuildSecrets(files.offer.clone());
        let agents = ForwardedAgents(files.offer.clone());
        // tonic knows how to serve a duplex pipe, not an upgraded connection; the pump owns the wire, so dropping it
        // closes the session on the engine's side too.
        let (mut near, far) = tokio::io::duplex(2 * CHUNK);
        let pump = tokio::spawn(async move {
            if let Err(error) = tokio::io::copy_bidirectional(&mut wire, &mut near).await {
                tracing::debug!(%error, "the build session was cut");
            }
        });
        let server = tokio::spawn(async move {
            let incoming = futures_util::stream::iter([Ok::<_, std::io::Error>(far)]);
            let served = tonic::transport::Server::builder()
                .add_service(HealthServer::new(Alive))
                .add_service(FileSyncServer::new(files))
                .add_service(AuthServer::new(credentials))
                .add_service(SecretsServer::new(secrets))
                .add_service(SshServer::new(agents))
                .serve_with_incoming(incoming)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "the build session ended");
            }
        });
        Ok(Some(Session {
            id: id.to_owned(),
            broken,
            _pump: AbortOnDropHandle::new(pump),
            _server: AbortOnDropHandle::new(server),
        }))
    }
}

struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

struct Credentials {
    offer: Arc<Offer>,
    /// Stands for the tokens of this session. Nothing is signed with it: no other session may use them.
    authority: [u8; 32],
}

impl Credentials {
    fn new(offer: Arc<Offer>) -> Self {
        let random = ring::rand::generate(&ring::rand::SystemRandom::new());
        Self {
            offer,
            authority: random.map(ring::rand::Random::expose).unwrap_or_default(),
        }
    }

    fn of(&self, host: &str) -> Option<&Credential> {
        let host = match host {
            // Docker Hub's name in references, and the host that serves it.
            "registry-1.docker.io" | "index.docker.io" => "docker.io",
            host => host,
        };
        self.offer.auth.get(host)
    }

    /// A bearer token that is sent as it is.
    fn token(&self, host: &str) -> Result<String, Status> {
        match self.of(host) {
            Some(Credential::RegistryToken(token)) => Ok(token.expose().to_owned()),
            // Then the engine fetches bearer tokens itself, with `credentials` (as with older clients).
            Some(Credential::Basic { .. } | Credential::IdentityToken(_)) | None => {
                Err(Status::unimplemented("no token of its own"))
            }
        }
    }
}

#[tonic::async_trait]
impl Auth for Credentials {
    /// An unknown host gets empty credentials: anonymous. A secret without a user is an identity token
    /// (moby/buildkit, `util/resolver/authorizer.go`).
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        let (username, secret) = match self.of(&request.get_ref().host) {
            Some(Credential::Basic { username, password }) => (username.clone(), password.expose().to_owned()),
            Some(Credential::IdentityToken(token)) => (String::new(), token.expose().to_owned()),
            Some(Credential::RegistryToken(_)) | None => (String::new(), String::new()),
        };
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    async fn fetch_token(&self, request: Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        let token = self.token(&request.get_ref().host)?;
        // No times: the engine asks again after a minute.
        Ok(Response::new(FetchTokenResponse {
            token,
            ..FetchTokenResponse::default()
        }))
    }

    async fn get_token_authority(
        &self,
        request: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        self.token(&request.get_ref().host)?;
        let public_key = self.authority.to_vec();
        Ok(Response::new(GetTokenAuthorityResponse { public_key }))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("verify_token_authority"))
    }
}

struct BuildSecrets(Arc<Offer>);

#[tonic::async_trait]
impl Secrets for BuildSecrets {
    /// For an unknown id BuildKit mounts nothing, unless the Dockerfile says `required`.
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let secret = self.0.secrets.get(id);
        let secret = secret.ok_or_else(|| Status::not_found(format!("the secret {id} is not in build.secrets")))?;
        Ok(Response::new(GetSecretResponse {
            data: secret.expose().as_bytes().to_vec(),
        }))
    }
}

struct Files {
    offer: Arc<Offer>,
    broken: Broken,
}

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = BoxStream<Packet>;
    type TarStreamStream = BoxStream<Packet>;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Self::DiffCopyStream>, Status> {
        let wanted = |key: &str| -> Vec<String> {
            let all = request.metadata().get_all(key);
            all.iter()
                .filter_map(|v| v.to_str().ok())
                .map(ToOwned::to_owned)
                .collect()
        };
        let context = match wanted("dir-name").first().map(String::as_str) {
            Some("dockerfile") => self.offer.dockerfile.clone(),
            // What it ignores is decided already, and the files it does not name cost only their names.
            Some("context") if wanted("followpaths") == [".dockerignore"] => Arc::new(Context::empty()),
            Some("context") => self.offer.context.clone(),
            Some(_) | None => return Err(Status::not_found("no such directory")),
        };
        let (sender, requests) = mpsc::unbounded_channel();
        // Read without a bound (there are at most as many requests as entries): with one, the engine could wait for us
        // to read while we wait for it.
        let limit = context.entries.len();
        tokio::spawn(read_requests(request.into_inner(), sender, limit));
        let (out, packets) = mpsc::channel::<Result<Packet, Status>>(16);
        let broken = self.broken.clone();
        // A thread of its own: it reads files, and waits for the engine to take them.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = send(&context, requests, &out) {
                let _ = out.blocking_send(Err(Status::aborted(error.to_string())));
                broken.set(error);
            }
        });
        let packets = futures_util::stream::unfold(packets, |mut from| async {
            let packet = from.recv().await?;
            Some((packet, from))
        });
        Ok(Response::new(Box::pin(packets)))
    }

    async fn tar_stream(&self, _: Request<Streaming<Packet>>) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("tar_stream"))
    }
}

#[derive(Debug, Clone, Copy)]
enum EngineRequest {
    File(u32),
    Finish,
}

async fn read_requests(mut incoming: Streaming<Packet>, sender: mpsc::UnboundedSender<EngineRequest>, limit: usize) {
    let mut count = 0;
    while let Ok(Some(packet)) = incoming.message().await {
        let request = match packet.r#type() {
            PacketType::PacketReq if count < limit => EngineRequest::File(packet.id),
            PacketType::PacketFin => EngineRequest::Finish,
            PacketType::PacketReq | PacketType::PacketStat | PacketType::PacketData | PacketType::PacketErr => break,
        };
        count += 1;
        if sender.send(request).is_err() {
            break;
        }
    }
}

type Out = mpsc::Sender<Result<Packet, Status>>;

/// Ends early, without an error, when the engine has gone.
fn send(
    context: &Context,
    mut requests: mpsc::UnboundedReceiver<EngineRequest>,
    out: &Out,
) -> Result<(), ContextError> {
    let put = |packet: Packet| out.blocking_send(Ok(packet)).is_ok();
    for stat in context
        .entries
        .iter()
        .map(|entry| Some(stat(context, &entry.path, &entry.kind)))
        .chain([None])
    {
        if !put(Packet {
            r#type: PacketType::PacketStat.into(),
            stat,
            id: 0,
            data: Vec::new(),
        }) {
            return Ok(());
        }
    }
    while let Some(request) = requests.blocking_recv() {
        match request {
            EngineRequest::File(id) => {
                if !send_file(context, id, &put)? {
                    return Ok(());
                }
            }
            EngineRequest::Finish => {
                put(Packet {
                    r#type: PacketType::PacketFin.into(),
                    stat: None,
                    id: 0,
                    data: Vec::new(),
                });
                return Ok(());
            }
        }
    }
    Ok(())
}

fn send_file(context: &Context, id: u32, put: &impl Fn(Packet) -> bool) -> Result<bool, ContextError> {
    let Some(entry) = context.entries.get(id as usize) else {
        return Ok(false);
    };
    let Kind::File { size, source, .. } = &entry.kind else {
        return Ok(false);
    };
    let data = |data| Packet {
        r#type: PacketType::PacketData.into(),
        stat: None,
        id,
        data,
    };
    let mut reader = source.open(&entry.path, *size)?;
    let mut left = *size;
    while left > 0 {
        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
        reader.read_exact(&mut chunk).map_err(|source| ContextError::Io {
            path: entry.path.clone(),
            source,
        })?;
        left -= chunk.len() as u64;
        if !put(data(chunk)) {
            return Ok(false);
        }
    }
    Ok(put(data(Vec::new())))
}

fn stat(context: &Context, path: &str, kind: &Kind) -> Stat {
    let (bits, size, linkname) = match kind {
        Kind::Directory => (GO_DIRECTORY, 0, String::new()),
        Kind::File { size, .. } => (0, *size, String::new()),
        Kind::Symlink { target } => (GO_SYMLINK, target.len() as u64, target.clone()),
    };
    Stat {
        path: path.to_owned(),
        mode: bits | kind.mode(),
        size: size.cast_signed(),
        mod_time: context.mtime.saturating_mul(1_000_000_000),
        linkname,
        ..Stat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(auth: RegistryAuth) -> Credentials {
        Credentials::new(Arc::new(Offer {
            context: Arc::new(Context::empty()),
            dockerfile: Arc::new(Context::empty()),
            auth,
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
        }))
    }

    #[tokio::test]
    async fn each_credential_is_offered_in_its_own_way() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let password = Credential::Basic {
            username: "u".to_owned(),
            password: secret("p"),
        };
        let session = offering(BTreeMap::from([
            ("docker.io".to_owned(), password),
            (
                "identity.example.org".to_owned(),
                Credential::IdentityToken(secret("idt")),
            ),
            ("token.example.org".to_owned(), Credential::RegistryToken(secret("rt"))),
        ]));
        for (host, username, shown, token) in [
            ("registry-1.docker.io", "u", "p", None),
            ("identity.example.org", "", "idt", None),
            ("token.example.org", "", "", Some("rt")),
            ("other.example.org", "", "", None),
        ] {
            let host = || host.to_owned();
            let request = Request::new(CredentialsRequest { host: host() });
            let found = session.credentials(request).await.unwrap().into_inner();
            assert_eq!((found.username.as_str(), found.secret.as_str()), (username, shown));
            let request = FetchTokenRequest {
                host: host(),
                ..FetchTokenRequest::default()
            };
            let fetched = session.fetch_token(Request::new(request)).await;
            assert_eq!(fetched.ok().map(|t| t.into_inner().token).as_deref(), token);
            let request = GetTokenAuthorityRequest {
                host: host(),
                salt: Vec::new(),
            };
            let authority = session.get_token_authority(Request::new(request)).await;
            assert_eq!(authority.is_ok(), token.is_some());
        }
        assert_ne!(session.authority, offering(BTreeMap::new()).authority);
    }
}
