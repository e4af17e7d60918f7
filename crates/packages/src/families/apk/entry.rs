//! The entries of apk's databases and indexes: one letter, a colon and a value per line; an empty line ends an entry.

use crate::error::{ParseError, Problem};

/// The longest entry of Alpine's indexes has 30 kB; with its files, an installed one a few MB.
const MAX_LINE: usize = 1 << 20;
const MAX_ENTRIES: usize = 1 << 20;

/// What one entry says, as it stands there.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Empty: of any.
    pub(super) architecture: &'a str,
    pub(super) origin: Option<&'a str>,
    pub(super) depends: &'a str,
    pub(super) provides: &'a str,
    pub(super) install_if: &'a str,
    /// `provider_priority`; apk counts what is no number as none.
    pub(super) priority: u32,
    /// Nothing would be unpacked: it only names others.
    pub(super) empty: bool,
    /// As it stands there: `Q1` and the base64 of a SHA-1.
    pub(super) checksum: &'a str,
    /// The tag of the repository it was installed from, without its sign.
    pub(super) tag: Option<&'a str>,
    /// It has a field of a kind that must not be passed over: such packages need a newer apk.
    pub(super) newer: bool,
}

/// An entry as it is read. Its lists may be written in several lines, and are then one.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    /// Without its lists.
    pub(super) entry: Entry<'a>,
    pub(super) depends: Vec<&'a str>,
    pub(super) provides: Vec<&'a str>,
    pub(super) install_if: Vec<&'a str>,
}

/// The entries of `text`.
///
/// # Errors
/// A line that is no field; an entry without name, version or checksum; one that is too long; too many of them.
pub(super) fn entries<'a>(text: &'a str, database: &str) -> Result<Vec<Draft<'a>>, ParseError> {
    let mut found = Vec::new();
    let mut draft: Option<Draft<'a>> = None;
    let mut number = 0;
    for line in text.split('\n') {
        number += 1;
        if line.len() > MAX_LINE {
            return Err(ParseError::new(database, number, Problem::TooLong { limit: MAX_LINE }));
        }
        // As apk reads it: no field has a single sign.
        if line.len() < 2 {
            found.extend(draft.take().map(|draft| draft.whole(database, number)).transpose()?);
            if found.len() > MAX_ENTRIES {
                let (of, limit) = ("packages", MAX_ENTRIES);
                return Err(ParseError::new(database, number, Problem::TooMany { of, limit }));
            }
            continue;
        }
        let (letter, value) = match line.as_bytes() {
            [letter, b':', ..] => (*letter, &line[2..]),
            _ => return Err(ParseError::new(database, number, Problem::NotAField)),
        };
        draft.get_or_insert_default().set(letter, value);
    }
    found.extend(draft.map(|draft| draft.whole(database, number)).transpose()?);
    Ok(found)
}

impl<'a> Draft<'a> {
    /// Of other repeated fields the last counts, as for apk.
    fn set(&mut self, letter: u8, value: &'a str) {
        let it = &mut self.entry;
        match letter {
            b'D' => self.depends.push(value),
            b'p' => self.provides.push(value),
            b'i' => self.install_if.push(value),
            b'P' => it.name = value,
            b'V' => it.version = value,
            b'A' => it.architecture = value,
            b'o' => it.origin = Some(value),
            b'k' => it.priority = value.parse().unwrap_or_default(),
            b'I' => it.empty = value.trim_start_matches('0').is_empty(),
            b'C' => it.checksum = value,
            b's' => it.tag = Some(value),
            // What a person reads, sizes, and in an installed database the files and what is replaced: nothing that decides.
            b'T' | b'U' | b'L' | b'S' | b'F' | b'M' | b'R' | b'Z' => {}
            letter => it.newer |= !letter.is_ascii_lowercase(),
        }
    }

    fn whole(self, database: &str, line: usize) -> Result<Self, ParseError> {
        let needed = [
            (self.entry.name, "P (name)"),
            (self.entry.version, "V (version)"),
            (self.entry.checksum, "C (checksum)"),
        ];
        match needed.iter().find(|(value, _)| value.is_empty()) {
            None => Ok(self),
            Some((_, what)) => Err(ParseError::new(database, line, Problem::Missing(what))),
        }
    }
}
