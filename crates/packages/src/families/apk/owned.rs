//! Which files belong to a package, as apk wrote down.

use super::paths::DATABASES;
use crate::owned::Place;
use std::collections::{BTreeMap, BTreeSet};

/// As [`crate::families::family::Family::owned`].
pub(super) fn owned(place: Place<'_>, packages: &BTreeSet<(&str, &str)>, found: &mut BTreeMap<String, String>) {
    let names: BTreeSet<&str> = packages.iter().map(|(name, _)| *name).collect();
    for installed in DATABASES.iter().filter_map(|path| place.contents.get(*path)) {
        listed(place, installed, &names, found);
    }
}

/// `F:` names a directory, each `R:` after it a file in there (apk-package(5)).
fn listed(place: Place<'_>, installed: &[u8], packages: &BTreeSet<&str>, found: &mut BTreeMap<String, String>) {
    let (mut package, mut directory) = (None, String::new());
    for line in String::from_utf8_lossy(installed).lines() {
        match line.split_once(':') {
            Some(("P", name)) => package = packages.get(name).copied(),
            Some(("F", path)) => {
                path.clone_into(&mut directory);
                if let Some(package) = package {
                    place.add(path, package, found);
                }
            }
            Some(("R", name)) => {
                if let Some(package) = package {
                    place.add(&format!("{directory}/{name}"), package, found);
                }
            }
            Some(_) | None => {}
        }
    }
}
