//! What one stanza of Packages or of dpkg's status says of a package version.

use crate::conf::truth;
use crate::deb822::Stanza;
use crate::error::{ParseError, Problem};

/// The kinds of relation that decide about an upgrade, in the order in which apt looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    PreDepends,
    Depends,
    Conflicts,
    Breaks,
    Recommends,
    Suggests,
    Provides,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::PreDepends,
        Self::Depends,
        Self::Conflicts,
        Self::Breaks,
        Self::Recommends,
        Self::Suggests,
        Self::Provides,
    ];
}

/// deb-control(5), `Multi-Arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MultiArch {
    #[default]
    No,
    Same,
    Foreign,
    Allowed,
}

/// Debian Policy §2.5; smaller is more important, 0 is none given.
pub(crate) type Priority = u8;
pub(crate) const EXTRA: Priority = 5;

/// The fields, borrowed from the stanza.
#[derive(Debug, Default)]
pub(crate) struct Described<'a> {
    pub(crate) package: &'a str,
    pub(crate) version: &'a str,
    pub(crate) architecture: &'a str,
    /// `name` or `name (version)`.
    pub(crate) source: &'a str,
    pub(crate) status: Option<&'a str>,
    pub(crate) relations: [&'a str; 7],
    replaces: &'a str,
    installed_size: &'a str,
    pub(crate) multi_arch: MultiArch,
    pub(crate) essential: bool,
    /// `Protected: yes`, or `Important: yes` as it was called at first.
    pub(crate) protected: bool,
    pub(crate) priority: Priority,
    /// Of the machines that should take this version by now, in percent.
    pub(crate) phased: u8,
    /// Of the .deb in bytes; 0 in dpkg's status, which does not know it.
    pub(crate) size: u32,
}

impl<'a> Described<'a> {
    pub(crate) fn of(stanza: Stanza<'a>) -> Self {
        let mut it = Self {
            phased: 100,
            ..Self::default()
        };
        let mut multi_arch = "";
        for (name, value) in stanza.fields() {
            let mut lower = [0; 32];
            let Some(lower) = lower.get_mut(..name.len()) else {
                continue;
            };
            lower.copy_from_slice(name.as_bytes());
            lower.make_ascii_lowercase();
            match &*lower {
                b"package" => it.package = value,
                b"version" => it.version = value,
                b"architecture" => it.architecture = value,
                b"source" => it.source = value,
                b"status" => it.status = Some(value),
                b"pre-depends" => it.relations[Kind::PreDepends as usize] = value,
                b"depends" => it.relations[Kind::Depends as usize] = value,
                b"conflicts" => it.relations[Kind::Conflicts as usize] = value,
                b"breaks" => it.relations[Kind::Breaks as usize] = value,
                b"recommends" => it.relations[Kind::Recommends as usize] = value,
                b"suggests" => it.relations[Kind::Suggests as usize] = value,
                b"provides" => it.relations[Kind::Provides as usize] = value,
                b"replaces" => it.replaces = value,
                b"installed-size" => it.installed_size = value,
                b"multi-arch" => multi_arch = value,
                b"essential" => it.essential = truth(value) == Some(true),
                b"protected" | b"important" => it.protected |= truth(value) == Some(true),
                b"priority" => it.priority = priority(value),
                // A percentage that is none does not hold anything back.
                b"phased-update-percentage" => it.phased = value.parse().ok().filter(|p| *p <= 100).unwrap_or(100),
                b"size" => it.size = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        it.multi_arch = match multi_arch {
            // A package for all architectures cannot be installed for each of them.
            "same" if it.architecture != "all" => MultiArch::Same,
            "foreign" => MultiArch::Foreign,
            "allowed" => MultiArch::Allowed,
            _ => MultiArch::No,
        };
        it
    }

    /// # Errors
    /// The stanza that ends at line `end` of `file` lacks its name, version or architecture.
    pub(crate) fn names_a_version(&self, file: &str, end: usize) -> Result<(), ParseError> {
        let needed = [
            ("Package", self.package),
            ("Version", self.version),
            ("Architecture", self.architecture),
        ];
        match needed.iter().find(|(_, value)| value.is_empty()) {
            Some((field, _)) => Err(ParseError::new(file, end, Problem::Missing(field))),
            None => Ok(()),
        }
    }

    /// Source package and its version, each only when it is not the binary's.
    pub(crate) fn source(&self) -> (Option<&'a str>, Option<&'a str>) {
        let (name, rest) = match self.source.split_once(' ') {
            Some((name, rest)) => (name, rest),
            None => (self.source, ""),
        };
        let version = rest
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(v, _)| v);
        (
            Some(name).filter(|name| !name.is_empty() && *name != self.package),
            version.filter(|version| *version != self.version),
        )
    }

    /// Distinguishes two builds of one version. apt takes two versions of equal spelling for the same only if these
    /// fields are equal up to the ways in which dpkg rewrites them: blanks, `=` in operators, and an epoch of zero.
    pub(crate) fn fingerprint(&self) -> u32 {
        const PRIME: u32 = 0x0100_0193;
        let mut state: u32 = 0x811c_9dc5;
        let relation = |kind: Kind| self.relations[kind as usize];
        let fields = [
            self.installed_size,
            relation(Kind::Depends),
            relation(Kind::PreDepends),
            relation(Kind::Conflicts),
            relation(Kind::Breaks),
            self.replaces,
        ];
        for field in fields {
            let bytes = field.as_bytes();
            let mut at = 0;
            while let Some(byte) = bytes.get(at) {
                at += 1;
                if *byte == b'0' && bytes.get(at) == Some(&b':') {
                    at += 1;
                } else if !byte.is_ascii_whitespace() && *byte != b'=' {
                    state = (state ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(PRIME);
                }
            }
        }
        (state ^ self.multi_arch as u32).wrapping_mul(PRIME)
    }
}

fn priority(value: &str) -> Priority {
    let known = ["required", "important", "standard", "optional"];
    let found = (1..).zip(known).find(|(_, word)| value.eq_ignore_ascii_case(word));
    found.map_or(EXTRA, |(number, _)| number)
}
