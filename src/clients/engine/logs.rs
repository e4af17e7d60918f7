//! A container's own output.

use super::connect::{Engine, TIMEOUT_S};
use super::error::EngineError;
use jiff::Timestamp;
use lowtide_model::hide::Hider;
use lowtide_model::secret::Secret;
use std::collections::VecDeque;
use std::time::Duration;

/// How following a log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowEnd {
    /// The container does not run any more.
    Ended,
    /// It wrote more than allowed.
    Flooded,
    /// The reader has seen enough.
    Enough,
}

/// How to go on when the engine ends the stream of a container that still runs. Docker does so when a log with a single
/// file (`max-file=1`, the default once `max-size` is set) is truncated under its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With what is written from then on: nothing comes twice, lines in between are lost.
    AtEnd,
    /// From where reading began: no line of the log is lost, some come twice.
    FromStart,
}

/// Pause before a broken stream is opened again.
const RESUME_PAUSE: Duration = Duration::from_millis(250);

/// Characters retained of one line in a tail: more than that is no line for a person.
const LINE: usize = 2_000;
/// Bytes read for a tail.
const TAIL_BYTES: usize = 4 << 20;

impl Engine {
    /// The last `lines` lines of a container's output, both streams as they came, without `secrets`.
    ///
    /// # Errors
    /// `NotFound` when the container is gone.
    pub async fn log_tail(&self, id: &str, lines: usize, secrets: &[Secret]) -> Result<Vec<String>, EngineError> {
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail={lines}");
        let mut tail = Tail::new(lines);
        // Before lines are cut to their length: half a secret is found no more.
        let mut hider = Hider::default();
        self.read_log(id, &path, TAIL_BYTES as u64, &mut |bytes| {
            hider.feed(bytes, secrets, &mut |piece| tail.push(piece));
            true
        })
        .await?;
        hider.end(secrets, &mut |piece| tail.push(piece));
        Ok(tail.lines())
    }

    /// Hands the output to `sink` as it comes, from `since` (or the beginning) until the container stops, more than `max`
    /// bytes were seen, or `sink` says `false`. Has no time limit of its own: drop it.
    ///
    /// # Errors
    /// `NotFound` when the container is gone.
    pub async fn follow_log(
        &self,
        id: &str,
        since: Option<Timestamp>,
        max: u64,
        resume: Resume,
        sink: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<FollowEnd, EngineError> {
        let since = since
            .map(|t| format!("&since={}.{:09}", t.as_second(), t.subsec_nanosecond()))
            .unwrap_or_default();
        let mut path = format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1{since}");
        let mut count = 0u64;
        loop {
            let end = self
                .read_log(id, &path, max.saturating_sub(count), &mut |bytes| {
                    count = count.saturating_add(bytes.len() as u64);
                    sink(bytes)
                })
                .await?;
            match end {
                FollowEnd::Ended if self.look(id).await?.ended() => return Ok(end),
                FollowEnd::Ended => tokio::time::sleep(RESUME_PAUSE).await,
                FollowEnd::Flooded | FollowEnd::Enough => return Ok(end),
            }
            // A line that was cut off there ends there: what comes next may be another one.
            if !sink(b"\n") {
                return Ok(FollowEnd::Enough);
            }
            if resume == Resume::AtEnd {
                path = format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1&tail=0");
            }
        }
    }

    async fn read_log(
        &self,
        id: &str,
        path: &str,
        max: u64,
        sink: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<FollowEnd, EngineError> {
        let unreachable = |e: reqwest::Error| EngineError::Unreachable {
            address: self.address(),
            source: Box::new(e),
        };
        let mut demux = Demux::new(self.look(id).await?.tty);
        let sent = self.http.get(format!("http://engine{path}")).send();
        let mut response = tokio::time::timeout(Duration::from_secs(TIMEOUT_S), sent)
            .await
            .map_err(|_| EngineError::Timeout {
                what: "logs".to_owned(),
                seconds: TIMEOUT_S,
            })?
            .map_err(unreachable)?;
        let status = response.status().as_u16();
        if status == 404 {
            return Err(EngineError::NotFound {
                what: format!("container {}", super::container::short(id)),
            });
        }
        if status != 200 {
            return Err(EngineError::Refused {
                status,
                message: "no logs".to_owned(),
            });
        }
        let mut count = 0u64;
        let mut more = true;
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            demux.feed(&chunk, &mut |bytes| {
                count = count.saturating_add(bytes.len() as u64);
                more = more && count <= max && sink(bytes);
            });
            if count > max {
                return Ok(FollowEnd::Flooded);
            }
            if !more {
                return Ok(FollowEnd::Enough);
            }
            // During a flood the next chunk is always there. Without a break, tokio would let this loop read 128 chunks before anything
            // else in the same task runs, such as the check of the output limit beside a readiness rule that reads the log as well.
            tokio::task::yield_now().await;
        }
        Ok(FollowEnd::Ended)
    }
}

/// Takes the engine's stream headers off (API reference, "Attach to a container", stream format): one byte of stream
/// type, three of zero, four of length, big-endian. With a terminal there are none.
struct Demux {
    tty: bool,
    header: Vec<u8>,
    left: usize,
}

impl Demux {
    fn new(tty: bool) -> Self {
        Self {
            tty,
            header: Vec::with_capacity(8),
            left: 0,
        }
    }

    fn feed(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if self.tty {
            sink(bytes);
            return;
        }
        while !bytes.is_empty() {
            if self.left > 0 {
                let take = self.left.min(bytes.len());
                sink(&bytes[..take]);
                self.left -= take;
                bytes = &bytes[take..];
                continue;
            }
            let take = (8 - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if let [_, _, _, _, a, b, c, d] = self.header[..] {
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.header.clear();
            }
        }
    }
}

/// The last lines of a byte stream, within bounds.
#[derive(Debug, Clone)]
pub struct Tail {
    max_lines: usize,
    lines: VecDeque<String>,
    open: Vec<u8>,
}

impl Tail {
    #[must_use]
    pub fn new(max_lines: usize) -> Self {
        Self {
            max_lines,
            lines: VecDeque::new(),
            open: Vec::new(),
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            // Four bytes per character is the most UTF-8 has.
            let room = (LINE * 4).saturating_sub(self.open.len());
            self.open.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.close();
            }
        }
    }

    /// All that is retained, an unfinished last line included.
    #[must_use]
    pub fn lines(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.close();
        }
        self.lines.into()
    }

    fn close(&mut self) {
        let text = String::from_utf8_lossy(&self.open);
        self.lines
            .push_back(text.trim_end_matches(['\n', '\r']).chars().take(LINE).collect());
        self.open.clear();
        if self.lines.len() > self.max_lines {
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_chunking(
            frames in prop::collection::vec((1u8..=2, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cut in 1usize..17,
        ) {
            let mut wire = Vec::new();
            for (kind, body) in &frames {
                wire.extend_from_slice(&[*kind, 0, 0, 0]);
                wire.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
                wire.extend_from_slice(body);
            }
            let mut demux = Demux::new(false);
            let mut out = Vec::new();
            for chunk in wire.chunks(cut) {
                demux.feed(chunk, &mut |b| out.extend_from_slice(b));
            }
            prop_assert_eq!(out, frames.into_iter().flat_map(|f| f.1).collect::<Vec<_>>());
        }

        #[test]
        fn a_tail_is_bounded(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..20)) {
            let mut tail = Tail::new(3);
            for chunk in &chunks {
                tail.push(chunk);
            }
            let lines = tail.lines();
            prop_assert!(lines.len() <= 3);
            prop_assert!(lines.iter().all(|l| l.chars().count() <= LINE));
        }
    }

    #[test]
    fn the_end_is_retained() {
        let mut tail = Tail::new(2);
        tail.push(b"a\nb\r\nc");
        tail.push(b"d");
        assert_eq!(tail.lines(), ["b", "cd"]);
    }
}
