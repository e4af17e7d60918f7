//! Unpacking an index while it is read: nothing of it is on disk, and no more of it in memory than its reader retains.

use super::address;
use super::error::ArchiveError;
use std::io::{BufReader, Chain, Cursor, Error, ErrorKind, Read, Result};

/// xz's largest preset needs 65 MiB; a dictionary beyond this is there to fill our memory.
const XZ_MEMORY_KIB: u32 = 128 << 10;
/// zstd --ultra --long=27, the largest window that zstd itself unpacks without being told to.
const ZSTD_WINDOW: u64 = 128 << 20;
const CHUNK: usize = 64 << 10;

/// How an index is packed, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Zstd,
    Gzip,
    Xz,
    Plain,
}

impl Packing {
    /// Best first: what unpacks fastest is worth more than the fifth that xz saves on the way, since an index is
    /// fetched once for the whole fleet and only when it changed.
    pub const ALL: [Packing; 4] = [Packing::Zstd, Packing::Gzip, Packing::Xz, Packing::Plain];

    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Packing::Zstd => ".zst",
            Packing::Gzip => ".gz",
            Packing::Xz => ".xz",
            Packing::Plain => "",
        }
    }
}

/// The unpacked content of `packed`, which may still be arriving. A read fails once there is more than `limit` bytes, or when the packing is
/// damaged; [`Unpacked::fault`] then tells which.
#[must_use]
pub fn unpack<'a>(packed: impl Read + 'a, packing: Packing, limit: u64) -> BufReader<Unpacked<'a>> {
    let packed = BufReader::with_capacity(CHUNK, packed);
    let source: Box<dyn Read + 'a> = match packing {
        Packing::Plain => Box::new(packed),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB)),
        Packing::Zstd => Box::new(Frames::of(packed)),
    };
    let unpacked = Unpacked {
        source,
        left: limit,
        limit,
        fault: None,
    };
    BufReader::with_capacity(CHUNK, unpacked)
}

pub struct Unpacked<'a> {
    source: Box<dyn Read + 'a>,
    left: u64,
    limit: u64,
    fault: Option<Fault>,
}

enum Fault {
    Inflated,
    Damaged(String),
}

impl Unpacked<'_> {
    /// Why reading failed, if it did.
    #[must_use]
    pub fn fault(&self, url: &str) -> Option<ArchiveError> {
        let url = address::shown(url);
        Some(match self.fault.as_ref()? {
            Fault::Inflated => ArchiveError::Inflated { url, limit: self.limit },
            Fault::Damaged(why) => ArchiveError::Damaged { url, why: why.clone() },
        })
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = loop {
            match self.source.read(buffer) {
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fault = Some(Fault::Damaged(error.to_string()));
                    return Err(error);
                }
            }
        };
        let Some(left) = self.left.checked_sub(read as u64) else {
            self.fault = Some(Fault::Inflated);
            return Err(Error::from(ErrorKind::FileTooLarge));
        };
        self.left = left;
        Ok(read)
    }
}

/// A zstd file may be several frames one after the other, some of them to be skipped (RFC 8878 §3.1).
struct Frames<R: Read> {
    /// `None`: a frame reads it.
    between: Option<Head<R>>,
    current: Option<Frame<R>>,
}

type Frame<R> = ruzstd::decoding::StreamingDecoder<Head<R>, ruzstd::decoding::FrameDecoder>;
/// What was looked at to tell a frame from one to be skipped, and what follows.
type Head<R> = Chain<Cursor<Vec<u8>>, R>;

impl<R: Read> Frames<R> {
    fn of(packed: R) -> Self {
        Self {
            between: Some(Cursor::new(Vec::new()).chain(packed)),
            current: None,
        }
    }

    /// The next frame; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Frame<R>>> {
        let Some(mut packed) = self.between.take() else {
            return Ok(None);
        };
        loop {
            let mut head = Vec::new();
            packed.by_ref().take(HEAD).read_to_end(&mut head)?;
            if head.is_empty() {
                self.between = Some(packed);
                return Ok(None);
            }
            let Some(size) = skippable(&head) else {
                let (_, rest) = packed.into_inner();
                let whole = Cursor::new(head).chain(rest);
                return Frame::new_with_max_window_size(whole, ZSTD_WINDOW)
                    .map(Some)
                    .map_err(Error::other);
            };
            let skipped = std::io::copy(&mut packed.by_ref().take(size), &mut std::io::sink())?;
            if skipped < size {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            if let Some(frame) = &mut self.current {
                let read = frame.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.between = self.current.take().map(Frame::into_inner);
            }
            match self.next()? {
                Some(frame) => self.current = Some(frame),
                None => return Ok(0),
            }
        }
    }
}

/// Magic number and size of a frame to be skipped.
const HEAD: u64 = 8;

/// How many bytes follow the head, if they are to be skipped.
fn skippable(head: &[u8]) -> Option<u64> {
    let (magic, size) = head.split_first_chunk::<4>()?;
    let magic = u32::from_le_bytes(*magic);
    if !(0x184d_2a50..=0x184d_2a5f).contains(&magic) {
        return None;
    }
    Some(u64::from(u32::from_le_bytes(*size.first_chunk()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// `bytes` packed by the real tool.
    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        let tool = match packing {
            Packing::Plain => return bytes.to_vec(),
            Packing::Gzip => "gzip",
            Packing::Xz => "xz",
            Packing::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                return ruzstd::encoding::compress_to_vec(bytes, level);
            }
        };
        let mut child = Command::new(tool)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&bytes));
        let out = child.wait_with_output().unwrap().stdout;
        writer.join().unwrap().unwrap();
        out
    }

    fn read(packed: &[u8], packing: Packing, limit: u64) -> std::result::Result<Vec<u8>, String> {
        let mut reader = unpack(packed, packing, limit);
        let mut out = Vec::new();
        match reader.read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(_) => Err(reader.get_ref().fault("http://deb.example.org/P").unwrap().to_string()),
        }
    }

    #[test]
    fn every_packing_is_unpacked_within_its_limit() {
        let text = "Package: a\nVersion: 1\n\n".repeat(20_000).into_bytes();
        let size = text.len() as u64;
        for packing in Packing::ALL {
            let file = packed(packing, &text);
            assert!(read(&file, packing, size).as_ref() == Ok(&text), "{packing:?}");
            // Two files one after the other are one, as for the tools.
            let twice = [file.clone(), file.clone()].concat();
            assert_eq!(
                read(&twice, packing, 2 * size).map(|t| t.len()),
                Ok(2 * text.len()),
                "{packing:?}"
            );
            insta::allow_duplicates! {
                let said = read(&file, packing, size - 1).unwrap_err();
                insta::assert_snapshot!(said.replace(&(size - 1).to_string(), "LIMIT"), @"http://deb.example.org/P unpacks to more than LIMIT bytes");
            }
        }
    }

    #[test]
    fn damage_is_never_the_end_of_the_file() {
        let text = "Package: a\nVersion: 1\n\n".repeat(2_000).into_bytes();
        for packing in [Packing::Gzip, Packing::Xz, Packing::Zstd] {
            let file = packed(packing, &text);
            for cut in [1, 8, file.len() / 2, file.len() - 1] {
                let said = read(&file[..cut], packing, 1 << 20);
                assert!(
                    said.as_ref().is_err_and(|e| e.contains("cannot be unpacked")),
                    "{packing:?} cut at {cut}"
                );
            }
            assert!(read(b"<html>Log in</html>", packing, 1 << 20).is_err(), "{packing:?}");
        }
    }
}
