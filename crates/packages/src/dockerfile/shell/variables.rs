//! What a `$` or a backtick begins.

use super::reader::{Reader, Unread};
use super::tree::{Form, Piece, Word};

/// Longer ones are not looked for, so that many open ones cost no more than a few.
const ARITHMETIC: usize = 2000;

impl Reader<'_> {
    /// After a `$`.
    pub(super) fn dollar(&mut self, quoted: bool) -> Result<Piece, Unread> {
        match self.peek() {
            Some('{') => {
                self.next();
                self.deeper(|reader| reader.braced(quoted))
            }
            Some('(') => {
                self.next();
                let start = self.place();
                if self.take("(") && self.arithmetic().is_ok() {
                    return Ok(Piece::Unknown { quoted });
                }
                self.go_to(start);
                self.commands_until_parenthesis(quoted)
            }
            // bash's escapes.
            Some('\'') if !quoted => {
                self.next();
                while let Some(c) = self.next() {
                    match c {
                        '\\' => drop(self.next()),
                        '\'' => return Ok(Piece::Unknown { quoted: true }),
                        _ => {}
                    }
                }
                Err(Unread::Syntax)
            }
            // bash's translated text is, without a catalogue, the text.
            Some('"') if !quoted => Ok(Piece::Quoted(String::new())),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.variable();
                Ok(value(name, quoted))
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.next();
                Ok(value(c.into(), quoted))
            }
            Some(_) | None => Ok(Piece::Quoted("$".to_owned())),
        }
    }

    fn variable(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.next();
        }
        name
    }

    /// After `${`.
    fn braced(&mut self, quoted: bool) -> Result<Piece, Unread> {
        let name = match self.peek() {
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => self.variable(),
            // `${#V}`, `${!V}`, `${@:2}`.
            Some(_) => {
                self.operand()?;
                return Ok(Piece::Unknown { quoted });
            }
            None => return Err(Unread::Syntax),
        };
        let empty = self.peek() == Some(':') && self.peek_at(1).is_some_and(|c| "-+=?".contains(c));
        if empty {
            self.next();
        }
        let form = match self.peek() {
            Some('}') => Form::Value,
            Some('-') => Form::Default {
                word: self.operand_word()?,
                empty,
            },
            Some('+') => Form::Alternative {
                word: self.operand_word()?,
                empty,
            },
            Some('=') => Form::Assign {
                word: self.operand_word()?,
            },
            // Where it is not set, everything ends there.
            Some('?') => {
                self.operand_word()?;
                Form::Value
            }
            Some('#' | '%' | '/') => Form::Cut(self.operand()?),
            Some(_) | None => {
                self.operand()?;
                return Ok(Piece::Unknown { quoted });
            }
        };
        if !matches!(form, Form::Cut(_)) {
            self.expect("}")?;
        }
        Ok(Piece::Variable { name, form, quoted })
    }

    fn operand_word(&mut self) -> Result<Word, Unread> {
        self.next();
        self.pieces(Some('}'))
    }

    /// As written, up to the brace that closes, which is taken too.
    fn operand(&mut self) -> Result<String, Unread> {
        let pieces = self.pieces(Some('}'))?;
        self.expect("}")?;
        let plain = pieces.iter().all(|piece| matches!(piece, Piece::Plain(_)));
        let text: String = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Plain(text) => text,
                Piece::Quoted(_) | Piece::Variable { .. } | Piece::Commands { .. } | Piece::Unknown { .. } => {
                    String::new()
                }
            })
            .collect();
        // A pattern that contains more than plain text becomes `[`, which no evaluation accepts: its result stays
        // unknown.
        Ok(if plain { text } else { "[".to_owned() })
    }

    pub(super) fn commands_until_parenthesis(&mut self, quoted: bool) -> Result<Piece, Unread> {
        // A here-document inside the substitution belongs to the substitution.
        let rest = self.rest();
        let depth = self.depth.checked_sub(1).ok_or(Unread::TooLong)?;
        let mut inner = Reader::new(rest, depth);
        let list = inner.list(&[])?;
        inner.expect(")")?;
        let read = inner.place();
        let script = inner.finish(list)?;
        self.go_to(self.place() + read);
        Ok(Piece::Commands { script, quoted })
    }

    /// After a backtick.
    pub(super) fn backticks(&mut self, quoted: bool) -> Result<Piece, Unread> {
        let mut text = Vec::new();
        loop {
            match self.next().ok_or(Unread::Syntax)? {
                '`' => break,
                '\\' => {
                    let c = self.next().ok_or(Unread::Syntax)?;
                    let plain = "`\\$".contains(c) || quoted && c == '"';
                    if !plain {
                        text.push('\\');
                    }
                    text.push(c);
                }
                c => text.push(c),
            }
        }
        let depth = self.depth.checked_sub(1).ok_or(Unread::TooLong)?;
        let mut inner = Reader::new(&text, depth);
        let list = inner.list(&[])?;
        inner.at_end().then_some(()).ok_or(Unread::Syntax)?;
        let script = inner.finish(list)?;
        Ok(Piece::Commands { script, quoted })
    }

    /// Up to the `))` that closes.
    pub(super) fn arithmetic(&mut self) -> Result<(), Unread> {
        let mut open = 0_usize;
        let limit = self.place() + ARITHMETIC;
        loop {
            if self.place() > limit {
                return Err(Unread::TooLong);
            }
            match self.next().ok_or(Unread::Syntax)? {
                '(' => open += 1,
                ')' if open > 0 => open -= 1,
                ')' => return self.expect(")"),
                // `;` is not an arithmetic operator, so these are two subshells, side by side.
                ';' => return Err(Unread::Syntax),
                // A substitution inside would run.
                '$' if self.peek() == Some('(') => return Err(Unread::Syntax),
                '`' => return Err(Unread::Syntax),
                _ => {}
            }
        }
    }
}

fn value(name: String, quoted: bool) -> Piece {
    Piece::Variable {
        name,
        form: Form::Value,
        quoted,
    }
}
