//! The programs of a family of package managers, as far as a list says it all.

pub struct Programs {
    /// They leave packages as they are, unless a word of theirs is a path of a database.
    pub harmless: &'static [&'static str],
    /// Those of the harmless ones that only look.
    pub readers: &'static [&'static str],
    /// Those of the harmless ones that change which package sources there are.
    pub sources: &'static [&'static str],
    /// Those of the harmless ones that leave package sources as they are, even if a word of theirs is a path of one.
    pub keys: &'static [&'static str],
    pub upgrade: Upgrade,
    /// Regular expressions for lines of a build's output which say that a package index was not refreshed, although the
    /// program goes on with the index it has (or none) and exits 0.
    pub stale_index: &'static [&'static str],
}

/// How all packages of an image are upgraded.
pub struct Upgrade {
    /// The program that shows that the image is of the family.
    pub program: &'static str,
    /// For /bin/sh. Files of the package's owner stay as they are; lists and caches do not swell the layer.
    pub script: &'static str,
}
