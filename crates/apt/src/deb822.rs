//! deb822(5): stanzas of `Field: value` lines, as in dpkg's status, Packages, Release, `.sources` and preferences.
//!
//! One reader for all of them. It holds one stanza at a time, however long the file is, and gives up at a stanza that is
//! longer than any real one.

use crate::error::{ParseError, Problem};
use std::io::{BufRead, Read};
use std::ops::Range;

/// No stanza of a real archive comes near it (the longest of Debian have some 100 kB); an attacker's might.
const MAX_STANZA: usize = 8 << 20;

/// Reads stanza after stanza.
pub struct Stanzas<R> {
    input: R,
    /// Named in errors.
    file: String,
    line: usize,
    comments: bool,
    text: String,
    bytes: Vec<u8>,
    fields: Vec<Place>,
}

struct Place {
    name: Range<usize>,
    value: Range<usize>,
}

/// One stanza: at least one field.
#[derive(Clone, Copy)]
pub struct Stanza<'a> {
    text: &'a str,
    fields: &'a [Place],
    /// Of the line after the last field, counted from 1.
    pub(crate) end: usize,
}

impl<R: BufRead> Stanzas<R> {
    pub fn new(input: R, file: &str) -> Self {
        Self {
            input,
            file: file.to_owned(),
            line: 0,
            comments: false,
            text: String::new(),
            bytes: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Lines that begin with `#` are passed over: `.sources` and preferences have them, indexes do not.
    pub(crate) fn with_comments(mut self) -> Self {
        self.comments = true;
        self
    }

    /// The next stanza, or nothing at the end.
    ///
    /// # Errors
    /// A line that is neither field nor continuation, a stanza over the limit, or input that cannot be read.
    pub fn next_stanza(&mut self) -> Result<Option<Stanza<'_>>, ParseError> {
        self.bytes.clear();
        self.fields.clear();
        while let Some(line) = self.read_line()? {
            let bytes = &self.bytes[line.clone()];
            if bytes.iter().all(u8::is_ascii_whitespace) {
                self.bytes.truncate(line.start);
                if self.fields.is_empty() {
                    continue;
                }
                break;
            }
            if self.comments && bytes[0] == b'#' {
                self.bytes.truncate(line.start);
                continue;
            }
            self.take(line)?;
        }
        if self.fields.is_empty() {
            return Ok(None);
        }
        self.decode();
        Ok(Some(Stanza {
            text: &self.text,
            fields: &self.fields,
            end: self.line,
        }))
    }

    /// Appends the next line, with its end.
    fn read_line(&mut self) -> Result<Option<Range<usize>>, ParseError> {
        let start = self.bytes.len();
        let room = MAX_STANZA - start;
        let read = (&mut self.input)
            .take(room as u64)
            .read_until(b'\n', &mut self.bytes)
            .map_err(|e| self.problem(Problem::Unreadable(e.kind())))?;
        if read == room {
            return Err(self.problem(Problem::TooLong { limit: MAX_STANZA }));
        }
        self.line += 1;
        Ok((read > 0).then_some(start..start + read))
    }

    fn take(&mut self, line: Range<usize>) -> Result<(), ParseError> {
        let bytes = &self.bytes[line.clone()];
        if bytes[0].is_ascii_whitespace() {
            let Some(last) = self.fields.last_mut() else {
                return Err(self.problem(Problem::NotAField));
            };
            last.value.end = line.end;
            return Ok(());
        }
        let colon = bytes.iter().position(|b| *b == b':');
        let Some(colon) = colon.filter(|at| *at > 0) else {
            return Err(self.problem(Problem::NotAField));
        };
        self.fields.push(Place {
            name: line.start..line.start + colon,
            value: line.start + colon + 1..line.end,
        });
        Ok(())
    }

    /// Bytes that are no UTF-8 are replaced; the places move with them.
    fn decode(&mut self) {
        self.text.clear();
        if let Ok(text) = std::str::from_utf8(&self.bytes) {
            self.text.push_str(text);
            return;
        }
        for field in &mut self.fields {
            for place in [&mut field.name, &mut field.value] {
                let start = self.text.len();
                self.text.push_str(&String::from_utf8_lossy(&self.bytes[place.clone()]));
                *place = start..self.text.len();
            }
        }
    }

    fn problem(&self, problem: Problem) -> ParseError {
        ParseError::new(&self.file, self.line.max(1), problem)
    }
}

impl<'a> Stanza<'a> {
    /// Name as written and trimmed value, continuation lines included, in the order of the file.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().map(move |place| {
            let (name, value) = (&self.text[place.name.clone()], &self.text[place.value.clone()]);
            (name.trim_end(), value.trim())
        })
    }

    /// The first field of that name; names ignore case.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.fields()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A field that must be there and say something.
    ///
    /// # Errors
    /// When it is not, with the line at which the stanza ends.
    pub fn needed(self, file: &str, name: &'static str) -> Result<&'a str, ParseError> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| ParseError::new(file, self.end, Problem::Missing(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8], comments: bool) -> Result<String, ParseError> {
        let mut stanzas = Stanzas::new(text, "file");
        if comments {
            stanzas = stanzas.with_comments();
        }
        let mut shown = String::new();
        while let Some(stanza) = stanzas.next_stanza()? {
            for (name, value) in stanza.fields() {
                shown.push_str(&format!("{name}={value:?} "));
            }
            shown.push_str(&format!("| {}\n", stanza.end));
        }
        Ok(shown)
    }

    #[test]
    fn stanzas_are_separated_by_empty_lines() {
        let text = b"\n\nA: 1\r\nB:\n two\n .\n three\n \t\nC :x\nA: again";
        insta::assert_snapshot!(shown(text, false).unwrap(), @r#"
        A="1" B="two\n .\n three" | 8
        C="x" A="again" | 11
        "#);
    }

    #[test]
    fn comments_count_only_where_the_format_has_them() {
        let text = b"# one\nA: 1\n# two\n 2\n";
        insta::assert_snapshot!(shown(text, true).unwrap(), @r#"A="1\n 2" | 5"#);
        insta::assert_snapshot!(shown(text, false).unwrap_err(), @"file, line 1: neither a field nor a continuation of one");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        insta::assert_snapshot!(shown(b"A: \xff\xffx\nMaint: J\xf6rg\nZ: 1\n", false).unwrap(), @r#"A="��x" Maint="J�rg" Z="1" | 4"#);
    }

    #[test]
    fn an_endless_stanza_is_refused() {
        let endless = std::io::BufReader::new(std::io::repeat(b'a'));
        let mut stanzas = Stanzas::new(endless, "Packages");
        insta::assert_snapshot!(stanzas.next_stanza().map(|_| ()).unwrap_err(), @"Packages, line 1: an entry longer than 8388608 bytes");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = shown(&bytes, true);
        }

        #[test]
        fn what_is_written_is_read(fields in proptest::collection::vec(("[A-Za-z-]{1,9}", "[a-z0-9(),. ]{0,20}"), 1..6)) {
            let text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let mut stanzas = Stanzas::new(text.as_bytes(), "file");
            let read: Vec<(String, String)> = stanzas.next_stanza().unwrap().unwrap().fields()
                .map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let written: Vec<(String, String)> = fields.iter().map(|(n, v)| (n.clone(), v.trim().to_owned())).collect();
            proptest::prop_assert_eq!(read, written);
        }
    }
}
