//! Alpine's family: apk does everything.

use super::calls::apk;
use super::installed;
use super::owned::owned;
use super::paths::{DATABASES, PATHS};
use super::programs::PROGRAMS;
use crate::dockerfile::refresh::program::Program;
use crate::families::family::{Family, ReadDatabase};
use crate::families::paths::Paths;
use crate::families::programs::Programs;
use crate::owned::Place;
use std::collections::{BTreeMap, BTreeSet};

pub struct Apk;

impl Family for Apk {
    fn paths(&self) -> &'static Paths {
        &PATHS
    }

    fn programs(&self) -> &'static Programs {
        &PROGRAMS
    }

    fn is_in(&self, files: &BTreeMap<String, Vec<u8>>) -> bool {
        DATABASES.iter().any(|path| files.contains_key(*path))
    }

    fn database(&self, path: &str) -> Option<ReadDatabase> {
        path.ends_with("lib/apk/db/installed").then_some(installed::parse)
    }

    fn owned(&self, place: Place<'_>, packages: &BTreeSet<(&str, &str)>, found: &mut BTreeMap<String, String>) {
        owned(place, packages, found);
    }

    fn program(&self, name: &str) -> Option<Program> {
        (name == "apk").then_some(apk)
    }
}
