//! Which layer a package came with. Each build step rewrites a package database as a whole, so the database is compared
//! from layer to layer: a package came with the first layer since which it has been listed there at this version.

use super::families::list;
use crate::error::ParseError;
use lowtide_model::inventory::Package;
use std::collections::{BTreeMap, BTreeSet};

/// The package databases of the layers so far.
#[derive(Debug, Default)]
pub(super) struct Origin {
    databases: BTreeMap<String, Result<Vec<Package>, ParseError>>,
    since: BTreeMap<Identity, usize>,
}

/// Name, architecture, version.
type Identity = (String, String, String);

impl Origin {
    /// `layer` wrote or removed the `touched` files; `files` are all files after it. A damaged database is an error
    /// only if no later layer replaces or removes it.
    pub(super) fn see(&mut self, layer: usize, touched: &BTreeSet<String>, files: &BTreeMap<String, Vec<u8>>) {
        let mut any = false;
        for path in touched {
            let Some(read) = list::all().find_map(|family| family.database(path)) else {
                continue;
            };
            any = true;
            match files.get(path) {
                Some(bytes) => self.databases.insert(path.clone(), read(bytes).map_err(|e| e.at(path))),
                None => self.databases.remove(path),
            };
        }
        if !any {
            return;
        }
        let mut before = std::mem::take(&mut self.since);
        for package in self.databases.values().flatten().flatten() {
            let identity = identity(package);
            let since = before.remove(&identity).unwrap_or(layer);
            self.since.insert(identity, since);
        }
    }

    /// Sorted, each with its layer.
    pub(super) fn packages(self) -> Result<Vec<Package>, ParseError> {
        let mut packages = Vec::new();
        for database in self.databases.into_values() {
            packages.extend(database?);
        }
        for package in &mut packages {
            package.layer = self.since.get(&identity(package)).copied();
        }
        packages.sort();
        packages.dedup();
        Ok(packages)
    }
}

fn identity(package: &Package) -> Identity {
    let Package {
        name,
        architecture,
        version,
        ..
    } = package;
    (name.clone(), architecture.clone(), version.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(packages: &[(&str, &str)]) -> Vec<u8> {
        let stanza = |(name, version): &(&str, &str)| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n")
        };
        packages.iter().map(stanza).collect::<String>().into_bytes()
    }

    /// `None`: the layer does not touch the database; an empty text: it removes it.
    fn shown(layers: &[Option<Vec<u8>>]) -> Vec<String> {
        const PATH: &str = "var/lib/dpkg/status";
        let mut origin = Origin::default();
        let mut files = BTreeMap::new();
        for (n, layer) in layers.iter().enumerate() {
            let touched = layer.iter().map(|_| PATH.to_owned()).collect();
            match layer {
                Some(bytes) if bytes.is_empty() => files.remove(PATH),
                Some(bytes) => files.insert(PATH.to_owned(), bytes.clone()),
                None => None,
            };
            origin.see(n, &touched, &files);
        }
        let packages = origin.packages().unwrap();
        let line = |p: Package| format!("{} {} @{}", p.name, p.version, p.layer.unwrap());
        packages.into_iter().map(line).collect()
    }

    #[test]
    fn a_package_came_with_the_layer_since_which_it_stands_there() {
        let layers = [
            Some(status(&[("base", "1"), ("gone", "1"), ("back", "1"), ("up", "1")])),
            None,
            Some(status(&[("base", "1"), ("up", "2"), ("ours", "1")])),
            Some(status(&[("base", "1"), ("up", "2"), ("ours", "1"), ("back", "1")])),
        ];
        insta::assert_snapshot!(shown(&layers).join("\n"), @"
        back 1 @3
        base 1 @0
        ours 1 @2
        up 2 @2
        ");
    }

    #[test]
    fn a_database_may_go_and_come_back() {
        let layers = [
            Some(status(&[("a", "1")])),
            Some(Vec::new()),
            Some(status(&[("a", "1")])),
        ];
        assert_eq!(shown(&layers), ["a 1 @2"]);
        assert_eq!(shown(&layers[..2]), Vec::<String>::new());
    }

    #[test]
    fn damage_counts_when_it_stays() {
        let damaged = Some(b"rubbish".to_vec());
        let mended = Some(status(&[("a", "1")]));
        assert_eq!(shown(&[damaged.clone(), mended.clone()]), ["a 1 @1"]);
        let mut origin = Origin::default();
        let path = "var/lib/dpkg/status.d/tz".to_owned();
        origin.see(0, &[path.clone()].into(), &[(path, b"rubbish".to_vec())].into());
        insta::assert_snapshot!(origin.packages().unwrap_err(), @"var/lib/dpkg/status.d/tz, line 1: neither a field nor a continuation of one");
    }
}
