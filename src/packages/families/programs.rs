//! The programs of a family of package managers, as far as a list says it all.

pub(crate) struct Programs {
    /// They leave packages as they are, unless a word of theirs is a path of a database.
    pub(crate) harmless: &'static [&'static str],
    /// Those of the harmless ones that only look.
    pub(crate) readers: &'static [&'static str],
    /// Those of the harmless ones that change which package sources there are.
    pub(crate) sources: &'static [&'static str],
    /// Those of the harmless ones that leave package sources as they are, even if a word of theirs is a path of one.
    pub(crate) keys: &'static [&'static str],
    pub(crate) upgrade: Upgrade,
    /// Regular expressions for lines of a build's output which say that a package index was not refreshed, although the
    /// program goes on with the index it has (or none) and exits 0.
    pub(crate) stale_index: &'static [&'static str],
}

/// How all packages of an image are upgraded.
pub(crate) struct Upgrade {
    /// The program that shows that the image is of the family.
    pub(crate) program: &'static str,
    /// For /bin/sh. Files of the package's owner stay as they are; lists and caches do not swell the layer.
    pub(crate) script: &'static str,
}
