//! Debian's family: dpkg installs the packages, apt fetches them.

use super::calls::{apt, dpkg};
use super::condensed::condensed;
use super::owned::owned;
use super::paths::PATHS;
use super::programs::PROGRAMS;
use super::status;
use crate::dockerfile::refresh::program::Program;
use crate::families::family::{Family, ReadDatabase, Storage};
use crate::families::paths::Paths;
use crate::families::programs::Programs;
use crate::owned::Place;
use lowtide_apt::state::{AptState, STATUS, is_status};
use std::collections::{BTreeMap, BTreeSet};

/// Not stored: the file lists of packages do not affect upgrades, and would be most of the data.
const FILE_LISTS: &str = "var/lib/dpkg/info/";

pub struct Apt;

impl Family for Apt {
    fn paths(&self) -> &'static Paths {
        &PATHS
    }

    fn programs(&self) -> &'static Programs {
        &PROGRAMS
    }

    fn is_in(&self, files: &BTreeMap<String, Vec<u8>>) -> bool {
        files.keys().any(|path| path.starts_with(STATUS))
    }

    fn database(&self, path: &str) -> Option<ReadDatabase> {
        is_status(path).then_some(status::parse)
    }

    fn owned(&self, place: Place<'_>, packages: &BTreeSet<(&str, &str)>, found: &mut BTreeMap<String, String>) {
        owned(place, packages, found);
    }

    fn storage(&self, files: &BTreeMap<String, Vec<u8>>) -> Storage {
        let read = AptState::read(files);
        let legible = read.is_ok();
        let keyrings = read.map(|state| state.keyrings()).unwrap_or_default();
        let matters = move |path: &str| {
            let of_a_source = || keyrings.iter().any(|keyring| keyring == path);
            !path.starts_with(FILE_LISTS) && (!is_keyring(path) || of_a_source())
        };
        Storage {
            matters: Box::new(matters),
            // A status file that cannot be parsed is stored unchanged: the error names a line of it.
            condensed: if legible {
                |path, bytes| is_status(path).then(|| condensed(bytes))
            } else {
                |_, _| None
            },
        }
    }

    fn program(&self, name: &str) -> Option<Program> {
        match name {
            "apt-get" | "apt" | "aptitude" => Some(apt::apt),
            "apt-mark" => Some(apt::apt_mark),
            "unattended-upgrade" | "unattended-upgrades" => Some(apt::unattended),
            "dpkg" => Some(dpkg::dpkg),
            _ => None,
        }
    }

    fn copies_sources(&self, said: &str, to: &str) -> bool {
        let to_a_folder_above = || to.contains("etc/apt") && said.contains("sources");
        PATHS.sources.iter().any(|path| to.contains(path)) || to_a_folder_above()
    }
}

/// A key that only counts for the sources that name it (`Signed-By` in sources.list(5)); distributions ship many more.
fn is_keyring(path: &str) -> bool {
    let folders = ["usr/share/keyrings/", "usr/local/share/keyrings/", "etc/apt/keyrings/"];
    folders.iter().any(|folder| path.starts_with(folder))
}
