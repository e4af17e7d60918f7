//! Health of a lowtide that stands by: it has no state to report on, but shows the owner of the state whether it could
//! take over.

use super::door;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Could it take over?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    Unknown,
    Fit,
    /// Why not.
    Unfit(String),
}

/// Serves until it is dropped.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(listen: SocketAddr, fitness: watch::Receiver<Fitness>) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    info!(address = %listener.local_addr()?, "standing by");
    let app = Router::new()
        .route("/healthz", get(health))
        .route(
            "/readyz",
            get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "standing by\n") }),
        )
        .with_state(fitness);
    door::serve(listener, app, CancellationToken::new()).await;
    Ok(())
}

/// The reason goes to our own log only: a client over TCP just learns that there is one.
async fn health(State(fitness): State<watch::Receiver<Fitness>>) -> (StatusCode, &'static str) {
    match &*fitness.borrow() {
        Fitness::Fit => (StatusCode::OK, "standing by\n"),
        Fitness::Unknown => (StatusCode::SERVICE_UNAVAILABLE, "not known yet\n"),
        Fitness::Unfit(_) => (StatusCode::SERVICE_UNAVAILABLE, "could not take over\n"),
    }
}
