//! Words filled in, as far as their variables are known.

use super::lists::Runner;
use crate::dockerfile::pattern::{replaced, trimmed};
use crate::dockerfile::shell::tree::{Form, Piece, Word};
use std::collections::BTreeMap;

/// Values that double each other must not fill the memory.
const LENGTH: usize = 16 * 1024;
/// More words than that are not distinguished.
const FIELDS: usize = 4096;

/// One word as a program gets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Field {
    /// All of it, or its beginning.
    pub(crate) text: String,
    /// What follows `text` is not known: something, nothing, or more words.
    pub(crate) open: bool,
}

impl Field {
    pub(crate) fn known(&self) -> Option<&str> {
        (!self.open).then_some(self.text.as_str())
    }
}

/// The variables of one shell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    known: BTreeMap<String, Known>,
    /// `IFS` was set, so words may no longer be split at blanks.
    pub(crate) split_otherwise: bool,
}

#[derive(Debug, Clone)]
struct Known {
    value: String,
    /// The programs that are started see it.
    exported: bool,
}

impl Variables {
    pub(crate) fn of(environment: &BTreeMap<String, String>) -> Self {
        let known = environment.iter().map(|(name, value)| {
            let value = value.clone();
            (name.clone(), Known { value, exported: true })
        });
        Self {
            known: known.collect(),
            split_otherwise: false,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(|known| known.value.as_str())
    }

    /// `None`: it may be anything from now on.
    pub(crate) fn set(&mut self, name: &str, value: Option<String>, export: bool) {
        self.split_otherwise |= name == "IFS";
        let exported = export || self.known.get(name).is_some_and(|known| known.exported);
        match value.filter(|value| value.len() <= LENGTH) {
            Some(value) => {
                self.known.insert(name.to_owned(), Known { value, exported });
            }
            None => {
                self.known.remove(name);
            }
        }
    }

    pub(crate) fn export(&mut self, name: &str) {
        if let Some(known) = self.known.get_mut(name) {
            known.exported = true;
        }
    }

    /// What a program that is started sees.
    pub(crate) fn exported(&self) -> Self {
        let known = self.known.iter().filter(|(_, known)| known.exported);
        Self {
            known: known.map(|(name, known)| (name.clone(), known.clone())).collect(),
            split_otherwise: false,
        }
    }

    pub(crate) fn forget_all(&mut self) {
        self.known.clear();
    }
}

impl Runner<'_> {
    /// The words that one word of the text becomes.
    pub(super) fn fields(&mut self, word: &Word) -> Vec<Field> {
        let mut fields = Fields::default();
        self.pieces(word, &mut fields);
        fields.done
    }

    pub(super) fn all_fields(&mut self, words: &[Word]) -> Vec<Field> {
        let mut all = Vec::new();
        for word in words {
            all.extend(self.fields(word));
            all.truncate(FIELDS);
        }
        all
    }

    /// As the value of an assignment: one word, whatever is in it. `None`: not known.
    pub(super) fn value(&mut self, word: &Word) -> Option<String> {
        let mut text = String::new();
        let mut known = true;
        for piece in word {
            match piece {
                Piece::Plain(part) | Piece::Quoted(part) => text.push_str(part),
                Piece::Variable { name, form, .. } => match self.variable(name, form) {
                    Some(part) => text.push_str(&part),
                    None => known = false,
                },
                Piece::Commands { script, .. } => {
                    self.substitution(script);
                    known = false;
                }
                Piece::Unknown { .. } => known = false,
            }
            known &= text.len() <= LENGTH;
        }
        known.then_some(text)
    }

    fn pieces(&mut self, word: &Word, fields: &mut Fields) {
        for piece in word {
            match piece {
                Piece::Plain(text) => match brace(text) {
                    Some(at) => {
                        fields.split(&text[..at]);
                        fields.open();
                    }
                    None => fields.split(text),
                },
                Piece::Quoted(text) => fields.push(text),
                Piece::Variable { name, form, quoted } => match self.variable(name, form) {
                    Some(value) if *quoted => fields.push(&value),
                    Some(value) if !self.variables.split_otherwise => fields.split(&value),
                    Some(_) | None => fields.open(),
                },
                Piece::Commands { script, .. } => {
                    self.substitution(script);
                    fields.open();
                }
                Piece::Unknown { .. } => fields.open(),
            }
        }
        fields.end();
    }

    fn variable(&mut self, name: &str, form: &Form) -> Option<String> {
        let value = self.variables.get(name).map(ToOwned::to_owned);
        match form {
            Form::Value => value,
            Form::Default { word, empty } => {
                let other = self.value(word);
                // A variable without a known value may be set by the base image.
                value.and_then(|value| if *empty && value.is_empty() { other } else { Some(value) })
            }
            Form::Alternative { word, empty } => {
                let other = self.value(word);
                value.and_then(|value| if *empty && value.is_empty() { Some(value) } else { other })
            }
            Form::Assign { word } => {
                self.value(word);
                if value.as_deref().is_none_or(str::is_empty) {
                    self.variables.set(name, None, false);
                    return None;
                }
                value
            }
            Form::Cut(operation) => cut(&value?, operation),
        }
    }
}

/// Patterns that mean the same to every shell and to the builder.
fn cut(value: &str, operation: &str) -> Option<String> {
    if operation.contains(['[', '\\', '$', '`', '(', '{']) {
        return None;
    }
    let Some(rest) = operation.strip_prefix('/') else {
        return trimmed(value, operation);
    };
    let (all, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
    let (pattern, text) = rest.split_once('/').unwrap_or((rest, ""));
    replaced(value, pattern, text, all)
}

/// Where bash would make several words of one: `{a,b}`.
fn brace(text: &str) -> Option<usize> {
    let at = text.find('{')?;
    (text[at..].contains(',') || text[at..].contains("..")).then_some(at)
}

#[derive(Default)]
struct Fields {
    done: Vec<Field>,
    current: Option<Field>,
}

impl Fields {
    fn push(&mut self, text: &str) {
        let field = self.current.get_or_insert_default();
        if !field.open && field.text.len() <= LENGTH {
            field.text.push_str(text);
        } else {
            field.open = true;
        }
    }

    fn open(&mut self) {
        self.current.get_or_insert_default().open = true;
    }

    /// Unquoted: blanks end a word.
    fn split(&mut self, text: &str) {
        let blank = |c: char| c == ' ' || c == '\t' || c == '\n';
        let mut first = true;
        for part in text.split(blank) {
            if !first {
                self.end();
            }
            first = false;
            if !part.is_empty() {
                self.push(part);
            }
        }
    }

    fn end(&mut self) {
        if self.done.len() < FIELDS {
            self.done.extend(self.current.take());
        } else {
            self.current = None;
            if let Some(last) = self.done.last_mut() {
                last.open = true;
            }
        }
    }
}
