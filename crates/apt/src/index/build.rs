//! From the text of a `Packages` file to its compact form.

use super::intern::Texts;
use super::read::{Index, PROVIDES_WIDTH, ROW_WIDTH};
use super::stanza::{Described, Kind, MultiArch};
use crate::deb822::Stanzas;
use crate::error::{ParseError, Problem};
use crate::relation::{alternatives, clauses};
use crate::version;
use std::io::BufRead;

/// Ten times Debian's largest index.
const MAX_PACKAGES: usize = 1_000_000;
/// Of different names, versions and clauses: Debian's largest index has 10 MB.
const MAX_TEXT: usize = 256 << 20;
/// Different texts; four bits of the word that names one are needed for the kind of relation.
const MAX_TEXTS: usize = 1 << 28;

impl Index {
    /// Reads a `Packages` file, uncompressed. `file` is named in errors. One stanza is held at a time.
    ///
    /// # Errors
    /// A line that is no field, a stanza without name, version or architecture, or more of anything than the limits.
    pub fn parse(input: impl BufRead, file: &str) -> Result<Self, ParseError> {
        let mut stanzas = Stanzas::new(input, file);
        let mut builder = Builder::new();
        while let Some(stanza) = stanzas.next_stanza()? {
            let end = stanza.end;
            let described = Described::of(stanza);
            described.names_a_version(file, end)?;
            builder.add(&described);
            builder
                .limits()
                .map_err(|problem| ParseError::new(file, end, problem))?;
        }
        Ok(builder.finish())
    }
}

struct Builder {
    texts: Texts,
    architectures: Vec<u32>,
    rows: Vec<[u32; ROW_WIDTH]>,
    /// Relations in order of arrival; a row says where its own begin.
    words: Vec<u32>,
}

impl Builder {
    fn new() -> Self {
        Self {
            texts: Texts::new(),
            architectures: Vec::new(),
            rows: Vec::new(),
            words: Vec::new(),
        }
    }

    fn add(&mut self, it: &Described<'_>) {
        let name = self.texts.number(it.package);
        let version = self.texts.number(it.version);
        let (source, source_version) = it.source();
        let source = source.map_or(name, |text| self.texts.number(text));
        let source_version = source_version.map_or(version, |text| self.texts.number(text));
        let begin = number(self.words.len());
        for kind in Kind::ALL {
            for clause in clauses(it.relations[kind as usize]) {
                let word = (kind as u32) << 28 | self.texts.number(clause);
                self.words.push(word);
            }
        }
        let flags = flags(it, self.architecture(it.architecture));
        self.rows.push([
            name,
            version,
            source,
            source_version,
            begin,
            flags,
            it.fingerprint(),
            it.size,
            number(self.rows.len()),
        ]);
    }

    fn architecture(&mut self, name: &str) -> u32 {
        let text = self.texts.number(name);
        let known = self.architectures.iter().position(|known| *known == text);
        number(known.unwrap_or_else(|| {
            self.architectures.push(text);
            self.architectures.len() - 1
        }))
    }

    fn limits(&self) -> Result<(), Problem> {
        let limits = [
            ("packages", self.rows.len(), MAX_PACKAGES),
            ("different texts", self.texts.ends.len(), MAX_TEXTS),
            ("bytes of text", self.texts.bytes.len(), MAX_TEXT),
            ("architectures", self.architectures.len(), usize::from(u8::MAX)),
            ("relations", self.words.len(), MAX_TEXTS),
        ];
        let over = limits.into_iter().find(|(_, have, limit)| have > limit);
        over.map_or(Ok(()), |(of, _, limit)| Err(Problem::TooMany { of, limit }))
    }

    fn finish(mut self) -> Index {
        let order = self.order();
        let arrived = std::mem::take(&mut self.words);
        let mut rows = Vec::with_capacity(self.rows.len() * ROW_WIDTH);
        let mut words = Vec::with_capacity(arrived.len());
        let mut provides: Vec<[u32; PROVIDES_WIDTH]> = Vec::new();
        let mut essentials = Vec::new();
        for (place, at) in order.into_iter().enumerate() {
            let mut row = self.rows[at];
            let begin = row[4] as usize;
            let end = self.rows.get(at + 1).map_or(arrived.len(), |next| next[4] as usize);
            row[4] = number(words.len());
            for word in &arrived[begin..end] {
                words.push(*word);
                if word >> 28 == Kind::Provides as u32 {
                    self.provide(*word & (u32::MAX >> 4), number(place), &mut provides);
                }
            }
            if row[5] & ESSENTIAL != 0 {
                essentials.push(number(place));
            }
            rows.extend(row);
        }
        let texts = &self.texts;
        provides.sort_by(|a, b| texts.text(a[0]).cmp(texts.text(b[0])).then(a[2].cmp(&b[2])));
        Index {
            ends: self.texts.ends,
            architectures: self.architectures,
            rows,
            words,
            provides: provides.into_flattened(),
            essentials,
            // Made of texts, so it is one.
            text: String::from_utf8(self.texts.bytes).unwrap_or_default(),
        }
    }

    fn provide(&mut self, clause: u32, row: u32, provides: &mut Vec<[u32; PROVIDES_WIDTH]>) {
        let text = self.texts.text(clause).to_owned();
        if let Some(relation) = alternatives(&text).next() {
            provides.push([self.texts.number(relation.name), clause, row]);
        }
    }

    /// Places of the rows by name, architecture, and version from new to old; equal ones as in the file.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        let text = |number| self.texts.text(number);
        order.sort_by(|a, b| {
            let (a, b) = (&self.rows[*a], &self.rows[*b]);
            let named = if a[0] == b[0] {
                std::cmp::Ordering::Equal
            } else {
                text(a[0]).cmp(text(b[0]))
            };
            named
                .then_with(|| (a[5] >> 16).cmp(&(b[5] >> 16)))
                .then_with(|| version::compare(text(b[1]), text(a[1])))
        });
        order
    }
}

/// Priority in three bits, Multi-Arch in two, two single ones, the percentage of phasing and the architecture in a byte each.
fn flags(it: &Described<'_>, architecture: u32) -> u32 {
    let single = |set: bool, bit: u32| if set { bit } else { 0 };
    u32::from(it.priority)
        | (it.multi_arch as u32) << MULTI_ARCH_SHIFT
        | single(it.essential, ESSENTIAL)
        | single(it.protected, PROTECTED)
        | u32::from(it.phased) << PHASED_SHIFT
        | architecture << ARCHITECTURE_SHIFT
}

pub(super) const MULTI_ARCH_SHIFT: u32 = 3;
pub(super) const ESSENTIAL: u32 = 1 << 5;
pub(super) const PROTECTED: u32 = 1 << 6;
pub(super) const PHASED_SHIFT: u32 = 8;
pub(super) const ARCHITECTURE_SHIFT: u32 = 16;

pub(super) fn multi_arch(flags: u32) -> MultiArch {
    match flags >> MULTI_ARCH_SHIFT & 3 {
        1 => MultiArch::Same,
        2 => MultiArch::Foreign,
        3 => MultiArch::Allowed,
        _ => MultiArch::No,
    }
}

/// The limits keep every count far below.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
