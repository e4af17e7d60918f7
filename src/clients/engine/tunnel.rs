//! The connection to an engine on another host: a local socket, with one connection to the engine for each client that
//! connects to it.
//!
//! All calls then go one way, whatever the transport: typed ones, raw ones, and connections that turn into streams.

use super::dir::Dir;
use crate::clients::secrets;
use lowtide_model::failure::Failure;
use lowtide_model::policy::{SshEngine, TlsEngine};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// Seconds ssh may take to connect.
const CONNECT_S: u32 = 20;

/// How long ssh may take to end, and to say why, after a connection broke off.
const SETTLES: Duration = Duration::from_millis(500);

/// Bytes of what ssh says before it gives up.
const WORDS: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    #[error("{0}")]
    Secret(#[from] Failure),
    #[error("{path}: {source}")]
    Certificate {
        path: String,
        source: rustls::pki_types::pem::Error,
    },
    #[error("`{0}` is not a host name")]
    Name(String),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Ends when the last handle of the engine goes.
#[derive(Debug)]
pub(super) struct Tunnel {
    dir: Dir,
    words: Words,
    _accepts: AbortOnDropHandle<()>,
}

/// What the last connection that broke off said, if it said anything.
type Words = Arc<Mutex<Option<String>>>;

impl Tunnel {
    /// # Errors
    /// When the key cannot be read, or no socket made.
    pub(super) fn by_ssh(ssh: &SshEngine) -> Result<Self, TunnelError> {
        let dir = Dir::new()?;
        let key = match &ssh.key {
            Some(reference) => Some(dir.write_key(secrets::read(reference)?.expose())?),
            None => None,
        };
        let arguments = Arc::new(ssh_arguments(ssh, dir.path(), key.as_deref()));
        let words = Words::default();
        let reported = Arc::clone(&words);
        Self::start(dir, words, move |client| {
            tokio::spawn(through_ssh(client, Arc::clone(&arguments), Arc::clone(&reported)));
        })
    }

    /// # Errors
    /// When a certificate or key cannot be read, or no socket made.
    pub(super) fn by_tls(tls: &TlsEngine) -> Result<Self, TunnelError> {
        let connector = TlsConnector::from(Arc::new(client_config(tls)?));
        let name = ServerName::try_from(tls.host.clone()).map_err(|_| TunnelError::Name(tls.host.clone()))?;
        let place = (tls.host.clone(), tls.port);
        let words = Words::default();
        let reported = Arc::clone(&words);
        Self::start(Dir::new()?, words, move |client| {
            let (connector, name, place) = (connector.clone(), name.clone(), place.clone());
            tokio::spawn(through_tls(client, connector, name, place, Arc::clone(&reported)));
        })
    }

    fn start(dir: Dir, words: Words, serve: impl Fn(UnixStream) + Send + 'static) -> Result<Self, TunnelError> {
        let listener = UnixListener::bind(dir.socket())?;
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                serve(client);
            }
        });
        Ok(Self {
            dir,
            words,
            _accepts: AbortOnDropHandle::new(accepts),
        })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.socket()
    }

    pub(super) fn last_words(&self) -> Option<String> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One login serves all connections of a while (`ControlMaster`): a connection costs a few milliseconds, not a handshake.
fn ssh_arguments(ssh: &SshEngine, dir: &Path, key: Option<&Path>) -> Vec<String> {
    let option = |text: String| ["-o".to_owned(), text];
    let mut arguments = vec!["-T".to_owned()];
    arguments.extend(option("BatchMode=yes".to_owned()));
    arguments.extend(option(format!("ConnectTimeout={CONNECT_S}")));
    arguments.extend(option("ServerAliveInterval=15".to_owned()));
    arguments.extend(option("ControlMaster=auto".to_owned()));
    arguments.extend(option(format!("ControlPath={}/c", dir.display())));
    arguments.extend(option("ControlPersist=60".to_owned()));
    match &ssh.known_hosts {
        Some(path) => {
            arguments.extend(option("StrictHostKeyChecking=yes".to_owned()));
            // The quotes are for ssh, which would read a path with a space as two files.
            arguments.extend(option(format!("UserKnownHostsFile=\"{}\"", path.display())));
        }
        None => arguments.extend(option("StrictHostKeyChecking=accept-new".to_owned())),
    }
    if let Some(key) = key {
        arguments.extend(option("IdentitiesOnly=yes".to_owned()));
        arguments.extend(["-i".to_owned(), key.display().to_string()]);
    }
    if let Some(user) = &ssh.user {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = ssh.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    // What follows is no option, whatever it looks like.
    arguments.extend(["--".to_owned(), ssh.host.clone(), "docker".to_owned()]);
    if let Some(socket) = &ssh.socket {
        arguments.extend(["--host".to_owned(), format!("unix://{socket}")]);
    }
    arguments.extend(["system".to_owned(), "dial-stdio".to_owned()]);
    arguments
}

async fn through_ssh(mut client: UnixStream, arguments: Arc<Vec<String>>, words: Words) {
    let child = Command::new("ssh")
        .args(arguments.iter())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return report(&words, Some(format!("ssh cannot be started: {e}"))),
    };
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return;
    };
    let last = Words::default();
    let listens = tokio::spawn(last_line(stderr, Arc::clone(&last)));
    let copied = carry(&mut client, stdin, stdout).await;
    let ended = tokio::time::timeout(SETTLES, child.wait()).await;
    // A regular end of the connection is no error; a failure that ssh or the remote command reports is one.
    if copied.is_ok() && !matches!(&ended, Ok(Ok(status)) if !status.success()) {
        return report(&words, None);
    }
    // With a time limit, not to end of file: an ssh master process kept for later connections holds this pipe open too.
    let _ = tokio::time::timeout(SETTLES, listens).await;
    let last = last.lock().unwrap_or_else(PoisonError::into_inner).take();
    report(&words, last);
}

/// Copies both ways until the far side closes. The client sees that end only when `client` is dropped; by then the
/// reason has been recorded.
async fn carry(client: &mut UnixStream, mut stdin: ChildStdin, mut stdout: ChildStdout) -> std::io::Result<u64> {
    let (mut from, mut to) = client.split();
    let upward = async {
        let _ = tokio::io::copy(&mut from, &mut stdin).await;
        let _ = stdin.shutdown().await;
        drop(stdin);
        std::future::pending::<std::io::Result<u64>>().await
    };
    tokio::select! {
        copied = tokio::io::copy(&mut stdout, &mut to) => copied,
        never = upward => never,
    }
}

async fn last_line(stderr: ChildStderr, last: Words) {
    let mut lines = BufReader::new(stderr.take(WORDS)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.trim().is_empty() {
            report(&last, Some(line.chars().filter(|c| !c.is_control()).collect()));
        }
    }
}

async fn through_tls(
    mut client: UnixStream,
    connector: TlsConnector,
    name: ServerName<'static>,
    place: (String, u16),
    words: Words,
) {
    let far = async {
        let tcp = TcpStream::connect(place).await?;
        tcp.set_nodelay(true)?;
        connector.connect(name, tcp).await
    };
    match far.await {
        Ok(mut far) => {
            let copied = copy_bidirectional(&mut client, &mut far).await;
            // A certificate the engine refuses is reported with the first byte it does not send.
            let refused = copied.err().filter(|e| e.kind() == std::io::ErrorKind::InvalidData);
            report(&words, refused.map(|e| e.to_string()));
        }
        Err(e) => report(&words, Some(e.to_string())),
    }
}

fn report(words: &Words, said: Option<String>) {
    *words.lock().unwrap_or_else(PoisonError::into_inner) = said;
}

fn client_config(tls: &TlsEngine) -> Result<ClientConfig, TunnelError> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        None => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // One that cannot be read is one that is not trusted.
                let _ = roots.add(certificate);
            }
        }
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else {
        return Ok(config.with_no_client_auth());
    };
    let secret = secrets::read(key)?;
    let key = PrivateKeyDer::from_pem_slice(secret.expose().as_bytes()).map_err(|source| TunnelError::Certificate {
        path: key.to_string(),
        source,
    })?;
    Ok(config.with_client_auth_cert(certificates(cert)?, key)?)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TunnelError> {
    let wrong = |source| TunnelError::Certificate {
        path: path.display().to_string(),
        source,
    };
    CertificateDer::pem_file_iter(path)
        .map_err(wrong)?
        .collect::<Result<_, _>>()
        .map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_called_as_docker_calls_it() {
        let ssh = SshEngine {
            user: Some("roll".to_owned()),
            host: "web1.example.org".to_owned(),
            port: Some(2222),
            socket: Some("/run/docker.sock".to_owned()),
            key: None,
            known_hosts: Some("/etc/known hosts".into()),
        };
        let arguments = ssh_arguments(&ssh, Path::new("/t"), Some(Path::new("/t/key")));
        insta::assert_snapshot!(arguments.join(" "), @r#"-T -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ControlMaster=auto -o ControlPath=/t/c -o ControlPersist=60 -o StrictHostKeyChecking=yes -o UserKnownHostsFile="/etc/known hosts" -o IdentitiesOnly=yes -i /t/key -l roll -p 2222 -- web1.example.org docker --host unix:///run/docker.sock system dial-stdio"#);
    }
}
