//! ssh in builds: an agent of OpenSSH for each key, which a step of the build may ask over BuildKit's session to sign for it. It never gives a
//! key away.

use super::dir::Dir;
use super::session::Offer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use lowtide_model::failure::FailureKind;
use lowtide_model::local;
use lowtide_model::secret::Secret;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// How long an agent may take until it listens, and to take its key.
const START_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// What BuildKit's own client sends at once (session/sshforward/copy.go).
const CHUNK: usize = 32 * 1024;
/// Where BuildKit says which agent a step wants (session/sshforward/ssh.go).
const ID: &str = "buildkit.ssh.id";
const DEFAULT: &str = "default";

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// ssh-add's own words do not quote a key.
    #[error("ssh-add: {0}")]
    Refused(String),
    #[error("{program}: {source}")]
    Io { program: &'static str, source: io::Error },
    #[error("{0} did not answer; is OpenSSH installed?")]
    Silent(&'static str),
}

impl AgentError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            AgentError::Refused(_) => FailureKind::SecretMissing,
            AgentError::Io { source, .. } => local::exhausted(source).unwrap_or(FailureKind::LocalTrouble),
            AgentError::Silent(_) => FailureKind::LocalTrouble,
        }
    }
}

/// The shell ends the agent when our end of the pipe closes, which a kill of lowtide does, too. It then waits for the agent: a container without
/// an init has no other process that reaps it.
const KEEP: &str = r#"ssh-agent -D -a "$1" >/dev/null 2>&1 & cat >/dev/null; kill $!; wait"#;

/// It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Agent {
    dir: Dir,
    _shell: Child,
}

impl Agent {
    /// # Errors
    /// Without OpenSSH, or with a key that it does not take.
    pub(super) async fn start(key: &Secret) -> Result<Self, AgentError> {
        let failed = |source| AgentError::Io {
            program: "ssh-agent",
            source,
        };
        let dir = Dir::new().map_err(failed)?;
        let shell = Command::new("sh")
            .args(["-c", KEEP, "sh"])
            .arg(dir.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let agent = Self { dir, _shell: shell };
        let listening = async {
            while agent.connect().await.is_err() {
                tokio::time::sleep(POLL).await;
            }
        };
        within("ssh-agent", listening).await?;
        within("ssh-add", agent.add(key)).await??;
        Ok(agent)
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.dir.socket()).await
    }

    async fn add(&self, key: &Secret) -> Result<(), AgentError> {
        let failed = |source| AgentError::Io {
            program: "ssh-add",
            source,
        };
        let mut add = Command::new("ssh-add")
            .args(["-q", "-"])
            .env("SSH_AUTH_SOCK", self.dir.socket())
            // A program that refuses takes the place of the prompt, so a key with a passphrase fails at once.
            .env("SSH_ASKPASS", "/bin/false")
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = add.stdin.take() {
            // ssh refuses a key without its last line break. One that stops reading says why itself.
            let text = format!("{}\n", key.expose().trim_end());
            let _ = stdin.write_all(text.as_bytes()).await;
        }
        let done = add.wait_with_output().await.map_err(failed)?;
        if done.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&done.stderr);
        let words = words.lines().map(str::trim).find(|line| !line.is_empty());
        // It asked for the passphrase, and says nothing more.
        Err(AgentError::Refused(
            words.unwrap_or("the key has a passphrase").to_owned(),
        ))
    }
}

async fn within<T>(what: &'static str, work: impl Future<Output = T>) -> Result<T, AgentError> {
    let done = tokio::time::timeout(START_LIMIT, work).await;
    done.map_err(|_| AgentError::Silent(what))
}

/// The agents of a build, for the engine.
pub(super) struct ForwardedAgents(pub(super) Arc<Offer>);

impl ForwardedAgents {
    fn find(&self, id: &str) -> Result<&Agent, Status> {
        let id = if id.is_empty() { DEFAULT } else { id };
        let agent = self.0.ssh.get(id);
        agent.ok_or_else(|| Status::not_found(format!("the key {id} is not in build.ssh")))
    }
}

#[tonic::async_trait]
impl Ssh for ForwardedAgents {
    type ForwardAgentStream = BoxStream<BytesMessage>;

    /// For an unknown id BuildKit mounts nothing, unless the Dockerfile says `required`.
    async fn check_agent(&self, request: Request<CheckAgentRequest>) -> Result<Response<CheckAgentResponse>, Status> {
        self.find(&request.get_ref().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request.metadata().get(ID).and_then(|id| id.to_str().ok());
        let agent = self.find(id.unwrap_or_default())?.connect().await;
        let agent = agent.map_err(|error| Status::unavailable(format!("ssh-agent: {error}")))?;
        let (read, write) = agent.into_split();
        tokio::spawn(questions(request.into_inner(), write));
        let answers = futures_util::stream::unfold(Some(read), |read| async { answer(read?).await });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Ends with either side.
async fn questions(mut incoming: Streaming<BytesMessage>, mut agent: OwnedWriteHalf) {
    while let Ok(Some(message)) = incoming.message().await {
        if agent.write_all(&message.data).await.is_err() {
            break;
        }
    }
}

type Answer = (Result<BytesMessage, Status>, Option<OwnedReadHalf>);

async fn answer(mut agent: OwnedReadHalf) -> Option<Answer> {
    let mut data = vec![0; CHUNK];
    match agent.read(&mut data).await {
        Ok(0) => None,
        Ok(length) => {
            data.truncate(length);
            Some((Ok(BytesMessage { data }), Some(agent)))
        }
        Err(error) => Some((Err(Status::unavailable(error.to_string())), None)),
    }
}
