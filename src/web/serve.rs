//! The small HTTP server.

use super::{metrics, page};
use crate::report::json;
use crate::report::plan::PlanRow;
use crate::report::trouble;
use crate::runtime::bot::Bot;
use crate::runtime::planning;
use crate::runtime::reading::{self, Reading};
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
    info!(address = %listener.local_addr()?, "health, metrics, the status page and the plan are served");
    let app = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .route("/", get(status))
        .route("/api/v1/plan", get(plan))
        .route("/api/v1/rollouts", get(rollouts))
        .with_state(bot);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// The process lives and its store answers. What else is wrong is a note: a restart would mend none of it.
async fn health(State(bot): State<Arc<Bot>>) -> Response {
    answer(noted(&bot, "ok").await, "text/plain; charset=utf-8")
}

async fn noted(bot: &Bot, first: &str) -> Result<String, StoreError> {
    let troubles = reading::troubles(bot).await?;
    Ok(trouble::notes(first, &troubles, reading::now()))
}

/// As health, and no newer lowtide has taken the state over.
async fn ready(State(bot): State<Arc<Bot>>) -> Response {
    match bot.store.current_term().await {
        Ok(term) if term > bot.store.term() => {
            (StatusCode::SERVICE_UNAVAILABLE, "a newer lowtide owns this state\n").into_response()
        }
        Ok(_) => answer(noted(&bot, "ready").await, "text/plain; charset=utf-8"),
        Err(error) => answer(Err::<String, _>(error), "text/plain; charset=utf-8"),
    }
}

async fn measured(State(bot): State<Arc<Bot>>) -> Response {
    // Prometheus text exposition format, 0.0.4.
    answer(metrics::text(&bot).await, "text/plain; version=0.0.4; charset=utf-8")
}

async fn status(State(bot): State<Arc<Bot>>) -> Response {
    let zone = bot.in_force().fleet.timezone.clone();
    let html = reading::of_bot(&bot)
        .await
        .map(|reading| page::html(&reading, &bot.instance, &zone).into_string());
    answer(html, "text/html; charset=utf-8")
}

/// As `plan --json`.
async fn plan(State(bot): State<Arc<Bot>>) -> Response {
    let answered = planned(&bot).await;
    json_of(
        answered.map(|(rows, reading)| serde_json::to_string(&json::plan(&rows, reading.paused, reading.now, None))),
    )
}

async fn rollouts(State(bot): State<Arc<Bot>>) -> Response {
    let answered = planned(&bot).await;
    json_of(answered.map(|(rows, reading)| serde_json::to_string(&json::rollouts(&rows, reading.paused, reading.now))))
}

async fn planned(bot: &Bot) -> Result<(Vec<PlanRow>, Reading), StoreError> {
    let reading = reading::of_bot(bot).await?;
    let usual = planning::usual(&bot.store, &reading).await?;
    Ok((planning::rows(&reading, &usual), reading))
}

fn json_of(answered: Result<serde_json::Result<String>, StoreError>) -> Response {
    match answered {
        Ok(Err(error)) => {
            error!(%error, "an answer cannot be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written\n").into_response()
        }
        Ok(Ok(text)) => answer(Ok(text), "application/json"),
        Err(error) => answer(Err::<String, _>(error), "application/json"),
    }
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
