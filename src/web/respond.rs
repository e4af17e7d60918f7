//! How everything is answered: the headers, and what an error looks like from outside.

use crate::store::error::StoreError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::error;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The pages show text from outside: nothing but their own style may load or run, and no address of ours is told to others.
pub(super) fn respond(body: Result<impl IntoResponse, StoreError>, kind: &'static str) -> Response {
    match body {
        Ok(body) => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::REFERRER_POLICY, "no-referrer"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, body).into_response()
        }
        Err(error) => {
            // To our own log only: a client over TCP just learns that there is one.
            error!(%error, source = ?std::error::Error::source(&error), "the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response()
        }
    }
}
