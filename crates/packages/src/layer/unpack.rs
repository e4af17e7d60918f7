//! Layers come plain, gzipped or as zstd. Their first bytes say which (RFC 1952 §2.3.1, RFC 8878 §3.1.1): media
//! types are many, and some registries' are wrong.

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// Read at a time.
const BUFFER: usize = 256 << 10;
/// Of zstd: the memory an archive may require. Builders' best levels use 32 MiB; only `--long` needs more.
const WINDOW: u64 = 64 << 20;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// `0x184D2A50` to `…5F`, little endian: frames that carry no content. Seekable layers may begin with one.
const SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

/// The plain bytes of `source`.
///
/// # Errors
/// As `source` fails. Damage shows as an error of the reader.
pub fn unpacked<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut first = Vec::with_capacity(ZSTD.len());
    source.by_ref().take(ZSTD.len() as u64).read_to_end(&mut first)?;
    let (gzip, zstd) = (first.starts_with(GZIP), is_zstd(&first));
    let whole = Cursor::new(first).chain(source);
    Ok(if gzip {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole)))
    } else if zstd {
        Box::new(Zstd::new(BufReader::with_capacity(BUFFER, whole)))
    } else {
        Box::new(whole)
    })
}

/// Do bytes with this beginning have to be unpacked?
pub(super) fn is_packed(first: &[u8]) -> bool {
    first.starts_with(GZIP) || is_zstd(first.get(..ZSTD.len()).unwrap_or_default())
}

fn is_zstd(first: &[u8]) -> bool {
    first == ZSTD || (first.len() == 4 && first[0] & 0xf0 == 0x50 && &first[1..] == SKIPPABLE)
}

/// Frames one after the other, as RFC 8878 §3 has them.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { source, decoder }
    }

    /// `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if self.decoder.is_finished() {
                if !self.next_frame()? {
                    return Ok(0);
                }
            } else {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
        }
        self.decoder.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn plain(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        unpacked(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn frames_and_members_may_be_many() {
        let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        for parts in [
            vec![gzip(b"one "), gzip(b"two")],
            vec![zstd(b"one "), zstd(b"two")],
            vec![skipped.clone(), zstd(b"one "), skipped.clone(), zstd(b"two"), skipped],
        ] {
            assert_eq!(plain(&parts.concat()).unwrap(), b"one two");
        }
        assert_eq!(plain(b"").unwrap(), b"");
        assert_eq!(plain(&[0x1f]).unwrap(), [0x1f]);
    }

    #[test]
    fn a_window_larger_than_memory_allows_is_refused() {
        // RFC 8878 §3.1.1.1.2: descriptor 0x88 is 2^27 bytes.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
        let error = plain(&frame).unwrap_err();
        assert!(error.to_string().contains("indow"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn what_was_packed_comes_back(bytes in proptest::collection::vec(0u8..4, 0..5000)) {
            proptest::prop_assert_eq!(&plain(&gzip(&bytes)).unwrap(), &bytes);
            proptest::prop_assert_eq!(&plain(&zstd(&bytes)).unwrap(), &bytes);
        }

        #[test]
        fn a_cut_stream_is_an_error(cut in 0usize..100) {
            for whole in [gzip(&[7; 3000]), zstd(b"many words, many words, many other words, and again many")] {
                let cut = 5 + cut % (whole.len() - 5);
                proptest::prop_assert!(plain(&whole[..cut]).is_err(), "cut at {}", cut);
            }
        }

        #[test]
        fn damage_never_panics(at in 4usize..60, byte: u8) {
            for mut whole in [gzip(&[7; 3000]), zstd(b"many words, many words, many other words, and again many")] {
                let at = at % whole.len();
                whole[at] = byte;
                let _ = plain(&whole);
            }
        }
    }
}
