//! A file that is read while it arrives.

use bytes::Bytes;
use std::io::{Read, Result};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Takes what arrives. Dropping it is the end of the file.
#[derive(Debug)]
pub struct Feed(Sender<Bytes>);

/// Reads what has arrived, and waits for more. Only on a thread that may wait.
#[derive(Debug)]
pub struct Arriving {
    chunks: Receiver<Bytes>,
    chunk: Bytes,
}

/// A file to be read while it arrives. Only the sender knows whether the end was that of the file or of the connection,
/// and whether the file is the right one. Until the sender says so, what was read is provisional.
#[must_use]
pub fn arriving() -> (Feed, Arriving) {
    // The queue has no bound of its own: the size limit of the file bounds it.
    let (sender, chunks) = channel();
    let chunk = Bytes::new();
    (Feed(sender), Arriving { chunks, chunk })
}

impl Feed {
    pub(super) fn push(&self, chunk: Bytes) {
        // A reader that found a fault takes no more; the hash of the rest tells whose fault it is.
        let _ = self.0.send(chunk);
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = chunk,
                Err(_) => return Ok(0),
            }
        }
        let read = self.chunk.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.chunk.split_to(read));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_one_file_that_ends_with_its_feed() {
        let (feed, mut arriving) = arriving();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            arriving.read_to_end(&mut all).map(|_| all)
        });
        for chunk in ["ab", "", "c"] {
            feed.push(Bytes::from_static(chunk.as_bytes()));
        }
        drop(feed);
        assert_eq!(reader.join().unwrap().unwrap(), b"abc");
    }

    #[test]
    fn a_reader_that_is_gone_holds_nobody_up() {
        let (feed, arriving) = arriving();
        drop(arriving);
        feed.push(Bytes::from_static(b"a"));
    }
}
