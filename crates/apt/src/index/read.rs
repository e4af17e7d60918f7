//! Looks things up in an index, and stores it as bytes.

use super::build::{ARCHITECTURE_SHIFT, ESSENTIAL, PHASED_SHIFT, PROTECTED, multi_arch};
use super::error::IndexError;
use super::stanza::{Kind, MultiArch, Priority};
use std::fmt;

const MAGIC: [u8; 8] = *b"lowtideP";
/// Raised with each change of the format; a file in another format is rebuilt.
const FORM: u32 = 2;
/// Magic, form, checksum and the sizes of the sections.
const HEADER: usize = 8 + 4 + 4 + 7 * 4;

pub(super) const ROW_WIDTH: usize = 9;
pub(super) const PROVIDES_WIDTH: usize = 3;

/// The packages of one `Packages` file: what decides about upgrades and no more.
///
/// Every different text is stored once and named by a number. Rows and provided names are sorted, so that a package is
/// found in a few steps. About a fifth of the file's size.
#[derive(Clone, PartialEq, Eq)]
pub struct Index {
    /// Where each text ends in `text`.
    pub(super) ends: Vec<u32>,
    /// Texts.
    pub(super) architectures: Vec<u32>,
    /// [`ROW_WIDTH`] numbers each: name, version, source, source's version, first relation, flags, fingerprint, size,
    /// place in the file.
    pub(super) rows: Vec<u32>,
    /// Kind in the upper four bits, text of the clause in the others; the relations of a row end where the next one's begin.
    pub(super) words: Vec<u32>,
    /// [`PROVIDES_WIDTH`] numbers each: name, clause, row; by name.
    pub(super) provides: Vec<u32>,
    /// Rows of essential packages.
    pub(super) essentials: Vec<u32>,
    pub(super) text: String,
}

/// One version of a package in an index.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    index: &'a Index,
    at: usize,
}

impl Index {
    /// How many versions are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() / ROW_WIDTH
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The form to store on disk.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sections = [
            &self.ends,
            &self.architectures,
            &self.rows,
            &self.words,
            &self.provides,
            &self.essentials,
        ];
        let numbers: usize = sections.iter().map(|section| section.len()).sum();
        let mut bytes = Vec::with_capacity(HEADER + numbers * 4 + self.text.len());
        bytes.extend(MAGIC);
        bytes.extend(FORM.to_le_bytes());
        bytes.extend([0; 4]);
        let sizes = sections.iter().map(|section| section.len()).chain([self.text.len()]);
        for size in sizes {
            bytes.extend(u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        }
        for section in sections {
            bytes.extend(section.iter().flat_map(|number| number.to_le_bytes()));
        }
        bytes.extend(self.text.as_bytes());
        let sum = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// What [`Self::to_bytes`] made. Memory is taken only for what is really there.
    ///
    /// # Errors
    /// When it is anything else; the caller makes the index again from the archive.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexError> {
        let number = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
        if bytes.get(..8) != Some(&MAGIC) {
            return Err(IndexError::Foreign);
        }
        let found = number(8).ok_or(IndexError::Size)?;
        if found != FORM {
            return Err(IndexError::OtherForm { found, known: FORM });
        }
        let mut sizes = [0; 7];
        for (place, size) in sizes.iter_mut().enumerate() {
            *size = number(16 + place * 4).ok_or(IndexError::Size)? as usize;
        }
        let [numbers @ .., text] = sizes;
        let wanted = HEADER as u64 + numbers.iter().map(|n| *n as u64 * 4).sum::<u64>() + text as u64;
        if wanted != bytes.len() as u64 {
            return Err(IndexError::Size);
        }
        if number(12) != Some(crc32fast::hash(&bytes[16..])) {
            return Err(IndexError::Damaged);
        }
        let mut rest = &bytes[HEADER..];
        let [ends, architectures, rows, words, provides, essentials] = numbers.map(|count| {
            let (section, after) = rest.split_at(count * 4);
            rest = after;
            let number = |chunk: &[u8; 4]| u32::from_le_bytes(*chunk);
            section.as_chunks().0.iter().map(number).collect::<Vec<u32>>()
        });
        let text = std::str::from_utf8(rest).map_err(|_| IndexError::Damaged)?.to_owned();
        Ok(Self {
            ends,
            architectures,
            rows,
            words,
            provides,
            essentials,
            text,
        })
    }

    /// All versions of a package: by architecture, from new to old.
    pub(crate) fn versions<'a>(&'a self, name: &str) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let below = |at: usize, or_equal: bool| {
            let order = self.row(at).name().cmp(name);
            order.is_lt() || or_equal && order.is_eq()
        };
        let start = partition(self.len(), |at| below(at, false));
        // A package has a handful of versions at most: no second search.
        let end = (start..self.len()).find(|at| !below(*at, true)).unwrap_or(self.len());
        (start..end).map(|at| self.row(at))
    }

    /// Everything that provides `name`, with the clause that says so.
    pub(crate) fn providers<'a>(&'a self, name: &str) -> impl Iterator<Item = (Row<'a>, &'a str)> + use<'a> {
        let count = self.provides.len() / PROVIDES_WIDTH;
        let column = |at: usize, column: usize| self.provides[at * PROVIDES_WIDTH + column];
        let start = partition(count, |at| self.text(column(at, 0)) < name);
        let end = (start..count)
            .find(|at| self.text(column(*at, 0)) != name)
            .unwrap_or(count);
        (start..end).map(move |at| (self.row(column(at, 2) as usize), self.text(column(at, 1))))
    }

    pub(crate) fn essentials(&self) -> impl Iterator<Item = Row<'_>> {
        self.essentials.iter().map(|at| self.row(*at as usize))
    }

    /// All rows in the order of the file.
    pub(crate) fn as_listed(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = (0..self.len()).map(|at| self.row(at)).collect();
        rows.sort_by_key(|row| row.place());
        rows
    }

    /// How many different texts there are; [`Row::clauses`] names them by number.
    pub(crate) fn texts(&self) -> usize {
        self.ends.len()
    }

    fn row(&self, at: usize) -> Row<'_> {
        Row { index: self, at }
    }

    /// Numbers come from the index itself, whose checksum was right; an impossible one is empty rather than a panic.
    fn text(&self, number: u32) -> &str {
        let at = number as usize;
        let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        let start = if at == 0 { 0 } else { end(at - 1) };
        self.text.get(start..end(at)).unwrap_or_default()
    }
}

impl<'a> Row<'a> {
    pub(crate) fn name(self) -> &'a str {
        self.index.text(self.column(0))
    }
    pub(crate) fn version(self) -> &'a str {
        self.index.text(self.column(1))
    }
    pub(crate) fn source(self) -> &'a str {
        self.index.text(self.column(2))
    }
    pub(crate) fn source_version(self) -> &'a str {
        self.index.text(self.column(3))
    }
    pub(crate) fn fingerprint(self) -> u32 {
        self.column(6)
    }
    pub(crate) fn size(self) -> u32 {
        self.column(7)
    }
    /// One of the texts that [`Self::clauses`] names.
    pub(crate) fn text(self, number: u32) -> &'a str {
        self.index.text(number)
    }
    /// Whether both are one entry of one index.
    pub(crate) fn is(self, other: Self) -> bool {
        std::ptr::eq(self.index, other.index) && self.at == other.at
    }
    /// Counted from the beginning of the file.
    pub(crate) fn place(self) -> u32 {
        self.column(8)
    }
    /// `all` stays `all`.
    pub(crate) fn architecture(self) -> &'a str {
        let at = (self.column(5) >> ARCHITECTURE_SHIFT) as usize;
        self.index
            .architectures
            .get(at)
            .map_or("", |text| self.index.text(*text))
    }
    pub(crate) fn priority(self) -> Priority {
        u8::try_from(self.column(5) & 7).unwrap_or_default()
    }
    pub(crate) fn multi_arch(self) -> MultiArch {
        multi_arch(self.column(5))
    }
    pub(crate) fn essential(self) -> bool {
        self.column(5) & ESSENTIAL != 0
    }
    pub(crate) fn protected(self) -> bool {
        self.column(5) & PROTECTED != 0
    }
    /// In percent.
    pub(crate) fn phased(self) -> u8 {
        u8::try_from(self.column(5) >> PHASED_SHIFT & 0xff).unwrap_or(100)
    }

    /// Clauses with their kind, in apt's order.
    pub(crate) fn relations(self) -> impl Iterator<Item = (Kind, &'a str)> {
        self.clauses().map(move |(kind, text)| (kind, self.index.text(text)))
    }

    /// The clauses of one kind.
    pub(crate) fn of(self, kind: Kind) -> impl Iterator<Item = &'a str> {
        let clauses = self.clauses().filter(move |(have, _)| *have == kind);
        clauses.map(move |(_, text)| self.index.text(text))
    }

    /// As [`Self::relations`], by the numbers of the texts.
    pub(crate) fn clauses(self) -> impl Iterator<Item = (Kind, u32)> + use<'a> {
        let begin = self.column(4) as usize;
        let next = Self {
            at: self.at + 1,
            ..self
        };
        let end = if next.at < self.index.len() {
            next.column(4) as usize
        } else {
            self.index.words.len()
        };
        let words = self.index.words.get(begin..end).unwrap_or_default();
        words.iter().filter_map(move |word| {
            let kind = Kind::ALL.get((word >> 28) as usize)?;
            Some((*kind, word & (u32::MAX >> 4)))
        })
    }

    fn column(self, column: usize) -> u32 {
        self.index.rows.get(self.at * ROW_WIDTH + column).copied().unwrap_or(0)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("packages", &self.len())
            .finish_non_exhaustive()
    }
}

/// The first of `0..count` for which `below` is no longer true.
fn partition(count: usize, below: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if below(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
