//! The few small files of an image whose content is kept: package databases, package sources, keyrings.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// What an inventory and the question "is anything pending?" need. Paths without leading slash; `*` does not cross one.
pub const INVENTORY: &[&str] = &[
    "etc/os-release",
    "usr/lib/os-release",
    // dpkg: what is installed, for which architectures, and which file belongs to which package.
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/*",
    "var/lib/dpkg/arch",
    "var/lib/dpkg/info/*.list",
    // apt: sources.list(5), apt_preferences(5), apt.conf(5), apt-secure(8); the machine id decides on phased updates.
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*",
    "etc/apt/preferences",
    "etc/apt/preferences.d/*",
    "etc/apt/apt.conf",
    "etc/apt/apt.conf.d/*",
    "etc/apt/trusted.gpg",
    "etc/apt/trusted.gpg.d/*",
    "etc/apt/keyrings/*",
    "usr/share/keyrings/*",
    "usr/local/share/keyrings/*",
    "var/lib/apt/extended_states",
    "etc/machine-id",
    // apk: apk-world(5), apk-repositories(5), apk-keys(5).
    "lib/apk/db/installed",
    "usr/lib/apk/db/installed",
    "etc/apk/world",
    "etc/apk/arch",
    "etc/apk/repositories",
    "etc/apk/repositories.d/*",
    "etc/apk/keys/*",
    "usr/share/apk/keys/*",
];

/// Paths whose content is kept.
#[derive(Debug, Clone)]
pub struct Wanted {
    set: GlobSet,
    fingerprint: String,
}

/// A pattern that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is not a glob")]
pub struct InvalidGlob {
    pattern: String,
    #[source]
    source: globset::Error,
}

impl Wanted {
    /// # Errors
    /// When a pattern is no glob.
    pub fn new(patterns: &[&str]) -> Result<Self, InvalidGlob> {
        let mut set = GlobSetBuilder::new();
        let mut hash = Sha256::new();
        for pattern in patterns {
            let invalid = |source| InvalidGlob {
                pattern: (*pattern).to_owned(),
                source,
            };
            set.add(
                GlobBuilder::new(pattern)
                    .literal_separator(true)
                    .build()
                    .map_err(invalid)?,
            );
            hash.update(pattern.as_bytes());
            hash.update([0]);
        }
        let set = set.build().map_err(|source| InvalidGlob {
            pattern: patterns.join(" "),
            source,
        })?;
        let fingerprint = crate::packages::hash::hex(&hash.finalize()[..8]);
        Ok(Self { set, fingerprint })
    }

    /// [`INVENTORY`], compiled once.
    #[must_use]
    pub fn inventory() -> &'static Self {
        #[expect(clippy::unwrap_used, reason = "a constant, and tests compile it")]
        static COMPILED: LazyLock<Wanted> = LazyLock::new(|| Wanted::new(INVENTORY).unwrap());
        &COMPILED
    }

    /// `path` without leading slash.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.set.is_match(path)
    }

    /// Differs when the patterns do: a layer table that was kept for other patterns lacks files.
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
        let of = |patterns: &[&str]| Wanted::new(patterns).unwrap().fingerprint().to_owned();
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert!(Wanted::new(&["a["]).is_err());
    }
}
