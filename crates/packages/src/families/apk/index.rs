//! What a repository has: `APKINDEX`, apk-package(5). An installed database is of the same form, and read by the same hand.

use super::entry::{Draft, Entry, entries};
use super::relation::{self, Relation};
use crate::error::{ParseError, Problem};
use std::fmt;

const NAME: &str = "APKINDEX";
/// Alpine's largest has 12 MB.
const MAX_TEXT: usize = 512 << 20;

/// The packages of one repository: what decides about upgrades and no more. Texts are stored in one piece, names
/// sorted, so that a package is found in a few steps.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Index {
    text: String,
    rows: Vec<Row>,
    /// Names that rows have or provide.
    names: Vec<(Span, u32)>,
    /// Names whose arrival can bring a row: `install_if`.
    triggers: Vec<(Span, u32)>,
}

/// From where to where in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span(u32, u32);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: Span,
    version: Span,
    architecture: Span,
    origin: Option<Span>,
    depends: Span,
    provides: Span,
    install_if: Span,
    checksum: Span,
    tag: Option<Span>,
    priority: u32,
    empty: bool,
    newer: bool,
}

impl Index {
    /// Reads the text of an `APKINDEX`, verified by the caller.
    ///
    /// # Errors
    /// A line that is no field; an entry without name, version or checksum; one that is too long; too many of them.
    pub fn parse(text: &[u8]) -> Result<Self, ParseError> {
        Self::read(text, NAME)
    }

    pub(super) fn read(text: &[u8], database: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_TEXT {
            let (of, limit) = ("bytes", MAX_TEXT);
            return Err(ParseError::new(database, 0, Problem::TooMany { of, limit }));
        }
        let text = String::from_utf8_lossy(text);
        let mut index = Self::default();
        for draft in entries(&text, database)? {
            index.add(&draft);
        }
        let Self {
            text, names, triggers, ..
        } = &mut index;
        for list in [names, triggers] {
            list.sort_by(|a, b| (a.0.of(text), a.1).cmp(&(b.0.of(text), b.1)));
            list.dedup_by(|a, b| a.1 == b.1 && a.0.of(text) == b.0.of(text));
        }
        Ok(index)
    }

    fn add(&mut self, draft: &Draft<'_>) {
        let entry = &draft.entry;
        let [depends, provides, install_if] =
            [&draft.depends, &draft.provides, &draft.install_if].map(|lines| lines.join(" "));
        let row = Row {
            name: self.store(entry.name),
            version: self.store(entry.version),
            architecture: self.store(entry.architecture),
            origin: entry.origin.map(|origin| self.store(origin)),
            depends: self.store(&depends),
            provides: self.store(&provides),
            install_if: self.store(&install_if),
            checksum: self.store(entry.checksum),
            tag: entry.tag.map(|tag| self.store(tag)),
            priority: entry.priority,
            empty: entry.empty,
            newer: entry.newer,
        };
        let at = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.names.push((row.name, at));
        // Where a word stands in its field, so it stands in the stored text.
        let within = |word: &str, field: &str, stored: Span| {
            let start = stored.0 + u32::try_from(word.as_ptr().addr() - field.as_ptr().addr()).unwrap_or_default();
            Span(start, start + u32::try_from(word.len()).unwrap_or_default())
        };
        let provided = relation::provided(&provides);
        self.names
            .extend(provided.map(|it| (within(it.name, &provides, row.provides), at)));
        for word in relation::words(&install_if) {
            if let Some(named) = Relation::parse(word, false) {
                let word = word.strip_prefix('!').unwrap_or(word);
                let name = &word[..named.name.len()];
                self.triggers.push((within(name, &install_if, row.install_if), at));
            }
        }
        self.rows.push(row);
    }

    fn store(&mut self, text: &str) -> Span {
        let place = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let start = place(&self.text);
        self.text.push_str(text);
        Span(start, place(&self.text))
    }

    /// How many packages are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn entry(&self, at: usize) -> Entry<'_> {
        let row = &self.rows[at];
        let of = |span: Span| span.of(&self.text);
        Entry {
            name: of(row.name),
            version: of(row.version),
            architecture: of(row.architecture),
            origin: row.origin.map(of),
            depends: of(row.depends),
            provides: of(row.provides),
            install_if: of(row.install_if),
            priority: row.priority,
            empty: row.empty,
            checksum: of(row.checksum),
            tag: row.tag.map(of),
            newer: row.newer,
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.rows.len()).map(|at| self.entry(at))
    }

    /// The entries that have or provide `name`, in order.
    pub(super) fn providing(&self, name: &str) -> impl Iterator<Item = usize> {
        self.listed(&self.names, name)
    }

    /// The entries whose `install_if` speaks of `name`, in order.
    pub(super) fn triggered_by(&self, name: &str) -> impl Iterator<Item = usize> {
        self.listed(&self.triggers, name)
    }

    fn listed<'a>(&'a self, list: &'a [(Span, u32)], name: &str) -> impl Iterator<Item = usize> + use<'a> {
        let start = list.partition_point(|(span, _)| span.of(&self.text) < name);
        let same = list[start..].iter().take_while(|(span, _)| span.of(&self.text) == name);
        let count = same.count();
        list[start..start + count].iter().map(|(_, at)| *at as usize)
    }
}

impl Span {
    fn of(self, text: &str) -> &str {
        &text[self.0 as usize..self.1 as usize]
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index of {} packages", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "C:Q1a=\nP:busybox-binsh\nV:1.36.1-r29\nA:x86_64\nS:1543\nI:1\nT:busybox ash /bin/sh\nU:https://busybox.net/\n\
        L:GPL-2.0-only\no:busybox\nm:A Maintainer <a@example.org>\nt:1718000000\nc:0123abcd\nk:100\nD:busybox=1.36.1-r29\n\
        p:/bin/sh cmd:sh=1.36.1-r29\n\nC:Q1b=\nP:busybox-doc\nV:1.36.1-r29\nA:x86_64\nI:0\no:busybox\ni:docs busybox=1.36.1-r29\n\n";

    #[test]
    fn packages_are_found_by_all_their_names() {
        let index = Index::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(index.len(), 2);
        let found = |name: &str| index.providing(name).collect::<Vec<_>>();
        assert_eq!(found("busybox-binsh"), [0]);
        assert_eq!(found("/bin/sh"), [0]);
        assert_eq!(found("cmd:sh"), [0]);
        assert_eq!(found("busybox-doc"), [1]);
        assert!(found("busybox").is_empty());
        assert!(found("cmd:s").is_empty());
        assert_eq!(index.triggered_by("docs").collect::<Vec<_>>(), [1]);
        assert_eq!(index.triggered_by("busybox").collect::<Vec<_>>(), [1]);
        insta::assert_debug_snapshot!(index.entry(0), @r#"
        Entry {
            name: "busybox-binsh",
            version: "1.36.1-r29",
            architecture: "x86_64",
            origin: Some(
                "busybox",
            ),
            depends: "busybox=1.36.1-r29",
            provides: "/bin/sh cmd:sh=1.36.1-r29",
            install_if: "",
            priority: 100,
            empty: false,
            checksum: "Q1a=",
            tag: None,
            newer: false,
        }
        "#);
        assert!(index.entry(1).empty);
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let said = |text: &str| Index::parse(text.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(said("C:Q1a=\nP:a\nV1\n"), @"APKINDEX, line 3: neither a field nor a continuation of one");
        insta::assert_snapshot!(said("C:Q1a=\nP:a\n\n"), @"APKINDEX, line 3: the entry that ends here has no V (version)");
        insta::assert_snapshot!(said("P:a\nV:1\n\n"), @"APKINDEX, line 3: the entry that ends here has no C (checksum)");
        insta::assert_snapshot!(said(&format!("P:{}", "a".repeat(2 << 20))), @"APKINDEX, line 1: an entry longer than 1048576 bytes");
    }

    #[test]
    fn lists_may_go_on_in_another_line() {
        let index = Index::parse(b"C:Q1a=\nP:a\nV:1\np:x=1\nD:b\np:y\nD:c\n\n").unwrap();
        let entry = index.entry(0);
        assert_eq!((entry.depends, entry.provides), ("b c", "x=1 y"));
        assert_eq!(index.providing("y").collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn what_a_newer_apk_must_read_is_marked() {
        let index = Index::parse(b"C:Q1a=\nP:a\nV:1\nx:1\n\nC:Q1b=\nP:b\nV:1\nX:1\n").unwrap();
        let newer: Vec<bool> = index.entries().map(|entry| entry.newer).collect();
        assert_eq!(newer, [false, true]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, lines in "(([PVCDip]:[a-b=1! ]{0,4})?\n){0,12}") {
            let _ = Index::parse(&bytes);
            if let Ok(index) = Index::parse(lines.as_bytes()) {
                for at in 0..index.len() {
                    let entry = index.entry(at);
                    proptest::prop_assert!(index.providing(entry.name).any(|found| found == at));
                    for provided in relation::provided(entry.provides) {
                        proptest::prop_assert!(index.providing(provided.name).any(|found| found == at));
                    }
                    for trigger in relation::relations(entry.install_if).unwrap_or_default() {
                        proptest::prop_assert!(index.triggered_by(&trigger.name).any(|found| found == at));
                    }
                }
            }
        }
    }
}
