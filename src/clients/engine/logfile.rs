//! A log file that cannot fill a disk: it retains the beginning and the end.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A log of at most `cap` bytes (and one line that says what is missing). The first half goes to the file at once, so
/// it can be followed and survives a crash; the end stays in memory until [`LogFile::finish`] or drop writes it.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    head_left: usize,
    tail: VecDeque<String>,
    tail_bytes: usize,
    tail_cap: usize,
    dropped_lines: u64,
    dropped_bytes: u64,
}

impl LogFile {
    /// Creates or empties `path`, readable by its owner alone. `cap` in bytes.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn create(path: &Path, cap: usize) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let tail_cap = cap / 2;
        Ok(Self {
            file,
            head_left: cap - tail_cap,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_cap,
            dropped_lines: 0,
            dropped_bytes: 0,
        })
    }

    /// Adds a line (without its newline).
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        let size = line.len() + 1;
        if size <= self.head_left {
            self.head_left -= size;
            return self.file.write_all(format!("{line}\n").as_bytes());
        }
        // From the first line that did not fit on, all go to the tail: order is preserved.
        self.head_left = 0;
        self.tail_bytes += size;
        self.tail.push_back(line.to_owned());
        while self.tail_bytes > self.tail_cap {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.len() + 1;
            self.dropped_lines += 1;
            self.dropped_bytes += oldest.len() as u64 + 1;
        }
        Ok(())
    }

    /// Writes the end, and flushes it to the disk.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_tail()?;
        self.file.sync_data()
    }

    fn write_tail(&mut self) -> io::Result<()> {
        let mut end = String::new();
        if self.dropped_lines > 0 {
            end = format!(
                "[… {} lines, {} bytes left out …]\n",
                self.dropped_lines, self.dropped_bytes
            );
            self.dropped_lines = 0;
        }
        for line in self.tail.drain(..) {
            end.push_str(&line);
            end.push('\n');
        }
        self.file.write_all(end.as_bytes())
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // Errors cannot be reported here; `finish` returns them.
        let _ = self.write_tail();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn written(cap: usize, lines: impl Iterator<Item = String>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogFile::create(&path, cap).unwrap();
        lines.for_each(|line| log.line(&line).unwrap());
        log.finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn a_short_log_is_whole() {
        assert_eq!(
            written(100, (1..=3).map(|n| format!("line {n}"))),
            "line 1\nline 2\nline 3\n"
        );
    }

    #[test]
    fn a_long_log_retains_both_ends() {
        insta::assert_snapshot!(written(42, (1..=1000).map(|n| format!("line {n}"))), @r"
        line 1
        line 2
        line 3
        [… 995 lines, 8853 bytes left out …]
        line 999
        line 1000
        ");
    }

    proptest::proptest! {
        #[test]
        fn never_larger_than_its_cap_and_a_line(cap in 0_usize..300, lines in proptest::collection::vec("[a-z]{0,60}", 0..60)) {
            let text = written(cap, lines.iter().cloned());
            let marker: usize = text.lines().filter(|l| l.starts_with("[…")).map(|l| l.len() + 1).sum();
            proptest::prop_assert!(text.len() - marker <= cap);
            proptest::prop_assert!(marker > 0 || text.lines().eq(lines.iter().map(String::as_str)));
        }
    }
}
