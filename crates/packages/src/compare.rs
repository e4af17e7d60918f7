//! What differs between two images in full, and what it means.
//!
//! The verdict is careful: a difference is less than functional only when everything about it is known. Files count as a
//! package's only when the package's own list names them, so what a maintainer script generates (certificates' bundles,
//! caches that are not ignored) makes an upgrade functional.

use super::diff::parts;
use super::owned::{Place, owned};
use lowtide_model::comparison::{
    Comparison, ConfigDelta, FileDelta, FileDifference, LayerDelta, PackageAt, PackageDelta, Significance,
};
use lowtide_model::inventory::{FileEntry, FileKind, Inventory, Package};
use lowtide_model::package_family::PackageFamily;
use std::collections::{BTreeMap, BTreeSet};

/// One of the images, with the content of its small files (`packages::layer::wanted`).
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub inventory: &'a Inventory,
    pub contents: &'a BTreeMap<String, Vec<u8>>,
}

/// Compares. `security` says of a package that differs whether its new version is from a security origin; `None` where
/// it does not know, which counts as functional.
#[must_use]
pub fn compare(old: Side<'_>, new: Side<'_>, security: &dyn Fn(&PackageDelta) -> Option<bool>) -> Comparison {
    let mut packages = packages(&old.inventory.packages, &new.inventory.packages);
    for package in &mut packages {
        package.security = security(package);
    }
    let config = config(old.inventory, new.inventory);
    let files = files(old, new, &packages);
    let (before, after) = (&old.inventory.layers, &new.inventory.layers);
    Comparison {
        verdict: verdict(&packages, &config, &files),
        packages,
        config,
        files,
        layers: LayerDelta {
            shared: before.iter().zip(after).take_while(|(a, b)| a == b).count(),
            old: before.clone(),
            new: after.clone(),
        },
    }
}

fn verdict(packages: &[PackageDelta], config: &[ConfigDelta], files: &[FileDelta]) -> Significance {
    let is_fix = |p: &PackageDelta| p.old.is_some() && p.new.is_some() && p.security == Some(true);
    let fixed: BTreeSet<&str> = packages.iter().filter(|p| is_fix(p)).map(|p| p.name.as_str()).collect();
    let of_a_fix = |file: &FileDelta| file.package.as_deref().is_some_and(|p| fixed.contains(p));
    if packages.is_empty() && config.is_empty() && files.is_empty() {
        Significance::None
    } else if !packages.iter().all(is_fix)
        || !config.iter().all(|part| part.cosmetic)
        || !files.iter().all(|file| file.cosmetic || of_a_fix(file))
    {
        Significance::Functional
    } else if packages.is_empty() {
        Significance::Cosmetic
    } else {
        Significance::Security
    }
}

/// Family, name, architecture.
type Key<'a> = (PackageFamily, &'a str, &'a str);

fn packages(old: &[Package], new: &[Package]) -> Vec<PackageDelta> {
    let (before, after) = (instances(old), instances(new));
    let keys: BTreeSet<&Key<'_>> = before.keys().chain(after.keys()).collect();
    let mut deltas = Vec::new();
    for key in keys {
        let versions = |side: &BTreeMap<Key<'_>, Vec<&Package>>| -> Vec<PackageAt> {
            let at = |p: &&Package| PackageAt {
                version: p.version.clone(),
                layer: p.layer,
            };
            side.get(key).into_iter().flatten().map(at).collect()
        };
        // Kernels and the like are there in several versions: those in both are no difference.
        let (mut before, mut after) = (versions(&before), versions(&after));
        let in_both = |list: &[PackageAt], other: &PackageAt| list.iter().any(|at| at.version == other.version);
        let all_after = after.clone();
        after.retain(|at| !in_both(&before, at));
        before.retain(|at| !in_both(&all_after, at));
        for n in 0..before.len().max(after.len()) {
            deltas.push(PackageDelta {
                family: key.0,
                name: key.1.to_owned(),
                architecture: key.2.to_owned(),
                old: before.get(n).cloned(),
                new: after.get(n).cloned(),
                security: None,
            });
        }
    }
    deltas
}

fn instances(packages: &[Package]) -> BTreeMap<Key<'_>, Vec<&Package>> {
    let mut instances: BTreeMap<Key<'_>, Vec<&Package>> = BTreeMap::new();
    for p in packages {
        instances
            .entry((p.family, &p.name, &p.architecture))
            .or_default()
            .push(p);
    }
    instances
}

fn config(old: &Inventory, new: &Inventory) -> Vec<ConfigDelta> {
    let mut deltas = Vec::new();
    for ((part, before), (_, after)) in parts(&old.config).into_iter().zip(parts(&new.config)) {
        if before == after {
            continue;
        }
        let (old, new) = match part {
            "labels" => (pairs(&before), pairs(&after)),
            "env" | "exposed_ports" | "volumes" => (before, after),
            _ => {
                let (old, new) = (before, after);
                deltas.push(ConfigDelta {
                    part,
                    old,
                    new,
                    cosmetic: false,
                });
                continue;
            }
        };
        let only = |list: &[String], other: &[String]| -> Vec<String> {
            list.iter().filter(|value| !other.contains(value)).cloned().collect()
        };
        let (mut only_old, mut only_new) = (only(&old, &new), only(&new, &old));
        if only_old.is_empty() && only_new.is_empty() {
            (only_old, only_new) = (old, new);
        }
        let describes = |label: &String| describes(label.split('=').next().unwrap_or_default());
        let cosmetic = part == "labels" && only_old.iter().chain(&only_new).all(describes);
        deltas.push(ConfigDelta {
            part,
            old: only_old,
            new: only_new,
            cosmetic,
        });
    }
    deltas
}

/// `key=value` of a list of keys and values.
fn pairs(flat: &[String]) -> Vec<String> {
    flat.chunks(2).map(|pair| pair.join("=")).collect()
}

/// Labels that say what an image is (OCI image-spec, annotations.md; its forerunner). Others may steer whoever runs it: a
/// proxy, a scheduler, a tool of ours.
fn describes(label: &str) -> bool {
    label == "maintainer" || label.starts_with("org.opencontainers.image.") || label.starts_with("org.label-schema.")
}

fn files(old: Side<'_>, new: Side<'_>, packages: &[PackageDelta]) -> Vec<FileDelta> {
    let (before, after) = (&old.inventory.files, &new.inventory.files);
    let named: BTreeSet<Key<'_>> = packages
        .iter()
        .map(|p| (p.family, p.name.as_str(), p.architecture.as_str()))
        .collect();
    let mut owners = BTreeMap::new();
    for side in [old, new] {
        let place = Place {
            files: &side.inventory.files,
            contents: side.contents,
        };
        owned(place, &named, &mut owners);
    }
    let mut deltas = Vec::new();
    let mut add = |path: &String, how: FileDifference, sides: &[&FileEntry]| {
        deltas.push(FileDelta {
            path: path.clone(),
            how,
            package: owners.get(path).cloned(),
            cosmetic: is_documentation(path) && sides.iter().all(|file| is_inert(file)),
        });
    };
    for (path, file) in before {
        match after.get(path) {
            None => add(path, FileDifference::Removed, &[file]),
            Some(other) if other != file => add(path, changed(file, other), &[file, other]),
            Some(_) => {}
        }
    }
    for (path, file) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
        add(path, FileDifference::Added, &[file]);
    }
    deltas.sort_by(|a, b| a.path.cmp(&b.path));
    deltas
}

fn changed(old: &FileEntry, new: &FileEntry) -> FileDifference {
    FileDifference::Changed {
        content: old.kind != new.kind,
        mode: old.mode != new.mode || old.capability != new.capability,
        owner: (old.uid, old.gid) != (new.uid, new.gid),
    }
}

/// Directories whose files nothing but people read (Filesystem Hierarchy Standard §4.11; Debian Policy §12).
fn is_documentation(path: &str) -> bool {
    const DIRECTORIES: &[&str] = &[
        "usr/share/doc",
        "usr/share/doc-base",
        "usr/share/info",
        "usr/share/lintian",
        "usr/share/man",
        "usr/local/share/doc",
        "usr/local/share/info",
        "usr/local/share/man",
    ];
    let inside = |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    DIRECTORIES.iter().any(|dir| inside(dir))
}

/// No rights that running it would give.
fn is_inert(file: &FileEntry) -> bool {
    let plain = match file.kind {
        FileKind::File { .. } | FileKind::Symlink { .. } | FileKind::Directory => true,
        // A link's other name may lie anywhere.
        FileKind::Hardlink { .. } | FileKind::Device { .. } | FileKind::Fifo => false,
    };
    plain && file.mode & 0o6000 == 0 && file.capability.is_none()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
