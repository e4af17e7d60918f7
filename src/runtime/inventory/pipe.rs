//! Unpacking on one thread, reading on another: both take about as long.

use lowtide_packages::layer::error::LayerError;
use lowtide_packages::layer::unpack::unpacked;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes that go from one thread to the other at a time, and how many such pieces there are.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

/// Hands the plain bytes of `source` to `read`, on a thread of its own.
///
/// # Errors
/// `read`'s.
pub(super) fn unpacking<T: Send>(
    source: &mut dyn Read,
    read: impl FnOnce(&mut dyn Read) -> Result<T, LayerError> + Send,
) -> Result<T, LayerError> {
    let (sender, receiver) = sync_channel(PIECES);
    let (returned, empty) = sync_channel(PIECES + 2);
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            read(&mut Pieces {
                receiver,
                returned,
                piece: Vec::new(),
                at: 0,
            })
        });
        match unpacked(source) {
            Ok(plain) => send(plain, &sender, &empty),
            // If the reader is gone, it has returned its own error already.
            Err(error) => drop(sender.send(Err(error))),
        }
        drop(sender);
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

type Piece = io::Result<Vec<u8>>;

/// Sends an empty piece at the end: without one, the reader reports a broken pipe.
fn send(mut plain: impl Read, sender: &SyncSender<Piece>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.clear();
        piece.reserve(PIECE);
        let read = plain.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        let last = read.as_ref().map_or(true, |n| *n == 0);
        if sender.send(read.map(|_| piece)).is_err() || last {
            return;
        }
    }
}

struct Pieces {
    receiver: Receiver<Piece>,
    returned: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !buffer.is_empty() {
            let next = self
                .receiver
                .recv()
                .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
            let used = std::mem::replace(&mut self.piece, next);
            self.at = 0;
            // Fails once everything is unpacked: then no buffer is needed any more.
            let _ = self.returned.try_send(used);
        }
        let n = (&self.piece[self.at..]).read(buffer)?;
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn all(source: &mut dyn Read) -> Result<Vec<u8>, LayerError> {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).map_err(LayerError::Read)?;
        Ok(bytes)
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn all_pieces_arrive_in_order() {
        let bytes: Vec<u8> = (0..3_000_000u32).flat_map(|n| n.to_le_bytes()[..1].to_vec()).collect();
        assert!(unpacking(&mut packed(&bytes).as_slice(), all).unwrap() == bytes);
        assert!(unpacking(&mut bytes.as_slice(), all).unwrap() == bytes);
        assert!(unpacking(&mut [].as_slice(), all).unwrap().is_empty());
    }

    #[test]
    fn damage_is_no_end() {
        let whole = packed(&[7; 3_000_000]);
        let error = unpacking(&mut &whole[..whole.len() / 2], all).unwrap_err();
        assert!(matches!(error, LayerError::Read(_)), "{error}");
    }

    #[test]
    fn a_reader_may_stop_early() {
        let refuse = |source: &mut dyn Read| {
            source.read_exact(&mut [0; 3]).map_err(LayerError::Read)?;
            Err::<(), _>(LayerError::Truncated)
        };
        let error = unpacking(&mut packed(&[7; 9_000_000]).as_slice(), refuse).unwrap_err();
        assert!(matches!(error, LayerError::Truncated), "{error}");
    }
}
