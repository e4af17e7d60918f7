//! One TLS implementation with one crypto provider for the whole process.

/// Makes *ring* the process's rustls provider. Safe to call often; every client constructor does.
pub fn ready() {
    // An error means that a provider is installed already: ours, by an earlier call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
