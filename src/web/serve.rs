//! The small HTTP server.

use super::pages::fleet;
use super::respond::{HTML, TEXT, respond};
use super::shared::{Shared, State as Moment};
use super::{door, host, visits};
use crate::runtime::blocking::run_blocking;
use crate::runtime::bot::Bot;
use crate::runtime::metrics::page::{self as metrics, Format};
use crate::runtime::{fleet_status, planning};
use crate::store::error::StoreError;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use lowtide_core::report::json;
use lowtide_core::report::plan::PlanRow;
use lowtide_core::report::trouble;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Serves until shutdown.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(bot: Arc<Bot>, listen: SocketAddr, shutdown: CancellationToken) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    // For `lowtide health`: several bots may live on one machine, each with a state directory and an address of its own.
    std::fs::write(bot.state.join(LISTENS_AT), listener.local_addr()?.to_string())?;
    serve_on(bot, listener, shutdown).await
}

/// In the state directory: the address that its bot serves at, or served at last.
const LISTENS_AT: &str = "listen";

/// Where the bot of this state directory serves, or served last; `None`: none ever has.
#[must_use]
pub fn listens_at(state: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(state.join(LISTENS_AT)).ok()?;
    text.trim().parse().ok()
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

/// The bot, and its last responses.
pub(super) struct Site {
    pub(super) bot: Arc<Bot>,
    metrics: Shared,
    open_metrics: Shared,
    page: Shared,
    plan: Shared,
    rollouts: Shared,
}

fn router(bot: Arc<Bot>) -> Router {
    let site = Arc::new(Site {
        bot: Arc::clone(&bot),
        metrics: Shared::of_counts(),
        open_metrics: Shared::of_counts(),
        page: Shared::of_times(),
        plan: Shared::of_times(),
        rollouts: Shared::of_times(),
    });
    let pages = Router::new()
        .route("/", get(status))
        .route("/apps/{app}", get(visits::app))
        .route("/runs/{run}", get(visits::run))
        .route("/runs/{run}/log/{log}", get(visits::log))
        .route("/rollouts/{rollout}", get(visits::rollout))
        .route("/api/v1/plan", get(plan))
        .route("/api/v1/rollouts", get(rollouts))
        .fallback(visits::nothing)
        .layer(from_fn_with_state(bot, only_known_names));
    // Probes and monitoring may use any name for us, and these pages show nothing that a foreign web page could use.
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .merge(pages)
        .with_state(site)
}

/// Rejects unknown names: a foreign web page must not read ours by pointing its own name at our address (DNS
/// rebinding).
async fn only_known_names(State(bot): State<Arc<Bot>>, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (request.uri().authority(), hosts.next(), hosts.next()) {
        // The authority in the request target takes precedence over the header (RFC 9112, 3.2.2).
        (Some(authority), _, None) => Some(authority.as_str()),
        (None, Some(host), None) => host.to_str().ok(),
        (_, _, Some(_)) | (None, None, None) => None,
    };
    let fleet = bot.in_force();
    if named.is_some_and(|named| host::is_ours(named, &fleet.fleet.web.names)) {
        return next.run(request).await;
    }
    let message = "this name is not one of lowtide's: ask by its address, or add the name to `web.names`\n";
    (StatusCode::MISDIRECTED_REQUEST, message).into_response()
}

/// Healthy while the process lives and its store responds. Other problems are only notes: a restart would fix none of
/// them.
async fn health(State(site): State<Arc<Site>>) -> Response {
    respond(noted(&site.bot, "ok").await, TEXT)
}

async fn noted(bot: &Bot, first: &str) -> Result<String, StoreError> {
    let troubles = fleet_status::troubles(bot).await?;
    Ok(trouble::notes(first, &troubles, fleet_status::now()))
}

/// As health, and no newer lowtide has taken the state over.
async fn ready(State(site): State<Arc<Site>>) -> Response {
    let bot = &site.bot;
    match bot.store.current_term().await {
        Ok(term) if term > bot.store.term() => {
            (StatusCode::SERVICE_UNAVAILABLE, "a newer lowtide owns this state\n").into_response()
        }
        Ok(_) => respond(noted(bot, "ready").await, TEXT),
        Err(error) => respond(Err::<String, _>(error), TEXT),
    }
}

async fn measured(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter();
    let format = Format::negotiate(accept.filter_map(|value| value.to_str().ok()));
    let last = match format {
        Format::Text => &site.metrics,
        Format::OpenMetrics => &site.open_metrics,
    };
    let text = last.get(|| Moment::of(&site.bot), metrics::text(&site.bot, format));
    respond(text.await, format.content_type())
}

async fn status(State(site): State<Arc<Site>>) -> Response {
    let html = site.page.get(|| Moment::of(&site.bot), async {
        let fleet_status = fleet_status::of_bot(&site.bot).await?;
        let (instance, zone) = (site.bot.instance.clone(), site.bot.in_force().fleet.timezone.clone());
        Ok(run_blocking(move || fleet::html(&fleet_status, &instance, &zone).into_string()).await)
    });
    respond(html.await, HTML)
}

/// As `plan --json`.
async fn plan(State(site): State<Arc<Site>>) -> Response {
    planned(&site.bot, &site.plan, |rows, paused, now| {
        serde_json::to_string(&json::plan(rows, paused, now, None))
    })
    .await
}

async fn rollouts(State(site): State<Arc<Site>>) -> Response {
    planned(&site.bot, &site.rollouts, |rows, paused, now| {
        serde_json::to_string(&json::rollouts(rows, paused, now))
    })
    .await
}

async fn planned(
    bot: &Bot,
    last: &Shared,
    write: fn(&[PlanRow], bool, Timestamp) -> serde_json::Result<String>,
) -> Response {
    let text = last.get(|| Moment::of(bot), async {
        let fleet_status = fleet_status::of_bot(bot).await?;
        let usual = planning::usual(&bot.store, &fleet_status).await?;
        let written = run_blocking(move || {
            write(
                &planning::rows(&fleet_status, &usual),
                fleet_status.paused,
                fleet_status.now,
            )
        });
        written.await.map_err(|e| StoreError::Unreadable {
            what: "plan to write",
            why: e.to_string(),
        })
    });
    respond(text.await, "application/json")
}
