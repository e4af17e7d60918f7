//! What comes back: statuses and broken connections get their names, bodies are counted and hashed as they arrive.

use super::address;
use super::error::ArchiveError;
use super::fetch::{Expected, FileRequest, Got, Limits, Validators};
use crate::clients::clock;
use crate::clients::http::{Root, retry_after};
use crate::clients::pipe::Pipe;
use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt as _;

/// Bytes of a header's value; a longer value counts as absent.
const MAX_VALIDATOR: usize = 1024;

/// Where a file goes as it arrives.
#[derive(Clone, Copy)]
pub(super) enum Destination<'a> {
    Memory,
    /// To one that begins to read with the first byte.
    Reader(&'a (dyn Fn() -> Pipe + Sync)),
}

/// Why a redirect was not followed; travels through reqwest's error.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum SentOn {
    #[error("sent on too often")]
    TooFar,
    #[error("sent on from https to http")]
    Downgrade,
}

pub(super) async fn response(
    wanted: &FileRequest<'_>,
    to: Destination<'_>,
    limits: &Limits,
    mut response: Response,
) -> Result<Got, ArchiveError> {
    let url = || address::shown(wanted.url);
    let status = response.status().as_u16();
    match status {
        200 => {}
        304 if wanted.cached.is_some() => return Ok(Got::Unchanged),
        404 | 410 => return Err(ArchiveError::NotFound { url: url() }),
        401 | 403 | 407 => return Err(ArchiveError::Denied { url: url(), status }),
        429 | 503 => {
            let until = retry_after(response.headers(), clock::now());
            let url = url();
            return Err(ArchiveError::Busy { url, status, until });
        }
        _ => return Err(ArchiveError::Refused { url: url(), status }),
    }
    let validators = Validators {
        etag: text(response.headers(), ETAG),
        modified: text(response.headers(), LAST_MODIFIED),
    };
    let said_html = text(response.headers(), CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
    let announced = response.content_length();
    // A size that a signed Release tells is exact; one byte more is another file.
    let limit = wanted.expected.map_or(wanted.limit, |e| e.size.min(wanted.limit));
    let mut body = Body::new(to, announced.unwrap_or_default().min(limit));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                if body.is_empty() && is_web_page(&chunk, said_html) {
                    return Err(ArchiveError::WebPage { url: url() });
                }
                body.take(chunk, limit)
                    .await
                    .map_err(|limit| ArchiveError::TooLarge { url: url(), limit })?;
            }
            Ok(None) => break,
            Err(error) if error.is_timeout() => return Err(classify(wanted.url, limits, error)),
            Err(_) => {
                return Err(ArchiveError::Truncated {
                    url: url(),
                    got: body.length,
                    expected: announced.or(wanted.expected.map(|e| e.size)),
                });
            }
        }
    }
    let bytes = body.finish(wanted).await?;
    Ok(Got::Content { bytes, validators })
}

pub(super) async fn file(wanted: &FileRequest<'_>, to: Destination<'_>, path: &Path) -> Result<Got, ArchiveError> {
    let failed = |source: std::io::Error| {
        let url = address::shown(wanted.url);
        if source.kind() == std::io::ErrorKind::NotFound {
            ArchiveError::NotFound { url }
        } else {
            ArchiveError::File { url, source }
        }
    };
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let modified = file.metadata().await.and_then(|m| m.modified()).map_err(failed)?;
    let validators = Validators {
        etag: Some(in_nanoseconds(modified)),
        modified: None,
    };
    if wanted.cached == Some(&validators) {
        return Ok(Got::Unchanged);
    }
    let mut body = Body::new(to, 0);
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut chunk).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        let taken = body.take(Bytes::copy_from_slice(&chunk[..read]), wanted.limit).await;
        taken.map_err(|limit| ArchiveError::TooLarge {
            url: address::shown(wanted.url),
            limit,
        })?;
    }
    let bytes = body.finish(wanted).await?;
    Ok(Got::Content { bytes, validators })
}

/// A request without a response.
pub(super) fn classify(url: &str, limits: &Limits, error: reqwest::Error) -> ArchiveError {
    let url = address::shown(url);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        match one.downcast_ref::<SentOn>() {
            Some(SentOn::TooFar) => {
                let limit = limits.redirects;
                return ArchiveError::Redirects { url, limit };
            }
            Some(SentOn::Downgrade) => return ArchiveError::Downgrade { url },
            None => cause = one.source(),
        }
    }
    if error.is_timeout() {
        let limit = if error.is_connect() {
            limits.connect
        } else {
            limits.silence
        };
        return ArchiveError::Timeout { url, limit };
    }
    ArchiveError::Unreachable {
        url,
        // The outer errors only say that sending failed, with the address in them.
        source: Box::new(Root::of(&error.without_url())),
    }
}

struct Body {
    arrived: Arrived,
    length: u64,
    hash: Sha256,
}

enum Arrived {
    Memory(Vec<u8>),
    Reader(Pipe),
}

impl Arrived {
    /// The file is complete and has the right hash. Returns what is in memory.
    async fn end(self) -> Vec<u8> {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Reader(pipe) => {
                pipe.end().await;
                Vec::new()
            }
        }
    }
}

impl Body {
    fn new(to: Destination<'_>, announced: u64) -> Self {
        // A server's word is not worth more memory than this before the first byte.
        let announced = usize::try_from(announced.min(16 << 20)).unwrap_or_default();
        let arrived = match to {
            Destination::Memory => Arrived::Memory(Vec::with_capacity(announced)),
            Destination::Reader(begin) => Arrived::Reader(begin()),
        };
        Self {
            arrived,
            length: 0,
            hash: Sha256::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// `Err`: the limit, when it is passed.
    async fn take(&mut self, chunk: Bytes, limit: u64) -> Result<(), u64> {
        let length = self.length + chunk.len() as u64;
        if length > limit {
            return Err(limit);
        }
        self.length = length;
        self.hash.update(&chunk);
        match &mut self.arrived {
            Arrived::Memory(bytes) => bytes.extend_from_slice(&chunk),
            Arrived::Reader(pipe) => pipe.push(chunk).await,
        }
        Ok(())
    }

    async fn finish(self, wanted: &FileRequest<'_>) -> Result<Vec<u8>, ArchiveError> {
        let Self { arrived, length, hash } = self;
        let Some(Expected { sha256, size }) = wanted.expected else {
            return Ok(arrived.end().await);
        };
        let url = address::shown(wanted.url);
        if length < size {
            return Err(ArchiveError::Truncated {
                url,
                got: length,
                expected: Some(size),
            });
        }
        let mut actual = String::with_capacity(64);
        for byte in hash.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(actual, "{byte:02x}");
        }
        if actual.eq_ignore_ascii_case(sha256) {
            return Ok(arrived.end().await);
        }
        let expected = sha256.to_owned();
        Err(ArchiveError::Mismatch { url, expected, actual })
    }
}

/// No index, release or signature begins with `<`.
fn is_web_page(start: &[u8], said_html: bool) -> bool {
    let start = start.trim_ascii_start();
    let begins = |with: &str| {
        start
            .get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    begins("<!doctype html") || begins("<html") || begins("<?xml") || (said_html && begins("<"))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty() && value.len() <= MAX_VALIDATOR).then(|| value.to_owned())
}

fn in_nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_pages_are_reported_from_indexes() {
        for (start, said_html, page) in [
            ("<!DOCTYPE HTML><title>Log in</title>", false, true),
            ("\n <html lang=en>", false, true),
            ("<?xml version='1.0'?><Error>", false, true),
            ("<meta http-equiv=refresh>", true, true),
            ("<meta http-equiv=refresh>", false, false),
            ("-----BEGIN PGP SIGNED MESSAGE-----", true, false),
            ("Package: apt", true, false),
            ("", true, false),
        ] {
            assert_eq!(is_web_page(start.as_bytes(), said_html), page, "{start}");
        }
    }
}
