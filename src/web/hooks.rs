//! Requests from outside that mean one thing: look at the configuration again. What a request says is not read, so an old one,
//! or one that comes twice, does no harm.

use super::door;
use super::hook_signature::{self, Checked, Refusal};
use crate::runtime::bot::Bot;
use crate::runtime::{connectivity, fleet_status};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use futures_util::StreamExt;
use lowtide_model::secret::SecretRef;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

/// Bytes of a request. GitHub sends 25 MB at most.
const MOST: u64 = 26 << 20;

/// Serves until shutdown, at an address of its own: the pages are not for everyone who may send a hook.
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
    info!(address = %listener.local_addr()?, "hooks are served");
    let router = Router::new()
        .route("/github", post(github))
        .route("/signed", post(signed))
        .with_state(bot);
    door::serve(listener, router, shutdown).await;
    Ok(())
}

async fn github(State(bot): State<Arc<Bot>>, request: Request) -> StatusCode {
    let secret = bot.in_force().fleet.web.hooks.github.clone();
    look_again(&bot, secret, request, |headers, secret| {
        hook_signature::github(headers, secret)
    })
    .await
}

async fn signed(State(bot): State<Arc<Bot>>, request: Request) -> StatusCode {
    let secret = bot.in_force().fleet.web.hooks.signed.clone();
    let check = |headers: &HeaderMap, secret: &_| hook_signature::signed(headers, secret, fleet_status::now());
    look_again(&bot, secret, request, check).await
}

async fn look_again(
    bot: &Bot,
    secret: Option<SecretRef>,
    request: Request,
    check: impl FnOnce(&HeaderMap, &lowtide_model::secret::Secret) -> Result<Checked, Refusal>,
) -> StatusCode {
    let Some(secret) = secret else {
        return StatusCode::NOT_FOUND;
    };
    // Read each time: it may have been changed.
    let secret = match connectivity::secret(&secret) {
        Ok(secret) if !secret.expose().trim().is_empty() => secret,
        // Anyone can sign with an empty secret.
        Ok(_) => {
            error!(%secret, "the secret of a hook is empty");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        Err(failure) => {
            error!(%failure, "the secret of a hook cannot be read");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
    };
    let (parts, body) = request.into_parts();
    let length = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > MOST) {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    let checked = match check(&parts.headers, &secret) {
        Ok(checked) => checked,
        Err(refusal) => return refused(refusal),
    };
    match read(body, checked).await {
        Ok(true) => {
            // GitHub's first request, when a webhook is made, is a ping; one look more does no harm.
            bot.config_look.notify_one();
            StatusCode::NO_CONTENT
        }
        Ok(false) => refused(Refusal::Unsigned),
        Err(status) => status,
    }
}

/// Does the body fit its signature?
async fn read(body: Body, mut checked: Checked) -> Result<bool, StatusCode> {
    let (mut pieces, mut had) = (body.into_data_stream(), 0_u64);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        had += piece.len() as u64;
        if had > MOST {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        checked.update(&piece);
    }
    Ok(checked.fits())
}

/// Strangers learn no more than that; their number must not fill the log.
fn refused(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::Unsigned | Refusal::Untimely => {
            debug!(%refusal, "a hook is refused");
            StatusCode::UNAUTHORIZED
        }
        Refusal::Unusable => {
            error!(%refusal, "a hook cannot be checked");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
