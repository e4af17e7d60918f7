//! One HTTP question to a server beside lowtide.

use super::error::EngineError;
use crate::clients::tls;
use lowtide_model::local;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A server that needs longer for one response does not serve.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a response that are read.
const TEXT: usize = 16 << 10;

/// The status of a GET; redirects are results of their own. For `lowtide probe-http` too.
///
/// # Errors
/// One line: why there is no response.
pub async fn http_status(host: IpAddr, port: u16, path: &str) -> Result<u16, String> {
    status(host, port, path).await.map_err(|e| e.failure().detail)?
}

/// One GET: status code and the beginning of its text.
///
/// # Errors
/// One line: why there is no response.
pub async fn http_text(host: IpAddr, port: u16, path: &str) -> Result<(u16, String), String> {
    let mut response = get(host, port, path).await.map_err(|e| e.failure().detail)??;
    let mut text = Vec::new();
    while text.len() < TEXT
        && let Ok(Some(chunk)) = response.chunk().await
    {
        text.extend_from_slice(&chunk);
    }
    text.truncate(TEXT);
    Ok((response.status().as_u16(), String::from_utf8_lossy(&text).into_owned()))
}

/// As [`http_status`], for a readiness check.
///
/// # Errors
/// When the question cannot be put, since something is used up here: that says nothing of the server.
pub(super) async fn status(host: IpAddr, port: u16, path: &str) -> Result<Result<u16, String>, EngineError> {
    let response = get(host, port, path).await?;
    Ok(response.map(|response| response.status().as_u16()))
}

async fn get(host: IpAddr, port: u16, path: &str) -> Result<Result<reqwest::Response, String>, EngineError> {
    let address = SocketAddr::new(host, port);
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("http://{address}{slash}{path}");
    let response = match client {
        Ok(client) => client.get(url).send().await,
        Err(error) => Err(error),
    };
    match response {
        Ok(response) => Ok(Ok(response)),
        Err(e) if local::exhausted(&e).is_some() => Err(EngineError::Unreachable {
            address: address.to_string(),
            source: Box::new(e.without_url()),
        }),
        Err(e) if e.is_timeout() => Ok(Err(format!("no answer within {} s", TIMEOUT.as_secs()))),
        Err(e) if e.is_connect() => Ok(Err("connection refused".to_owned())),
        Err(e) => Ok(Err(e.without_url().to_string())),
    }
}
