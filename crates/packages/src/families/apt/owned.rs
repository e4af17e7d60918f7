//! Which files belong to a package, as dpkg wrote down.

use crate::owned::Place;
use std::collections::{BTreeMap, BTreeSet};

/// As [`crate::families::family::Family::owned`].
pub(super) fn owned(place: Place<'_>, packages: &BTreeSet<(&str, &str)>, found: &mut BTreeMap<String, String>) {
    for (name, architecture) in packages {
        // dpkg(1), "FILES": `:arch` only for packages that may be there twice.
        for stem in [format!("{name}:{architecture}"), (*name).to_owned()] {
            let Some(list) = place.contents.get(&format!("var/lib/dpkg/info/{stem}.list")) else {
                continue;
            };
            for line in list.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                place.add(&String::from_utf8_lossy(line), name, found);
            }
            let info = format!("var/lib/dpkg/info/{stem}.");
            let of_it = place
                .files
                .range(info.clone()..)
                .take_while(|(path, _)| path.starts_with(&info));
            found.extend(of_it.map(|(path, _)| (path.clone(), (*name).to_owned())));
            break;
        }
    }
}
