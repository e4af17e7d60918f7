//! The small HTTP server.

use crate::runtime::bot::Bot;
use axum::Router;
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Serves until shutdown.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(_bot: Arc<Bot>, listen: SocketAddr, shutdown: CancellationToken) -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let app = Router::new().route("/healthz", get(async || "ok\n"));
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}
