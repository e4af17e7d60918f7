//! One TLS implementation with one crypto provider for the whole process, and one set of trusted certificates for the clients that are
//! built with [`client`]: engines, package repositories, readiness probes and the calls of the registry that oci-client has not. oci-client, lettre and octocrab read the
//! certificates by themselves.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A process lives for months, and the system's certificates change now and then.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// Makes *ring* the process's rustls provider. Safe to call often; every client constructor does.
pub fn ready() {
    // An error means that a provider is installed already: ours, by an earlier call.
    let _ = ring::default_provider().install_default();
}

/// The configuration of an HTTPS client that trusts the system's certificates. They are some hundred files, so they are read at the
/// first handshake and shared: a process that only uses a local socket never reads them.
#[must_use]
pub fn client() -> ClientConfig {
    ready();
    // rustls calls every custom verifier dangerous. This one verifies as webpki does; it only loads the certificates later.
    let config = ClientConfig::builder().dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(System));
    config.with_no_client_auth()
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

type Roots = Arc<WebPkiServerVerifier>;

static ROOTS: Mutex<Option<(Instant, Roots)>> = Mutex::new(None);

/// Verifies servers by the certificates of the system.
#[derive(Debug)]
struct System;

impl ServerCertVerifier for System {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        roots()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

fn roots() -> Result<Roots, Error> {
    let mut cached = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((read, roots)) = cached.as_ref()
        && read.elapsed() < FRESH
    {
        return Ok(Arc::clone(roots));
    }
    let mut store = RootCertStore::empty();
    // A certificate that cannot be read is not trusted.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&PROVIDER)).build();
    let roots =
        built.map_err(|_| Error::General("this system has no certificates of authorities to trust".to_owned()))?;
    *cached = Some((Instant::now(), Arc::clone(&roots)));
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_certificates_are_read_once_for_all_clients() {
        let (one, other) = (roots(), roots());
        match (one, other) {
            (Ok(one), Ok(other)) => assert!(Arc::ptr_eq(&one, &other)),
            (Err(one), Err(other)) => assert_eq!(one, other, "this machine has none"),
            (one, other) => panic!("{one:?} {other:?}"),
        }
    }
}
