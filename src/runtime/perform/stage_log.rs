//! The log of a stage: a capped file that only its owner reads, the listener, and the last lines for a failure.

use super::environment::TestEnvironment;
use super::hidden::Hidden;
use crate::clients::engine::logs::Tail;
use lowtide_model::failure::Failure;
use lowtide_model::hide::Hider;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) struct StageLog<'a> {
    hidden: &'a Hidden,
    hider: Hider,
    file: Option<File>,
    /// Bytes the file may still take.
    room: u64,
    open: Vec<u8>,
    tail: Tail,
    say: &'a (dyn Fn(&str) + Send + Sync),
}

/// A line without an end is passed on in pieces of this many bytes.
const PIECE: usize = 8 << 10;

impl<'a> StageLog<'a> {
    pub(super) fn open(environment: &TestEnvironment<'a>, name: &str) -> Result<Self, Failure> {
        let file = private_file(&environment.work.join(name)).map_err(|e| disk(name, &e))?;
        Ok(Self {
            hidden: environment.hidden,
            hider: Hider::default(),
            file: Some(file),
            room: environment.limits().output,
            open: Vec::new(),
            tail: Tail::new(Failure::EXCERPT_LINES),
            say: environment.say,
        })
    }

    /// A line of our own, between those of the containers.
    pub(super) fn note(&mut self, line: &str) {
        self.end_line();
        self.write(format!("--- {line}\n").as_bytes());
    }

    /// Writes a container's output. Secrets are masked even where the output is cut in the middle of one.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let mut hider = std::mem::take(&mut self.hider);
        hider.feed(bytes, &self.hidden.secrets(), &mut |piece| self.put(piece));
        self.hider = hider;
    }

    /// Writes what the masking held back: no more output belongs to it.
    fn release(&mut self) {
        let mut hider = std::mem::take(&mut self.hider);
        hider.end(&self.hidden.secrets(), &mut |piece| self.put(piece));
    }

    fn put(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
        self.save(bytes);
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            self.open.extend_from_slice(part);
            if part.ends_with(b"\n") || self.open.len() >= PIECE {
                self.report_line();
            }
        }
    }

    pub(super) fn tail(&self) -> Vec<String> {
        let (mut hider, mut tail) = (self.hider.clone(), self.tail.clone());
        hider.end(&self.hidden.secrets(), &mut |piece| tail.push(piece));
        tail.lines()
    }

    fn end_line(&mut self) {
        self.release();
        if !self.open.is_empty() {
            self.write(b"\n");
        }
    }

    fn report_line(&mut self) {
        (self.say)(String::from_utf8_lossy(&self.open).trim_end_matches(['\n', '\r']));
        self.open.clear();
    }

    /// A full disk must not fail a test: the file just ends, and the log says so once.
    fn save(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let take = usize::try_from(self.room).map_or(bytes.len(), |room| room.min(bytes.len()));
        let mut written = file.write_all(&bytes[..take]);
        self.room -= take as u64;
        if written.is_ok() && take < bytes.len() {
            written = file.write_all(b"\n--- the rest is cut: output limit\n");
            self.file = None;
        }
        if let Err(error) = written {
            tracing::warn!(%error, "the log of the test cannot be written");
            self.file = None;
        }
    }
}

impl Drop for StageLog<'_> {
    fn drop(&mut self) {
        self.release();
        if !self.open.is_empty() {
            self.report_line();
        }
    }
}

/// Creates (or empties) a file that only its owner may read: test output can hold secrets.
pub(super) fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn disk(name: &str, error: &std::io::Error) -> Failure {
    Failure::local(format_args!("{name} cannot be written"), error)
}
