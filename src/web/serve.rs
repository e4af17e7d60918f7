//! The small HTTP server.

use super::{door, host, metrics, page};
use crate::report::json;
use crate::report::plan::PlanRow;
use crate::report::trouble;
use crate::runtime::bot::Bot;
use crate::runtime::planning;
use crate::runtime::reading::{self, Reading};
use crate::store::error::StoreError;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
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
/// When the socket is none that listens.
pub async fn serve_on(bot: Arc<Bot>, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    info!(address = %listener.local_addr()?, "health, metrics, the status page and the plan are served");
    door::serve(listener, router(bot), shutdown).await;
    Ok(())
}

fn router(bot: Arc<Bot>) -> Router {
    let pages = Router::new()
        .route("/", get(status))
        .route("/api/v1/plan", get(plan))
        .route("/api/v1/rollouts", get(rollouts))
        .layer(from_fn_with_state(Arc::clone(&bot), only_known_names));
    // Probes and monitoring ask by whatever name the network gave us, and learn nothing that a page of others could use.
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .merge(pages)
        .with_state(bot)
}

/// A page of others must not read ours by giving its own name our address (DNS rebinding).
async fn only_known_names(State(bot): State<Arc<Bot>>, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (request.uri().authority(), hosts.next(), hosts.next()) {
        // The target's own authority goes before the header (RFC 9112, 3.2.2).
        (Some(authority), _, None) => Some(authority.as_str()),
        (None, Some(host), None) => host.to_str().ok(),
        (_, _, Some(_)) | (None, None, None) => None,
    };
    let fleet = bot.in_force();
    if named.is_some_and(|named| host::is_ours(named, &fleet.fleet.web.names)) {
        return next.run(request).await;
    }
    let told = "this name is not one of lowtide's: ask by its address, or add the name to `web.names`\n";
    (StatusCode::MISDIRECTED_REQUEST, told).into_response()
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
