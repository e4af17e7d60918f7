//! Commands inside a container, and reading what they write.

use super::json::{flag, id, number};
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::{RawStream, encode};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;

/// `EX_TEMPFAIL` of sysexits.h: try again later.
const BUSY: i64 = 75;

/// Lines retained of a hook's output.
const LINES: usize = 200;

/// Bytes kept of any output; the end matters most.
const TAIL_BYTES: usize = 256 << 10;

/// The process is gone from the stream a moment before the engine writes down how it ended.
const SETTLES: Duration = Duration::from_millis(20);
const SETTLE_TRIES: u32 = 250;

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookResult {
    Passed,
    /// Exit code 75: to be tried later.
    Busy,
    Failed {
        code: i64,
        output: Vec<String>,
    },
    /// It did not end within its time. The engine has no call to end it, so it may still run.
    TimedOut {
        output: Vec<String>,
    },
}

/// Runs `command` inside the running container, as the container's user.
///
/// # Errors
/// `Conflict` when the container does not run; otherwise as the engine fails.
pub async fn run_hook(
    engine: &Engine,
    container: &str,
    command: &[String],
    timeout: Duration,
) -> Result<HookResult, EngineError> {
    run_with(engine, container, command, &[], timeout).await
}

/// As [`run_hook`], with `env` (`NAME=value`) besides the container's own.
///
/// # Errors
/// As [`run_hook`].
pub(super) async fn run_with(
    engine: &Engine,
    container: &str,
    command: &[String],
    env: &[String],
    timeout: Duration,
) -> Result<HookResult, EngineError> {
    let body = json!({"Cmd": command, "Env": env, "AttachStdout": true, "AttachStderr": true});
    let path = format!("/containers/{}/exec", encode(container));
    let exec = engine.raw_post(&path, Some(&body), timeout).await?;
    let exec = encode(id(&exec));
    let start = json!({"Detach": false, "Tty": false});
    let mut stream = engine
        .raw_stream(
            Method::POST,
            &format!("/exec/{exec}/start"),
            Some(&start),
            HeaderMap::new(),
            timeout,
        )
        .await?;
    let mut output = Tail::new(false);
    let read = async {
        while let Some(piece) = stream.next().await? {
            output.push(&piece);
        }
        Ok(())
    };
    match tokio::time::timeout(timeout, read).await {
        Ok(Ok(())) => {}
        Err(_) | Ok(Err(EngineError::Timeout { .. })) => {
            return Ok(HookResult::TimedOut {
                output: output.lines(LINES),
            });
        }
        Ok(Err(e)) => return Err(e),
    }
    for _ in 0..SETTLE_TRIES {
        let ended = engine.raw_get(&format!("/exec/{exec}/json")).await?;
        if !flag(&ended, "/Running") {
            return Ok(match number(&ended, "/ExitCode") {
                0 => HookResult::Passed,
                BUSY => HookResult::Busy,
                code => HookResult::Failed {
                    code,
                    output: output.lines(LINES),
                },
            });
        }
        tokio::time::sleep(SETTLES).await;
    }
    Ok(HookResult::TimedOut {
        output: output.lines(LINES),
    })
}

/// The last lines of a stream of output.
pub(super) async fn tail(stream: &mut RawStream, tty: bool, lines: usize) -> Result<Vec<String>, EngineError> {
    let mut output = Tail::new(tty);
    while let Some(piece) = stream.next().await? {
        output.push(&piece);
    }
    Ok(output.lines(lines))
}

/// The end of an output. Without a terminal the engine sends frames: stream, three zero bytes, length, payload (Engine
/// API, "Stream format" of container attach).
struct Tail {
    tty: bool,
    header: Vec<u8>,
    left: usize,
    bytes: VecDeque<u8>,
}

impl Tail {
    fn new(tty: bool) -> Self {
        Self {
            tty,
            header: Vec::with_capacity(8),
            left: 0,
            bytes: VecDeque::new(),
        }
    }

    fn push(&mut self, mut piece: &[u8]) {
        if self.tty {
            self.push_bytes(piece);
            return;
        }
        while !piece.is_empty() {
            if self.left == 0 {
                let (head, rest) = piece.split_at(piece.len().min(8 - self.header.len()));
                self.header.extend_from_slice(head);
                piece = rest;
                if let Some(length) = self.header.get(4..8) {
                    self.left = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                    self.header.clear();
                }
                continue;
            }
            let (payload, rest) = piece.split_at(piece.len().min(self.left));
            self.left -= payload.len();
            self.push_bytes(payload);
            piece = rest;
        }
    }

    fn push_bytes(&mut self, piece: &[u8]) {
        self.bytes.extend(piece);
        let surplus = self.bytes.len().saturating_sub(TAIL_BYTES);
        self.bytes.drain(..surplus);
    }

    fn lines(&mut self, most: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(self.bytes.make_contiguous()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(most);
        lines
            .into_iter()
            .skip(from)
            .map(|l| l.trim_end_matches('\r').to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_joined_however_they_are_cut() {
        let frame = |stream: u8, text: &str| {
            let mut out = vec![stream, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).unwrap()];
            out.extend_from_slice(text.as_bytes());
            out
        };
        let bytes = [frame(1, "one\ntw"), frame(2, ""), frame(2, "o\r\nthree\n")].concat();
        for size in 1..bytes.len() {
            let mut tail = Tail::new(false);
            bytes.chunks(size).for_each(|piece| tail.push(piece));
            assert_eq!(tail.lines(9), ["one", "two", "three"], "pieces of {size}");
            assert_eq!(tail.lines(1), ["three"]);
        }
    }

    #[test]
    fn a_flood_retains_its_end() {
        let mut tail = Tail::new(true);
        for n in 0..100_000 {
            tail.push(format!("line {n}\n").as_bytes());
        }
        assert!(tail.bytes.len() <= TAIL_BYTES);
        assert_eq!(tail.lines(1), ["line 99999"]);
    }
}
