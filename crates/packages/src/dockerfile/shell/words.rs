//! Words, quotes and redirections.

use super::reader::{Reader, Unread};
use super::tree::{Piece, Redirect, Word};

/// A variable's or function's name (POSIX.1-2017, XBD 3.235).
pub(in crate::dockerfile) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Reader<'_> {
    /// A name as functions have them, too: `-` and `.` are allowed inside.
    pub(super) fn name(&mut self) -> Result<String, Unread> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            let inside = !name.is_empty() && (c.is_ascii_digit() || c == '-' || c == '.');
            if !(c.is_ascii_alphabetic() || c == '_' || inside) {
                break;
            }
            name.push(c);
            self.next();
        }
        if name.is_empty() { Err(Unread::Syntax) } else { Ok(name) }
    }

    /// `None`: an operator, the end of a line or of the text comes.
    pub(super) fn word(&mut self) -> Result<Option<Word>, Unread> {
        if matches!(self.peek(), Some('<' | '>')) && self.peek_at(1) == Some('(') {
            self.next();
            self.next();
            return Ok(Some(vec![self.commands_until_parenthesis(false)?]));
        }
        let word = self.pieces(None)?;
        Ok((!word.is_empty()).then_some(word))
    }

    /// Pieces outside double quotes, up to an operator, or to `close` where a brace is open.
    pub(super) fn pieces(&mut self, close: Option<char>) -> Result<Word, Unread> {
        let mut word = Word::new();
        while let Some(c) = self.peek() {
            if close == Some(c) || close.is_none() && (c.is_whitespace() || ";&|()<>".contains(c)) {
                break;
            }
            self.next();
            match c {
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some(c) => push(&mut word, c, true),
                    None => push(&mut word, '\\', true),
                },
                '\'' => word.push(Piece::Quoted(self.single()?)),
                '"' => self.double(&mut word)?,
                '$' => {
                    let piece = self.dollar(false)?;
                    word.push(piece);
                }
                '`' => {
                    let piece = self.backticks(false)?;
                    word.push(piece);
                }
                c => push(&mut word, c, false),
            }
        }
        Ok(word)
    }

    pub(super) fn single(&mut self) -> Result<String, Unread> {
        let mut text = String::new();
        loop {
            match self.next().ok_or(Unread::Syntax)? {
                '\'' => return Ok(text),
                c => text.push(c),
            }
        }
    }

    /// Between double quotes; the first one is taken already.
    pub(super) fn double(&mut self, word: &mut Word) -> Result<(), Unread> {
        // Empty quotes are a word, too.
        word.push(Piece::Quoted(String::new()));
        loop {
            match self.next().ok_or(Unread::Syntax)? {
                '"' => return Ok(()),
                '\\' => match self.next().ok_or(Unread::Syntax)? {
                    '\n' => {}
                    c @ ('$' | '`' | '"' | '\\') => push(word, c, true),
                    c => {
                        push(word, '\\', true);
                        push(word, c, true);
                    }
                },
                '$' => {
                    let piece = self.dollar(true)?;
                    word.push(piece);
                }
                '`' => {
                    let piece = self.backticks(true)?;
                    word.push(piece);
                }
                c => push(word, c, true),
            }
        }
    }

    /// A redirection, if one comes.
    pub(super) fn redirect(&mut self) -> Result<Option<Redirect>, Unread> {
        let start = self.place();
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.next();
        }
        // `&>` and `&>>` are bash's; `<(` and `>(` are words.
        let both = self.peek() == Some('&') && self.peek_at(1) == Some('>');
        if both {
            self.next();
        }
        let opens = matches!(self.peek(), Some('<' | '>')) && self.peek_at(1) != Some('(');
        if !opens {
            self.go_to(start);
            return Ok(None);
        }
        if self.take("<<<") {
            self.blanks();
            return Ok(Some(Redirect::Text(self.word()?.ok_or(Unread::Syntax)?)));
        }
        if self.take("<<") {
            let strip = self.take("-");
            self.blanks();
            return Ok(Some(self.document(strip)?));
        }
        for operator in [">>", ">|", ">&", "<&", "<>", ">", "<"] {
            if self.take(operator) {
                break;
            }
        }
        self.blanks();
        Ok(Some(Redirect::File(self.word()?.ok_or(Unread::Syntax)?)))
    }

    fn document(&mut self, strip: bool) -> Result<Redirect, Unread> {
        let word = self.word()?.ok_or(Unread::Syntax)?;
        let mut delimiter = String::new();
        let mut literal = false;
        for piece in word {
            match piece {
                Piece::Plain(text) => delimiter.push_str(&text),
                Piece::Quoted(text) => {
                    literal = true;
                    delimiter.push_str(&text);
                }
                Piece::Variable { .. } | Piece::Commands { .. } | Piece::Unknown { .. } => return Err(Unread::Syntax),
            }
        }
        Ok(Redirect::Document(self.await_document(delimiter, strip, literal)))
    }
}

/// Adds to the last piece, where that is of the same kind.
fn push(word: &mut Word, c: char, quoted: bool) {
    match (word.last_mut(), quoted) {
        (Some(Piece::Plain(text)), false) | (Some(Piece::Quoted(text)), true) => text.push(c),
        (_, false) => word.push(Piece::Plain(c.into())),
        (_, true) => word.push(Piece::Quoted(c.into())),
    }
}
