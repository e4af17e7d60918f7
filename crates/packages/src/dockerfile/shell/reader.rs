//! Characters of a shell text, one after the other.

use super::tree::{Document, Script};

/// A Dockerfile's RUN is some kilobytes.
const LENGTH: usize = 256 * 1024;
/// Nesting of lists, substitutions and words.
const DEPTH: usize = 40;

/// Why a text is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::dockerfile) enum Unread {
    #[error("it is too long or nests too deep")]
    TooLong,
    #[error("its shell syntax is not understood")]
    Syntax,
}

/// Reads a whole text.
///
/// # Errors
/// [`Unread`].
pub(in crate::dockerfile) fn read(text: &str) -> Result<Script, Unread> {
    if text.len() > LENGTH {
        return Err(Unread::TooLong);
    }
    let characters: Vec<char> = text.chars().collect();
    let mut reader = Reader::new(&characters, DEPTH);
    let list = reader.list(&[])?;
    reader.at_end().then_some(()).ok_or(Unread::Syntax)?;
    reader.finish(list)
}

/// A here-document whose body comes after the line.
struct Awaited {
    place: usize,
    delimiter: String,
    strip: bool,
}

pub(super) struct Reader<'t> {
    characters: &'t [char],
    at: usize,
    pub(super) depth: usize,
    documents: Vec<Document>,
    awaited: Vec<Awaited>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(characters: &'t [char], depth: usize) -> Self {
        Self {
            characters,
            at: 0,
            depth,
            documents: Vec::new(),
            awaited: Vec::new(),
        }
    }

    pub(super) fn finish(self, list: super::tree::List) -> Result<Script, Unread> {
        // A here-document has no end. A shell would accept what there is, but here the Dockerfile is probably not what
        // it looks like.
        if !self.awaited.is_empty() {
            return Err(Unread::Syntax);
        }
        Ok(Script {
            list,
            documents: self.documents,
        })
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.characters.len()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Takes `text` if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let comes = text.chars().enumerate().all(|(n, c)| self.peek_at(n) == Some(c));
        if comes {
            self.at += text.chars().count();
        }
        comes
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), Unread> {
        if self.take(text) { Ok(()) } else { Err(Unread::Syntax) }
    }

    /// One level deeper, as far as that is allowed.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Unread>) -> Result<T, Unread> {
        self.depth = self.depth.checked_sub(1).ok_or(Unread::TooLong)?;
        let done = read(self);
        self.depth += 1;
        done
    }

    /// Passes over blanks, joined lines and a comment.
    pub(super) fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.peek_at(1) == Some('\n') => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                Some(_) | None => return,
            }
        }
    }

    /// As [`Self::blanks`], and over the ends of lines.
    pub(super) fn blank_lines(&mut self) -> Result<(), Unread> {
        self.blanks();
        while self.peek() == Some('\n') {
            self.end_line()?;
            self.blanks();
        }
        Ok(())
    }

    /// The end of a line, and the here-documents that it opened.
    pub(super) fn end_line(&mut self) -> Result<(), Unread> {
        self.expect("\n")?;
        for awaited in std::mem::take(&mut self.awaited) {
            let mut text = String::new();
            loop {
                let mut line = self.whole_line().ok_or(Unread::Syntax)?;
                if awaited.strip {
                    line = line.trim_start_matches('\t').to_owned();
                }
                if line.trim_end_matches('\n') == awaited.delimiter {
                    break;
                }
                text.push_str(&line);
            }
            if let Some(document) = self.documents.get_mut(awaited.place) {
                document.text = text;
            }
        }
        Ok(())
    }

    fn whole_line(&mut self) -> Option<String> {
        if self.at_end() {
            return None;
        }
        let rest = &self.characters[self.at..];
        let length = rest.iter().position(|c| *c == '\n').map_or(rest.len(), |end| end + 1);
        self.at += length;
        Some(rest[..length].iter().collect())
    }

    /// Announces a here-document; returns its place.
    pub(super) fn await_document(&mut self, delimiter: String, strip: bool, literal: bool) -> usize {
        let place = self.documents.len();
        self.documents.push(Document {
            text: String::new(),
            literal,
        });
        self.awaited.push(Awaited {
            place,
            delimiter,
            strip,
        });
        place
    }

    /// The word that comes next, if it is made of plain letters and signs only.
    pub(super) fn keyword(&self) -> Option<String> {
        let rest = &self.characters[self.at..];
        let ends = |c: &char| c.is_whitespace() || ";&|()<>".contains(*c);
        let length = rest.iter().take(10).position(ends).unwrap_or(rest.len());
        // No keyword is longer than `function`.
        if length == 0 || length > 8 {
            return None;
        }
        let word: String = rest[..length].iter().collect();
        (!word.contains(['\\', '\'', '"', '$', '`'])).then_some(word)
    }

    pub(super) fn rest(&self) -> &'t [char] {
        &self.characters[self.at.min(self.characters.len())..]
    }

    /// Back to an earlier place, or on to a later one.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }
}
