//! Raw JSON calls: bodies pass through as the engine wrote them, so fields unknown to any typed binding survive.

use super::connect::{Engine, TIMEOUT_S};
use super::error::EngineError;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

impl Engine {
    /// GET `path` (with query, without version prefix: the engine answers at its newest API).
    ///
    /// # Errors
    /// As the engine refuses, or `Unreadable` when the body is not JSON.
    pub async fn raw_get(&self, path: &str) -> Result<Value, EngineError> {
        self.raw(Method::GET, path, None, Duration::from_secs(TIMEOUT_S)).await
    }

    /// POST a JSON body; an empty answer is `Null`. 304 (already so) counts as done.
    ///
    /// # Errors
    /// As the engine refuses; `Timeout` after `timeout`, when the engine may still be at it.
    pub async fn raw_post(&self, path: &str, body: Option<&Value>, timeout: Duration) -> Result<Value, EngineError> {
        self.raw(Method::POST, path, body, timeout).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// As the engine refuses; `NotFound` when it is gone already.
    pub async fn raw_delete(&self, path: &str) -> Result<Value, EngineError> {
        self.raw(Method::DELETE, path, None, Duration::from_secs(TIMEOUT_S))
            .await
    }

    async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<Value, EngineError> {
        let what = format!("{method} {path}");
        let mut request = self
            .http
            .request(method, format!("http://engine{path}"))
            .timeout(timeout);
        if let Some(body) = body {
            request = request.json(body);
        }
        let sent = |e: reqwest::Error| {
            if e.is_timeout() {
                EngineError::Timeout {
                    what: what.clone(),
                    seconds: timeout.as_secs(),
                }
            } else {
                EngineError::Unreachable {
                    address: self.address.clone(),
                    source: Box::new(e),
                }
            }
        };
        let response = request.send().await.map_err(sent)?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(sent)?;
        if (200..300).contains(&status) || status == 304 {
            if bytes.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&bytes).map_err(|e| EngineError::Unreadable {
                what: what.clone(),
                source: Box::new(e),
            });
        }
        let message = serde_json::from_slice::<Value>(&bytes)
            .ok()
            .and_then(|v| v.get("message").and_then(Value::as_str).map(ToOwned::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).chars().take(500).collect());
        Err(match status {
            404 => EngineError::NotFound { what },
            409 => EngineError::Conflict { message },
            _ => EngineError::Refused { status, message },
        })
    }
}
