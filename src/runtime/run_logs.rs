//! The saved logs of a run, read for people: found by name, in parts of bounded size, fit to print. Secrets were masked
//! when they were written (`perform::stage_log`, `perform::build`).

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use lowtide_core::report::clean;
use lowtide_core::report::quantity;
use lowtide_model::name::RunId;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes of a log that are served; of a longer one its end.
pub const SERVED: u64 = 4 << 20;
/// Bytes and lines of a log's end on a page.
const TAIL: u64 = 64 << 10;
const LINES: usize = 200;
/// Bytes that are read at a time.
const PIECE: usize = 32 << 10;
/// Bytes of a line: a longer one is passed on in parts.
const LONGEST: usize = 256 << 10;
/// Rounds whose logs are looked for.
const ROUNDS: u16 = 100;

/// What wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Build,
    Bootstrap,
    Test,
    /// The image started as it ships.
    Production,
}

impl Writer {
    const ALL: [Writer; 4] = [Writer::Build, Writer::Bootstrap, Writer::Test, Writer::Production];

    fn word(self) -> &'static str {
        match self {
            Writer::Build => "build",
            Writer::Bootstrap => "bootstrap",
            Writer::Test => "test",
            Writer::Production => "production",
        }
    }
}

/// One of a run's logs: `build`, `test`, and `test-2` of the second round of tests. Nothing else can be named, so a name
/// from outside leads to no other file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogName {
    writer: Writer,
    /// From 1.
    round: u16,
}

/// No log has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchLog;

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.writer.word())?;
        match self.round {
            1 => Ok(()),
            round => write!(f, "-{round}"),
        }
    }
}

impl FromStr for LogName {
    type Err = NoSuchLog;

    fn from_str(text: &str) -> Result<Self, NoSuchLog> {
        let rounds = || (1..=ROUNDS).flat_map(|round| Writer::ALL.map(|writer| LogName { writer, round }));
        rounds().find(|name| name.to_string() == text).ok_or(NoSuchLog)
    }
}

impl LogName {
    fn path(self, state: &Path, run: RunId) -> PathBuf {
        let mut path = state.join("runs").join(run.to_string());
        if self.round > 1 {
            path.push(format!("round-{}", self.round));
        }
        path.join(format!("{}.log", self.writer.word()))
    }
}

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    pub name: LogName,
    /// Bytes of the whole log.
    pub size: u64,
    pub lines: Vec<String>,
    /// There is more before these lines.
    pub cut: bool,
}

/// The ends of a run's logs, those that housekeeping has not taken yet. It blocks.
#[must_use]
pub fn tails(state: &Path, run: RunId) -> Vec<Tail> {
    let mut found = Vec::new();
    for round in 1..=ROUNDS {
        let before = found.len();
        for writer in Writer::ALL {
            let name = LogName { writer, round };
            // A log that cannot be read has nothing to show.
            found.extend(tail(name, &name.path(state, run)).ok().flatten());
        }
        if round > 1 && found.len() == before {
            break;
        }
    }
    found
}

fn tail(name: LogName, path: &Path) -> io::Result<Option<Tail>> {
    let Some(mut file) = opened(path)? else {
        return Ok(None);
    };
    let size = file.metadata()?.len();
    let from = size.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may be cut.
    let whole = text.lines().skip(usize::from(from > 0));
    let lines: Vec<String> = whole.map(clean::log_line).collect();
    let earlier = lines.len().saturating_sub(LINES);
    Ok(Some(Tail {
        name,
        size,
        cut: from > 0 || earlier > 0,
        lines: lines.into_iter().skip(earlier).collect(),
    }))
}

/// `None`: it is not there. A link is not followed.
fn opened(path: &Path) -> io::Result<Option<std::fs::File>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => std::fs::File::open(path).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A log as text, piece by piece: no more than one piece is in memory. Of one that is longer than [`SERVED`] the end, after
/// a line that says so. `None`: there is none.
///
/// # Errors
/// As the file system refuses.
pub async fn whole(
    state: &Path,
    run: RunId,
    name: LogName,
) -> io::Result<Option<impl Stream<Item = io::Result<Bytes>> + Send + 'static>> {
    let Some(file) = opened(&name.path(state, run))? else {
        return Ok(None);
    };
    let size = file.metadata()?.len();
    let from = size.saturating_sub(SERVED);
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(from)).await?;
    let reading = Reading {
        // What is written from now on is in the next answer.
        file: file.take(size - from),
        rest: Vec::new(),
        note: (from > 0).then(|| left_out(from)),
        skip: from > 0,
    };
    Ok(Some(stream::try_unfold(reading, Reading::next)))
}

fn left_out(bytes: u64) -> String {
    format!(
        "--- the first {} are left out here; the run's directory has all of it\n",
        quantity::bytes(bytes)
    )
}

struct Reading {
    file: tokio::io::Take<tokio::fs::File>,
    /// The begin of a line whose end was not read yet.
    rest: Vec<u8>,
    note: Option<String>,
    /// Up to the first line break: a line that is cut.
    skip: bool,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if let Some(note) = self.note.take() {
            return Ok(Some((Bytes::from(note), self)));
        }
        loop {
            let mut piece = vec![0; PIECE];
            let read = self.file.read(&mut piece).await?;
            self.rest.extend_from_slice(&piece[..read]);
            if read == 0 && self.rest.is_empty() {
                return Ok(None);
            }
            let end = match self.rest.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => at + 1,
                None if read == 0 || self.rest.len() >= LONGEST => self.rest.len(),
                None => continue,
            };
            let rest = self.rest.split_off(end);
            let whole = std::mem::replace(&mut self.rest, rest);
            let begin = if std::mem::take(&mut self.skip) {
                whole.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1)
            } else {
                0
            };
            return Ok(Some((Bytes::from(printable(&whole[begin..])), self)));
        }
    }
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive('\n').map(|line| {
        let end = if line.ends_with('\n') { "\n" } else { "" };
        clean::whole_line(line) + end
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt as _;

    fn run() -> RunId {
        RunId(ulid::Ulid(7))
    }

    fn name(text: &str) -> LogName {
        text.parse().unwrap()
    }

    fn save(state: &Path, log: &str, bytes: &[u8]) {
        let path = name(log).path(state, run());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    async fn served(state: &Path, log: &str) -> String {
        let pieces: Vec<Bytes> = whole(state, run(), name(log))
            .await
            .unwrap()
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn a_name_leads_to_a_log_and_to_nothing_else() {
        for good in ["build", "bootstrap", "test", "production", "test-2", "production-100"] {
            assert_eq!(name(good).to_string(), good);
        }
        for bad in [
            "", "resolve", "test-1", "test-01", "test-101", "../test", "test/", "Test", "test.log", "round-2",
        ] {
            assert_eq!(bad.parse::<LogName>(), Err(NoSuchLog), "{bad}");
        }
        let path = name("test-2").path(Path::new("/s"), run());
        assert!(
            path.ends_with("runs/00000000000000000000000007/round-2/test.log"),
            "{path:?}"
        );
    }

    #[test]
    fn the_ends_of_all_logs_are_found_and_a_link_is_not_followed() {
        let state = tempfile::tempdir().unwrap();
        assert!(tails(state.path(), run()).is_empty());
        save(state.path(), "build", b"#1 FROM\n\x1b[31m#2 RUN\x1b[0m\n");
        save(state.path(), "test-2", "line\n".repeat(LINES + 1).as_bytes());
        let link = name("test").path(state.path(), run());
        std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
        let found = tails(state.path(), run());
        let names: Vec<String> = found.iter().map(|tail| tail.name.to_string()).collect();
        assert_eq!(names, ["build", "test-2"]);
        assert_eq!(found[0].lines, ["#1 FROM", "#2 RUN"]);
        assert!(!found[0].cut && found[1].cut);
        assert_eq!(found[1].lines.len(), LINES);
    }

    #[tokio::test]
    async fn a_log_is_served_whole_in_print_and_a_huge_one_from_a_line_near_its_end() {
        let state = tempfile::tempdir().unwrap();
        assert!(whole(state.path(), run(), name("test")).await.unwrap().is_none());
        // A character and an escape sequence at the border of two pieces, and no line break at the end.
        let long = "ä".repeat(PIECE / 2 - 2);
        save(
            state.path(),
            "test",
            format!("{long}\u{1b}[1mb\u{1b}[0m\r\n\tc").as_bytes(),
        );
        assert_eq!(served(state.path(), "test").await, format!("{long}b\n    c"));
        let line = format!("{}\n", "x".repeat(99));
        let lines = usize::try_from(SERVED).unwrap() / line.len() + 5;
        save(state.path(), "build", line.repeat(lines).as_bytes());
        let text = served(state.path(), "build").await;
        let (note, rest) = text.split_once('\n').unwrap();
        insta::assert_snapshot!(note, @"--- the first 496 B are left out here; the run's directory has all of it");
        assert!(rest.starts_with('x') && rest.lines().all(|line| line.len() == 99));
        assert!(rest.len() <= usize::try_from(SERVED).unwrap() && rest.len() > (4 << 20) - 200);
    }
}
