//! Engines on other hosts: the real one behind a real sshd, and behind TLS.

use crate::support::ssh;
use lowtide::clients::engine::connect::Engine;
use lowtide::model::failure::FailureKind;
use lowtide::model::policy::{EngineAddress, SshEngine, TlsEngine};
use lowtide::model::secret::SecretRef;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

fn socket() -> String {
    std::env::var("LOWTIDE_TEST_ENGINE").unwrap()
}

async fn works(engine: &Engine) {
    assert!(!engine.version().await.unwrap().version.is_empty());
    let listed = engine.raw_get("/containers/json?all=1&limit=1").await.unwrap();
    assert!(listed.is_array(), "{listed}");
}

/// What a person reads when the way there is barred.
async fn connect_error(engine: &Engine) -> String {
    let failure = engine.raw_get("/version").await.unwrap_err().failure();
    assert_eq!(failure.kind, FailureKind::EngineUnreachable);
    failure.detail
}

#[tokio::test]
async fn an_engine_is_reached_by_ssh_and_only_where_its_key_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["host", "client", "stranger"] {
        ssh::key(&at(name));
    }
    let sshd = ssh::start(dir.path());
    let known = |key: &str| {
        let key = std::fs::read_to_string(at(key)).unwrap();
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{} {key}", sshd.port)).unwrap();
    };
    known("host.pub");
    let engine = |key: &str| {
        Engine::connect(&EngineAddress::Ssh(SshEngine {
            user: Some(sshd.user.clone()),
            host: "127.0.0.1".to_owned(),
            port: Some(sshd.port),
            socket: Some(socket()),
            key: Some(SecretRef::File(at(key))),
            known_hosts: Some(at("known_hosts")),
        }))
        .unwrap()
    };
    works(&engine("client")).await;
    let barred = connect_error(&engine("stranger")).await;
    assert!(barred.contains("Permission denied"), "{barred}");
    known("stranger.pub");
    let barred = connect_error(&engine("client")).await;
    assert!(barred.contains("verification failed"), "{barred}");
}

fn openssl(dir: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .current_dir(dir)
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A certificate authority, and what it signed.
fn certificates(dir: &Path) {
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        dir,
        &format!("req -x509 {curve} -keyout ca.key -out ca.pem -days 1 -subj /CN=ca"),
    );
    for (name, extension) in [
        ("server", "subjectAltName=IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ] {
        openssl(
            dir,
            &format!("req {curve} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext {extension}"),
        );
        let sign =
            format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -copy_extensions copy");
        openssl(dir, &format!("{sign} -out {name}.pem"));
    }
}

/// The engine behind TLS, for whoever shows a certificate of the authority; its port.
async fn tls_front(dir: &Path) -> u16 {
    let read = |name: &str| CertificateDer::from_pem_file(dir.join(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read("ca.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![read("server.pem")],
            PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(tcp).await else {
                    return;
                };
                let mut far = UnixStream::connect(socket()).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn an_engine_behind_tls_knows_us_and_we_know_it() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let port = tls_front(dir.path()).await;
    let at = |name: &str| dir.path().join(name);
    let engine = |ca: Option<&str>, who: Option<&str>| {
        Engine::connect(&EngineAddress::Tls(TlsEngine {
            host: "127.0.0.1".to_owned(),
            port,
            ca: ca.map(at),
            cert: who.map(|who| at(&format!("{who}.pem"))),
            key: who.map(|who| SecretRef::File(at(&format!("{who}.key")))),
        }))
        .unwrap()
    };
    works(&engine(Some("ca.pem"), Some("client"))).await;
    let stranger = connect_error(&engine(None, Some("client"))).await;
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    let nobody = connect_error(&engine(Some("ca.pem"), None)).await;
    assert!(nobody.contains("CertificateRequired"), "{nobody}");
}
