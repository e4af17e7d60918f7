//! The small HTTP server.

use super::{metrics, page};
use crate::runtime::bot::Bot;
use crate::runtime::reading;
use crate::store::error::StoreError;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Serves until shutdown.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(bot: Arc<Bot>, listen: SocketAddr, shutdown: CancellationToken) -> io::Result<()> {
    serve_on(bot, TcpListener::bind(listen).await?, shutdown).await
}

/// As [`serve`], on a socket that listens already.
///
/// # Errors
/// When the socket breaks.
pub async fn serve_on(bot: Arc<Bot>, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    info!(address = %listener.local_addr()?, "health, metrics and the status page are served");
    let app = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .route("/", get(status))
        .with_state(bot);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// The process lives and its store answers.
async fn health(State(bot): State<Arc<Bot>>) -> Response {
    answer(
        bot.store.pending_notices().await.map(|_| "ok\n"),
        "text/plain; charset=utf-8",
    )
}

/// As health, and no newer lowtide has taken the state over.
async fn ready(State(bot): State<Arc<Bot>>) -> Response {
    match bot.store.current_term().await {
        Ok(term) if term > bot.store.term() => {
            (StatusCode::SERVICE_UNAVAILABLE, "a newer lowtide owns this state\n").into_response()
        }
        other => answer(other.map(|_| "ready\n"), "text/plain; charset=utf-8"),
    }
}

async fn measured(State(bot): State<Arc<Bot>>) -> Response {
    // Prometheus text exposition format, 0.0.4.
    answer(metrics::text(&bot).await, "text/plain; version=0.0.4; charset=utf-8")
}

async fn status(State(bot): State<Arc<Bot>>) -> Response {
    let html = reading::of_bot(&bot)
        .await
        .map(|reading| page::html(&reading, &bot.instance).into_string());
    answer(html, "text/html; charset=utf-8")
}

/// What is wrong goes to our own log; who asks over TCP learns only that something is.
fn answer(body: Result<impl IntoResponse, StoreError>, kind: &'static str) -> Response {
    match body {
        Ok(body) => {
            // The page shows text of others: nothing but its own style may load or run.
            let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, body).into_response()
        }
        Err(error) => {
            error!(%error, source = ?std::error::Error::source(&error), "the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response()
        }
    }
}
