//! Bytes that arrive from outside, for a reader that blocks.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::io::{self, Read};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces on their way to the reader; enough that neither side waits for every one.
const AHEAD: usize = 16;

/// What came of a reading.
#[derive(Debug)]
pub(super) struct StreamRead<T> {
    pub(super) read: T,
    /// The reader saw the end of the stream.
    pub(super) whole: bool,
}

/// Why the reader's result is discarded: its bytes did not all arrive, or the reader panicked.
#[derive(Debug)]
pub(super) enum Broken {
    Source(io::Error),
    Silent(Duration),
    /// The reader itself.
    Panicked(tokio::task::JoinError),
}

/// Hands a stream to `read`, which runs on a thread where it may block. `silence` is the longest time for one piece. If
/// this future is dropped, the reader's next read fails.
pub(super) async fn read_blocking<T: Send + 'static>(
    chunks: impl Stream<Item = io::Result<Bytes>>,
    silence: Duration,
    read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
) -> Result<StreamRead<T>, Broken> {
    let (pipe, mut pieces) = pipe();
    let mut reading = tokio::task::spawn_blocking(move || {
        let read = read(&mut pieces);
        let whole = pieces.ended;
        StreamRead { read, whole }
    });
    let forward = forward(chunks, silence, pipe);
    let broken = tokio::select! {
        // A reader may finish before the stream ends; the rest is not waited for.
        done = &mut reading => return done.map_err(Broken::Panicked),
        broken = forward => broken,
    };
    let fed = reading.await.map_err(Broken::Panicked)?;
    broken.map_or(Ok(fed), Err)
}

async fn forward(chunks: impl Stream<Item = io::Result<Bytes>>, silence: Duration, pipe: Pipe) -> Option<Broken> {
    let mut chunks = pin!(chunks);
    loop {
        let (piece, broken) = match tokio::time::timeout(silence, chunks.next()).await {
            Ok(Some(Ok(bytes))) => (Piece::Bytes(bytes), None),
            Ok(None) => (Piece::End, None),
            Ok(Some(Err(error))) => (Piece::Broken, Some(Broken::Source(error))),
            Err(_) => (Piece::Broken, Some(Broken::Silent(silence))),
        };
        let last = !matches!(piece, Piece::Bytes(_));
        if pipe.0.send(piece).await.is_err() || last {
            return broken;
        }
    }
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
    Broken,
}

/// The writing end of a pipe to a blocking reader. If it is dropped before [`Pipe::end`], the reader's next read fails.
#[derive(Debug)]
pub struct Pipe(mpsc::Sender<Piece>);

/// The reading end. Reading blocks until a piece has arrived, so it belongs on a thread that may block.
#[derive(Debug)]
pub struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    piece: Bytes,
    ended: bool,
}

#[must_use]
pub fn pipe() -> (Pipe, Pieces) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let pieces = Pieces {
        receiver,
        piece: Bytes::new(),
        ended: false,
    };
    (Pipe(sender), pieces)
}

impl Pipe {
    /// Waits while the reader is behind. A reader that is gone takes nothing, which is no error: it has its own result.
    pub(super) async fn push(&self, bytes: Bytes) {
        let _ = self.0.send(Piece::Bytes(bytes)).await;
    }

    /// The reader has everything.
    pub(super) async fn end(self) {
        let _ = self.0.send(Piece::End).await;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended && !buffer.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.piece = bytes,
                Some(Piece::End) => self.ended = true,
                Some(Piece::Broken) | None => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        let n = buffer.len().min(self.piece.len());
        buffer[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn all(source: &mut dyn Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).map(|_| bytes)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn all_of_it_arrives() {
        let pieces = (0..100u8).map(|n| Ok(Bytes::from(vec![n; usize::from(n)])));
        let fed = read_blocking(stream::iter(pieces), LONG, all).await.unwrap();
        let expected: Vec<u8> = (0..100u8).flat_map(|n| vec![n; usize::from(n)]).collect();
        assert!(fed.whole && fed.read.unwrap() == expected);
    }

    #[tokio::test]
    async fn a_reader_may_stop_early() {
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(b"abc")));
        let read = |source: &mut dyn Read| {
            let mut two = [0; 2];
            source.read_exact(&mut two).map(|()| two)
        };
        let fed = read_blocking(endless, LONG, read).await.unwrap();
        assert!(!fed.whole && fed.read.unwrap() == *b"ab");
        // Also when nothing more comes.
        let silent = stream::iter([Ok(Bytes::from_static(b"abc"))]).chain(stream::pending());
        assert!(!read_blocking(silent, LONG, read).await.unwrap().whole);
    }

    #[tokio::test]
    async fn a_pipe_ends_only_when_its_writer_says_so() {
        for ends in [true, false] {
            let (pipe, mut pieces) = pipe();
            let reading = tokio::task::spawn_blocking(move || all(&mut pieces));
            pipe.push(Bytes::from_static(b"ab")).await;
            if ends {
                pipe.end().await;
            } else {
                drop(pipe);
            }
            assert_eq!(reading.await.unwrap().ok(), ends.then(|| b"ab".to_vec()));
        }
        // A dropped reader does not block the writer.
        let (pipe, pieces) = pipe();
        drop(pieces);
        for _ in 0..=AHEAD {
            pipe.push(Bytes::from_static(b"a")).await;
        }
        pipe.end().await;
    }

    #[tokio::test]
    async fn what_breaks_off_is_no_end() {
        let broken = stream::iter([Ok(Bytes::from_static(b"abc")), Err(io::Error::other("cut"))]);
        let Err(Broken::Source(error)) = read_blocking(broken, LONG, all).await else {
            panic!()
        };
        assert_eq!(error.to_string(), "cut");
        let silent = stream::iter([Ok(Bytes::from_static(b"abc"))]).chain(stream::pending());
        let short = Duration::from_millis(10);
        assert!(matches!(read_blocking(silent, short, all).await, Err(Broken::Silent(limit)) if limit == short));
        let panics = |_: &mut dyn Read| panic!("reader");
        assert!(matches!(
            read_blocking(stream::empty(), LONG, panics).await,
            Err(Broken::Panicked(_))
        ));
    }
}
