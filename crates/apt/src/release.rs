//! `Release`: what an archive says of itself and of its indexes. Debian wiki "RepositoryFormat", apt-secure(8).

use super::conf::truth;
use crate::deb822::{Stanza, Stanzas};
use crate::error::{ParseError, Problem};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::collections::BTreeMap;

const FILE: &str = "Release";

/// More index files than any archive lists: Debian's largest suite has some 3,000.
const MAX_FILES: usize = 100_000;

/// The fields that decide something. All are as the archive says: whether it may be believed is its signature's matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Release {
    pub origin: Option<String>,
    pub label: Option<String>,
    /// `stable`, `bookworm-security`, …; apt's *archive* (`a=` in pins).
    pub suite: Option<String>,
    pub codename: Option<String>,
    pub version: Option<String>,
    pub date: Option<Timestamp>,
    /// After this the archive must not be believed any more: someone may be holding newer indexes back.
    pub valid_until: Option<Timestamp>,
    pub acquire_by_hash: bool,
    pub architectures: Vec<String>,
    pub components: Vec<String>,
    /// Packages of `Architecture: all` are in the index of every architecture and need no index of their own.
    pub no_separate_all: bool,
    /// Nothing is installed or upgraded from here by itself (priority 1, apt_preferences(5)).
    pub not_automatic: bool,
    /// With `not_automatic`: but what was taken from here is upgraded from here (priority 100).
    pub but_automatic_upgrades: bool,
    /// Path below the `Release` file → its content.
    pub sha256: BTreeMap<String, Listed>,
}

/// What a file of the archive has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// 64 lower-case digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

impl Release {
    /// Reads a `Release` file, or the signed part of an `InRelease` file.
    ///
    /// # Errors
    /// When there is no field at all, a date, hash or size that cannot be understood, or an unreasonable number of files.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut stanzas = Stanzas::new(text.as_bytes(), FILE);
        let Some(stanza) = stanzas.next_stanza()? else {
            return Err(ParseError::new(FILE, 1, Problem::Missing("field")));
        };
        let text = |name: &str| stanza.get(name).filter(|v| !v.is_empty()).map(ToOwned::to_owned);
        let words = |name: &str| -> Vec<String> {
            let value = stanza.get(name).unwrap_or_default();
            value.split_whitespace().map(ToOwned::to_owned).collect()
        };
        let yes = |name: &str| stanza.get(name).and_then(truth) == Some(true);
        Ok(Self {
            origin: text("Origin"),
            label: text("Label"),
            suite: text("Suite"),
            codename: text("Codename"),
            version: text("Version"),
            date: time(stanza, "Date")?,
            valid_until: time(stanza, "Valid-Until")?,
            acquire_by_hash: yes("Acquire-By-Hash"),
            architectures: words("Architectures"),
            components: words("Components"),
            no_separate_all: words("No-Support-for-Architecture-all").iter().any(|w| w == "Packages"),
            not_automatic: yes("NotAutomatic"),
            but_automatic_upgrades: yes("ButAutomaticUpgrades"),
            sha256: listed(stanza)?,
        })
    }
}

/// `Sat, 10 May 2025 09:44:05 UTC`. Archives write the zone as UTC, which RFC 2822 does not know; apt accepts no other.
fn time(stanza: Stanza<'_>, name: &'static str) -> Result<Option<Timestamp>, ParseError> {
    let Some(value) = stanza.get(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let plain = ["UTC", "GMT", "Z"]
        .iter()
        .find_map(|zone| value.strip_suffix(zone))
        .map(|rest| format!("{} +0000", rest.trim_end()));
    DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(plain.as_deref().unwrap_or(value))
        .map(Some)
        .map_err(|_| ParseError::new(FILE, stanza.end, Problem::BadValue(name)))
}

fn listed(stanza: Stanza<'_>) -> Result<BTreeMap<String, Listed>, ParseError> {
    let mut files = BTreeMap::new();
    for line in stanza.get("SHA256").unwrap_or_default().lines() {
        let bad = || ParseError::new(FILE, stanza.end, Problem::BadValue("SHA256"));
        let mut words = line.split_whitespace();
        let (Some(hash), Some(size), Some(path), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        if files.len() == MAX_FILES {
            let (of, limit) = ("files in SHA256", MAX_FILES);
            return Err(ParseError::new(FILE, stanza.end, Problem::TooMany { of, limit }));
        }
        let listed = Listed {
            sha256: hash.to_ascii_lowercase(),
            size: size.parse().map_err(|_| bad())?,
        };
        files.insert(path.to_owned(), listed);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECURITY: &str = "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nVersion: 12\nCodename: bookworm-security\n\
        Date: Sat, 10 May 2025 09:44:05 UTC\nValid-Until: Sat, 17 May 2025 09:44:05 UTC\nAcquire-By-Hash: yes\n\
        No-Support-for-Architecture-all: Packages\nArchitectures: all amd64 arm64\nComponents: main contrib\n\
        MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e        0 main/binary-amd64/Packages\n\
        SHA256:\n E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855        0 main/binary-amd64/Packages\n";

    #[test]
    fn an_archive_says_what_it_is() {
        insta::assert_debug_snapshot!(Release::parse(SECURITY).unwrap(), @r#"
        Release {
            origin: Some(
                "Debian",
            ),
            label: Some(
                "Debian-Security",
            ),
            suite: Some(
                "stable-security",
            ),
            codename: Some(
                "bookworm-security",
            ),
            version: Some(
                "12",
            ),
            date: Some(
                2025-05-10T09:44:05Z,
            ),
            valid_until: Some(
                2025-05-17T09:44:05Z,
            ),
            acquire_by_hash: true,
            architectures: [
                "all",
                "amd64",
                "arm64",
            ],
            components: [
                "main",
                "contrib",
            ],
            no_separate_all: true,
            not_automatic: false,
            but_automatic_upgrades: false,
            sha256: {
                "main/binary-amd64/Packages": Listed {
                    sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    size: 0,
                },
            },
        }
        "#);
    }

    #[test]
    fn backports_are_not_taken_automatically() {
        let release = Release::parse("Suite: x\nNotAutomatic: yes\nButAutomaticUpgrades: Yes\n").unwrap();
        assert!(release.not_automatic && release.but_automatic_upgrades && !release.acquire_by_hash);
    }

    #[test]
    fn dates_come_in_several_dresses() {
        for date in [
            "Thu, 01 Jan 2026 00:00:00 UTC",
            "Fri, 1 Jan 2026 00:00:00 GMT",
            "Thu, 01 Jan 2026 00:00:00 +0000",
            "Thu, 01 Jan 2026 00:00:00 Z",
        ] {
            let release = Release::parse(&format!("Date: {date}\n")).unwrap();
            assert_eq!(release.date.unwrap().to_string(), "2026-01-01T00:00:00Z", "{date}");
        }
    }

    #[test]
    fn damage_is_named() {
        let said = |text: &str| Release::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(said(""), @"Release, line 1: the entry that ends here has no field");
        insta::assert_snapshot!(said("<html><body>Log in</body></html>\n"), @"Release, line 1: neither a field nor a continuation of one");
        insta::assert_snapshot!(said("Valid-Until: tomorrow\n"), @"Release, line 2: Valid-Until has a value that cannot be understood");
        insta::assert_snapshot!(said("SHA256:\n abc 1 main\n"), @"Release, line 3: SHA256 has a value that cannot be understood");
        insta::assert_snapshot!(said(&format!("SHA256:\n {} -1 main\n", "a".repeat(64))), @"Release, line 3: SHA256 has a value that cannot be understood");
    }

    const PIECES: &[&str] = &[
        "SHA256:",
        "SHA256:\n",
        "MD5Sum:\n",
        " e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        " 0",
        " -1",
        " 99999999999999999999",
        " main/binary-amd64/Packages",
        " ../../etc/passwd",
        "\n",
        "\n",
        "Date: Sat, 10 May 2025 09:44:05 UTC\n",
        "Date: Sat, 31 Feb 99999",
        "Valid-Until:",
        " +9999",
        "Suite: x\n",
        "NotAutomatic: yes\n",
        "Acquire-By-Hash: maybe\n",
        ":",
        " ",
        "\t",
        "é",
        "\0",
    ];

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = Release::parse(&text);
        }

        #[test]
        fn nearly_right_ones_are_read_or_refused(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..30)) {
            let text = pieces.concat();
            if let Ok(release) = Release::parse(&text) {
                proptest::prop_assert!(release.sha256.len() <= text.lines().count());
            }
        }
    }
}
