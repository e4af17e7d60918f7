//! What is behind the addresses of the pages: an app, a run, a rollout, a log. All of it is read beside the writer.

use super::pages::{self, missing};
use super::respond::{HTML, TEXT, respond};
use super::serve::Site;
use crate::runtime::blocking::run_blocking;
use crate::runtime::bot::Bot;
use crate::runtime::run_logs::{self, LogName};
use crate::runtime::{app_history, detail, fleet_status, planning};
use crate::store::error::StoreError;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::report::sections::{no_such_log, no_such_record};
use lowtide_core::report::words::no_such_app;
use lowtide_model::name::{AppName, RolloutId, RunId};
use std::sync::Arc;
use tracing::warn;

/// Runs of an app's page, and rollouts.
const LISTED: u32 = 20;

/// Part of an address; an error: it is no text once it is decoded.
type Named = Result<Path<String>, PathRejection>;

/// A page, or why there is none: then as a sentence without a full stop.
type Page = Result<Result<String, String>, StoreError>;

pub(super) async fn nothing() -> Response {
    not_found("no such page")
}

pub(super) async fn app(State(site): State<Arc<Site>>, named: Named) -> Response {
    let Ok(Path(name)) = named else {
        return nothing().await;
    };
    found(app_page(&site.bot, &name).await)
}

async fn app_page(bot: &Bot, name: &str) -> Page {
    let missing = || Ok(Err(no_such_app(name, bot.in_force().fleet.apps.keys())));
    let Ok(app) = name.parse::<AppName>() else {
        return missing();
    };
    let Some(fleet_status) = fleet_status::of_app(bot, &app).await? else {
        return missing();
    };
    let usual = planning::usual(&bot.store, &fleet_status).await?;
    let history = app_history::of(&bot.store, &app, LISTED).await?;
    let instance = bot.instance.clone();
    let html = run_blocking(move || {
        let plan = planning::rows(&fleet_status, &usual);
        let seen = pages::app::Seen {
            fleet_status,
            plan,
            history,
            instance,
        };
        pages::app::html(&seen).map(maud::Markup::into_string)
    });
    match html.await {
        Some(html) => Ok(Ok(html)),
        None => missing(),
    }
}

pub(super) async fn run(State(site): State<Arc<Site>>, named: Named) -> Response {
    let Ok(Path(id)) = named else {
        return nothing().await;
    };
    found(run_page(&site.bot, &id).await)
}

async fn run_page(bot: &Arc<Bot>, id: &str) -> Page {
    let missing = || Ok(Err(no_such_record("run", id)));
    let Ok(run) = id.parse::<RunId>() else {
        return missing();
    };
    let events = bot.store.past_run(run).await?;
    if events.is_empty() {
        return missing();
    }
    let bot = Arc::clone(bot);
    run_blocking(move || {
        let view = detail::run(run, &events).map_err(broken)?;
        let (zone, logs) = (zone(&bot, &view.row.app), run_logs::tails(&bot.state, run));
        Ok(Ok(pages::run::html(&view, &logs, &zone).into_string()))
    })
    .await
}

pub(super) async fn rollout(State(site): State<Arc<Site>>, named: Named) -> Response {
    let Ok(Path(id)) = named else {
        return nothing().await;
    };
    found(rollout_page(&site.bot, &id).await)
}

async fn rollout_page(bot: &Arc<Bot>, id: &str) -> Page {
    let missing = || Ok(Err(no_such_record("rollout", id)));
    let Ok(rollout) = id.parse::<RolloutId>() else {
        return missing();
    };
    let events = bot.store.past_rollout(rollout).await?;
    let Some(RolloutEvent::Opened { release, app, .. }) = events.first().map(|first| &first.event) else {
        return missing();
    };
    let (release, app) = (release.run, app.clone());
    let is_open = !matches!(
        events.last().map(|last| &last.event),
        Some(RolloutEvent::Concluded { .. })
    );
    let fleet_status = if is_open {
        fleet_status::of_app(bot, &app).await?
    } else {
        None
    };
    let known = bot.store.known_runs([release].into()).await?;
    let bot = Arc::clone(bot);
    run_blocking(move || {
        let (now, app_state) = (fleet_status::now(), bot.app_state(&app));
        let seen = pages::rollout::Seen {
            view: detail::rollout(rollout, &events).map_err(broken)?,
            preview: detail::rollout_preview(&bot, rollout, &events, now).map_err(broken)?,
            release: known.ended.contains(&release).then_some(release),
            fleet_status,
            policy: bot.app(&app).map(|app| app.halt.clone()).unwrap_or_default(),
            halted: fleet_status::halted_since(&app_state, rollout),
            operator_rollback: app_state.operator_rollback_of(rollout).cloned(),
            now,
            zone: zone(&bot, &app),
        };
        Ok(Ok(pages::rollout::html(&seen).into_string()))
    })
    .await
}

pub(super) async fn log(
    State(site): State<Arc<Site>>,
    named: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let Ok(Path((id, name))) = named else {
        return nothing().await;
    };
    let (Ok(run), Ok(log)) = (id.parse::<RunId>(), name.parse::<LogName>()) else {
        return not_found(&no_such_log(&name));
    };
    match run_logs::whole(&site.bot.state, run, log).await {
        Ok(Some(pieces)) => respond(Ok(Body::from_stream(pieces)), TEXT),
        Ok(None) => not_found(&no_such_log(&name)),
        Err(error) => {
            warn!(%error, %run, "a log cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "the log cannot be read\n").into_response()
        }
    }
}

fn found(page: Page) -> Response {
    match page {
        Ok(Ok(html)) => respond(Ok(html), HTML),
        Ok(Err(why)) => not_found(&why),
        Err(error) => respond(Err::<String, _>(error), HTML),
    }
}

fn not_found(why: &str) -> Response {
    let mut response = respond(Ok(missing::html(why).into_string()), HTML);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn zone(bot: &Bot, app: &AppName) -> String {
    bot.app(app)
        .map_or_else(|| bot.in_force().fleet.timezone.clone(), |app| app.timezone.clone())
}

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable {
        what: "journal of a page",
        why: error.to_string(),
    }
}
