//! The few small files of an image whose content is stored: package databases, package sources, keyrings.

use crate::families::list;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// What an inventory needs, besides what each family of package managers requires.
const INVENTORY: &[&str] = &["etc/os-release", "usr/lib/os-release"];

/// Paths whose content is stored.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What stands before a star and after it; without a star, the whole path and nothing.
    patterns: Vec<(&'static str, Option<&'static str>)>,
    fingerprint: String,
}

impl Wanted {
    /// A pattern is a path without leading slash; one star in its last name stands for any part of it.
    #[must_use]
    pub fn new(patterns: &[&'static str]) -> Self {
        let mut hash = Sha256::new();
        for pattern in patterns {
            hash.update(pattern.as_bytes());
            hash.update([0]);
        }
        let split = |pattern: &&'static str| match pattern.split_once('*') {
            Some((before, after)) => (before, Some(after)),
            None => (*pattern, None),
        };
        Self {
            patterns: patterns.iter().map(split).collect(),
            fingerprint: crate::hash::hex(&hash.finalize()[..8]),
        }
    }

    /// All that the product reads of an image.
    #[must_use]
    pub fn inventory() -> &'static Self {
        static ALL: LazyLock<Wanted> = LazyLock::new(|| {
            let inventory = list::all().flat_map(|family| family.paths().inventory);
            let state = list::all().flat_map(|family| family.paths().state);
            let all = INVENTORY.iter().chain(inventory).chain(state);
            Wanted::new(&all.copied().collect::<Vec<_>>())
        });
        &ALL
    }

    /// `path` without leading slash.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.patterns.iter().any(|(before, after)| match after {
            None => path == *before,
            Some(after) => path
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|name| !name.contains('/')),
        })
    }

    /// Differs when the patterns do: a layer table that was stored for other patterns lacks files.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_wanted_and_other_files_not() {
        let wanted = Wanted::inventory();
        for path in [
            "var/lib/dpkg/status",
            "var/lib/dpkg/status.d/base",
            "var/lib/dpkg/info/libc6:amd64.list",
            "etc/apt/sources.list.d/debian.sources",
            "usr/share/keyrings/debian-archive-keyring.gpg",
            "lib/apk/db/installed",
            "etc/apk/repositories.d/own.list",
        ] {
            assert!(wanted.contains(path), "{path}");
        }
        for path in [
            "var/lib/dpkg/status-old",
            "var/lib/dpkg/status.d/a/b",
            "var/lib/dpkg/info/bash.md5sums",
            "srv/etc/apt/sources.list",
            "etc/apt/sources.list.d",
        ] {
            assert!(!wanted.contains(path), "{path}");
        }
    }

    #[test]
    fn the_fingerprint_follows_the_patterns() {
        let of = |patterns: &[&'static str]| Wanted::new(patterns).fingerprint().to_owned();
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
    }
}
