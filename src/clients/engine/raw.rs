//! Raw JSON calls: bodies pass through as the engine wrote them, so fields unknown to any typed binding survive.

use super::connect::{Engine, TIMEOUT_S};
use super::error::EngineError;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;

/// Bytes a JSON answer may have. The list of changes of a container that was written to a lot is the longest we ask for.
pub(super) const RESPONSE_LIMIT: usize = 64 << 20;

impl Engine {
    /// GET `path` (with query, without version prefix: the engine responds at its newest API).
    ///
    /// # Errors
    /// As the engine refuses, or `Unreadable` when the body is not JSON.
    pub async fn raw_get(&self, path: &str) -> Result<Value, EngineError> {
        self.raw(Method::GET, path, None, Duration::from_secs(TIMEOUT_S)).await
    }

    /// POST a JSON body; an empty response, or one of white space alone, is `Null`. 304 (already so) counts as done.
    ///
    /// # Errors
    /// As the engine refuses; `Timeout` after `timeout`, when the engine may still be at it.
    pub async fn raw_post(&self, path: &str, body: Option<&Value>, timeout: Duration) -> Result<Value, EngineError> {
        self.raw(Method::POST, path, body, timeout).await
    }

    /// POST of which only the status matters: the body is a line feed, a text or nothing, and none of it is read.
    ///
    /// # Errors
    /// As [`Engine::raw_post`], but never `Unreadable` for a response that is no JSON.
    pub async fn raw_post_only(&self, path: &str, body: Option<&Value>, timeout: Duration) -> Result<(), EngineError> {
        self.whole(Method::POST, path, body, timeout).await.map(drop)
    }

    /// DELETE. The body of the response is not read.
    ///
    /// # Errors
    /// As the engine refuses; `NotFound` when it is gone already.
    pub async fn raw_delete(&self, path: &str) -> Result<(), EngineError> {
        self.whole(Method::DELETE, path, None, Duration::from_secs(TIMEOUT_S))
            .await
            .map(drop)
    }

    /// PUT bytes of `media_type`.
    ///
    /// # Errors
    /// As the engine refuses; `Timeout` after `silence`.
    pub async fn raw_put(
        &self,
        path: &str,
        media_type: &'static str,
        body: Vec<u8>,
        silence: Duration,
    ) -> Result<(), EngineError> {
        let request = self.http.put(format!("http://engine{path}"));
        let request = request.header(CONTENT_TYPE, media_type).body(body);
        let mut stream = self.sent(request, what(&Method::PUT, path), silence).await?;
        stream.all(RESPONSE_LIMIT).await.map(drop)
    }

    /// HEAD: the value of one response header, if it is there.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn raw_head(&self, path: &str, header: &str) -> Result<Option<String>, EngineError> {
        let timeout = Duration::from_secs(TIMEOUT_S);
        let stream = self
            .raw_stream(Method::HEAD, path, None, HeaderMap::new(), timeout)
            .await?;
        let value = stream.response.headers().get(header);
        Ok(value.and_then(|v| v.to_str().ok()).map(ToOwned::to_owned))
    }

    /// A response that comes piece by piece. `silence` is the longest the engine may take for the next piece.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn raw_stream(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: HeaderMap,
        silence: Duration,
    ) -> Result<RawStream, EngineError> {
        let mut request = self
            .http
            .request(method.clone(), format!("http://engine{path}"))
            .headers(headers);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.sent(request, what(&method, path), silence).await
    }

    pub(super) async fn sent(
        &self,
        request: reqwest::RequestBuilder,
        what: String,
        silence: Duration,
    ) -> Result<RawStream, EngineError> {
        let timed_out = || EngineError::Timeout {
            what: what.clone(),
            seconds: silence.as_secs(),
        };
        let response = tokio::time::timeout(silence, request.send())
            .await
            .map_err(|_| timed_out())?
            .map_err(|e| self.unreachable(e))?;
        let status = response.status().as_u16();
        let mut stream = RawStream {
            engine: self.clone(),
            response,
            what,
            silence,
        };
        if (200..300).contains(&status) || status == 304 {
            return Ok(stream);
        }
        let said = stream.all(RESPONSE_LIMIT).await?;
        let message = serde_json::from_slice::<Value>(&said)
            .ok()
            .and_then(|v| v.get("message").and_then(Value::as_str).map(ToOwned::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(&said).chars().take(500).collect());
        Err(match status {
            // A pull fails so as well: the message says what the registry lacks.
            404 if !message.is_empty() => EngineError::NotFound {
                what: format!("{} ({message})", stream.what),
            },
            404 => EngineError::NotFound { what: stream.what },
            409 => EngineError::Conflict { message },
            _ => EngineError::Refused { status, message },
        })
    }

    async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<Value, EngineError> {
        let (bytes, what) = self.whole(method, path, body, timeout).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| EngineError::Unreadable {
            what,
            source: Box::new(e),
        })
    }

    /// The whole response, and its status.
    async fn whole(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(Vec<u8>, String), EngineError> {
        let whole = async {
            let mut stream = self
                .raw_stream(method.clone(), path, body, HeaderMap::new(), timeout)
                .await?;
            let bytes = stream.all(RESPONSE_LIMIT).await?;
            Ok((bytes, stream.what))
        };
        let late = |_| EngineError::Timeout {
            what: format!("{method} {path}"),
            seconds: timeout.as_secs(),
        };
        tokio::time::timeout(timeout, whole).await.map_err(late)?
    }

    fn unreachable(&self, source: reqwest::Error) -> EngineError {
        EngineError::no_response(self.address(), Box::new(source))
    }
}

/// The query may be long and is of no use in a message.
fn what(method: &Method, path: &str) -> String {
    format!("{method} {}", path.split('?').next().unwrap_or_default())
}

/// The body of a response, as it arrives.
#[derive(Debug)]
pub struct RawStream {
    engine: Engine,
    response: Response,
    what: String,
    silence: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {0} bytes")]
struct TooLong(usize);

impl RawStream {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Timeout` when nothing comes within the stream's longest silence; `Unreachable` when it breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        match tokio::time::timeout(self.silence, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|e| self.engine.unreachable(e)),
            Err(_) => Err(EngineError::Timeout {
                what: self.what.clone(),
                seconds: self.silence.as_secs(),
            }),
        }
    }

    /// What is left, whole.
    ///
    /// # Errors
    /// As `next`; `Unreadable` when there is more than `limit` bytes.
    pub async fn all(&mut self, limit: usize) -> Result<Vec<u8>, EngineError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            if bytes.len() + piece.len() > limit {
                return Err(EngineError::Unreadable {
                    what: self.what.clone(),
                    source: Box::new(TooLong(limit)),
                });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// Text as one part of a path or query (RFC 3986, unreserved characters stay).
#[must_use]
pub fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_text_cannot_leave_its_part() {
        assert_eq!(encode("a/../b?c#d%e f"), "a%2F..%2Fb%3Fc%23d%25e%20f");
        assert_eq!(encode("{\"a\":1}"), "%7B%22a%22%3A1%7D");
        assert_eq!(encode("web-1_x.y~"), "web-1_x.y~");
    }
}
