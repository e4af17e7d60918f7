//! What the shared rules require of a family of package managers.

use super::paths::Paths;
use super::programs::Programs;
use crate::dockerfile::refresh::program::Program;
use crate::error::ParseError;
use crate::owned::Place;
use lowtide_model::inventory::Package;
use std::collections::{BTreeMap, BTreeSet};

/// Package managers that share a database of installed packages. Paths come without leading slash.
pub trait Family: Sync {
    fn paths(&self) -> &'static Paths;

    fn programs(&self) -> &'static Programs;

    /// Has an image with these files packages of the family?
    fn is_in(&self, files: &BTreeMap<String, Vec<u8>>) -> bool;

    /// How the package database at `path` is read; `None`: there is none of the family's.
    fn database(&self, path: &str) -> Option<ReadDatabase>;

    /// Adds the files of these packages (name, architecture) to `found`: path → package.
    fn owned(&self, place: Place<'_>, packages: &BTreeSet<(&str, &str)>, found: &mut BTreeMap<String, String>);

    /// What is stored of an image with these files, to survey it later.
    fn storage(&self, _files: &BTreeMap<String, Vec<u8>>) -> Storage {
        Storage::default()
    }

    /// What a program of this name does to packages when a build calls it; `None`: it is not one of the family's, or it
    /// leaves packages as they are ([`Programs::harmless`]).
    fn program(&self, name: &str) -> Option<Program>;

    /// Does a COPY or ADD that says `said` and writes to `to` change which package sources there are?
    fn copies_sources(&self, _said: &str, to: &str) -> bool {
        self.paths().sources.iter().any(|path| to.contains(path))
    }
}

/// Reads the installed packages.
pub type ReadDatabase = fn(&[u8]) -> Result<Vec<Package>, ParseError>;

/// Which files of an image are stored, and in which form.
pub struct Storage {
    /// Does the file at this path decide about upgrades? The result for files of others is `true`.
    pub matters: Box<dyn Fn(&str) -> bool>,
    /// Path and content → a shorter content that decides the same; `None`: it is stored as it is.
    pub condensed: fn(&str, &[u8]) -> Option<Vec<u8>>,
}

impl Default for Storage {
    /// All files, as they are.
    fn default() -> Self {
        Self {
            matters: Box::new(|_| true),
            condensed: |_, _| None,
        }
    }
}
