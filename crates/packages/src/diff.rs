//! What differs between two inventories, and the content digest of one. Both look at the same things: packages (name,
//! architecture, version), image config, files. Neither looks at the image id or at any time.

use lowtide_model::image::ContentDigest;
use lowtide_model::inventory::{
    Change, FileChanges, FileEntry, FileKind, ImageConfig, Inventory, Package, PackageChange,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The digest of what the image contains. Equal for two inventories exactly when [`change`] between them is empty.
#[must_use]
pub fn content(inventory: &Inventory) -> ContentDigest {
    let mut hash = Canonical(Sha256::new());
    hash.text("lowtide content 1");
    let packages = versions(&inventory.packages);
    hash.number(packages.len() as u64);
    for (name, versions) in packages {
        hash.text(name);
        hash.number(versions.len() as u64);
        for (architecture, version) in versions {
            hash.text(architecture);
            hash.text(version);
        }
    }
    for (name, values) in parts(&inventory.config) {
        hash.text(name);
        hash.number(values.len() as u64);
        values.iter().for_each(|value| hash.text(value));
    }
    hash.number(inventory.files.len() as u64);
    for (path, entry) in &inventory.files {
        hash.text(path);
        hash.file(entry);
    }
    hash.finish()
}

/// What differs between `old` and `new`.
#[must_use]
pub fn change(old: &Inventory, new: &Inventory) -> Change {
    let config = parts(&old.config)
        .into_iter()
        .zip(parts(&new.config))
        .filter(|(old, new)| old.1 != new.1)
        .map(|((name, _), _)| name.to_owned())
        .collect();
    Change {
        packages: packages(&versions(&old.packages), &versions(&new.packages)),
        config,
        files: files(&old.files, &new.files),
    }
}

/// (architecture, version) of every installed instance, sorted: kernels and foreign architectures are there twice.
type Versions<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a str)>>;

fn versions(packages: &[Package]) -> Versions<'_> {
    let mut versions = Versions::new();
    for p in packages {
        versions.entry(&p.name).or_default().push((&p.architecture, &p.version));
    }
    versions.values_mut().for_each(|list| list.sort_unstable());
    versions
}

fn packages(old: &Versions<'_>, new: &Versions<'_>) -> Vec<PackageChange> {
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let mut changes = Vec::new();
    for name in names {
        let (before, after) = (of(old, name), of(new, name));
        if before == after {
            continue;
        }
        if before.len() <= 1 && after.len() <= 1 {
            // Only a change of architecture alone has to be spelled out.
            let spelled = before.first().map(|p| p.1) == after.first().map(|p| p.1);
            let shown = |list: &[(&str, &str)]| {
                let (architecture, version) = list.first()?;
                Some(if spelled {
                    format!("{version} ({architecture})")
                } else {
                    (*version).to_owned()
                })
            };
            changes.push(PackageChange {
                name: name.to_owned(),
                old: shown(before),
                new: shown(after),
            });
            continue;
        }
        let architectures: BTreeSet<&str> = before.iter().chain(after).map(|p| p.0).collect();
        for architecture in architectures {
            let shown = |list: &[(&str, &str)]| {
                let versions: Vec<&str> = list.iter().filter(|p| p.0 == architecture).map(|p| p.1).collect();
                (!versions.is_empty()).then(|| versions.join(", "))
            };
            let (old, new) = (shown(before), shown(after));
            if old != new {
                changes.push(PackageChange {
                    name: format!("{name}:{architecture}"),
                    old,
                    new,
                });
            }
        }
    }
    changes
}

fn of<'a>(versions: &'a Versions<'a>, name: &str) -> &'a [(&'a str, &'a str)] {
    versions.get(name).map_or(&[], Vec::as_slice)
}

fn files(old: &BTreeMap<String, FileEntry>, new: &BTreeMap<String, FileEntry>) -> FileChanges {
    let mut changes = FileChanges::default();
    let mut examples = BTreeSet::new();
    let mut note = |path: &String| {
        examples.insert(path.clone());
        if examples.len() > FileChanges::EXAMPLES {
            examples.pop_last();
        }
    };
    for (path, entry) in old {
        match new.get(path) {
            None => {
                changes.removed += 1;
                note(path);
            }
            Some(other) if other != entry => {
                changes.changed += 1;
                note(path);
            }
            Some(_) => {}
        }
    }
    for path in new.keys().filter(|path| !old.contains_key(*path)) {
        changes.added += 1;
        note(path);
    }
    changes.examples = examples.into_iter().collect();
    changes
}

/// The parts of a config by the names a report uses. Destructured, so that a new part cannot be forgotten here.
pub(super) fn parts(config: &ImageConfig) -> Vec<(&'static str, Vec<String>)> {
    let ImageConfig {
        env,
        entrypoint,
        cmd,
        user,
        working_dir,
        exposed_ports,
        volumes,
        labels,
        stop_signal,
        healthcheck,
    } = config;
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let label = |(key, value): (&String, &String)| [key.clone(), value.clone()];
    vec![
        ("env", env.clone()),
        ("entrypoint", entrypoint.clone()),
        ("cmd", cmd.clone()),
        ("user", vec![user.clone()]),
        ("working_dir", vec![working_dir.clone()]),
        ("exposed_ports", sorted(exposed_ports)),
        ("volumes", sorted(volumes)),
        ("labels", labels.iter().flat_map(label).collect()),
        ("stop_signal", stop_signal.iter().cloned().collect()),
        ("healthcheck", healthcheck.iter().cloned().collect()),
    ]
}

/// Every value with its length before it, so that no two sequences of values give the same bytes.
struct Canonical(Sha256);

impl Canonical {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }
    fn file(&mut self, entry: &FileEntry) {
        let FileEntry {
            kind,
            mode,
            uid,
            gid,
            capability,
        } = entry;
        match kind {
            FileKind::File { sha256, size } => {
                self.text("file");
                self.text(&sha256.to_string());
                self.number(*size);
            }
            FileKind::Directory => self.text("directory"),
            FileKind::Symlink { target } => {
                self.text("symlink");
                self.text(target);
            }
            FileKind::Hardlink { target } => {
                self.text("hardlink");
                self.text(target);
            }
            FileKind::Device { major, minor } => {
                self.text("device");
                self.number(u64::from(*major));
                self.number(u64::from(*minor));
            }
            FileKind::Fifo => self.text("fifo"),
        }
        self.number(u64::from(*mode));
        self.number(*uid);
        self.number(*gid);
        self.number(u64::from(capability.is_some()));
        self.text(capability.as_deref().unwrap_or_default());
    }
    fn finish(self) -> ContentDigest {
        ContentDigest::of_sha256(&self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::file_hash::FileHash;
    use lowtide_model::image::Platform;
    use lowtide_model::package_family::PackageFamily;
    use proptest::prelude::*;

    fn package(name: &str, architecture: &str, version: &str) -> Package {
        Package {
            name: name.to_owned(),
            architecture: architecture.to_owned(),
            version: version.to_owned(),
            source: None,
            family: PackageFamily::Dpkg,
            held: false,
            layer: None,
        }
    }

    fn inventory(packages: Vec<Package>, config: ImageConfig, files: BTreeMap<String, FileEntry>) -> Inventory {
        Inventory {
            image: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            platform: Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                variant: None,
            },
            os: None,
            packages,
            config,
            layers: Vec::new(),
            files,
        }
    }

    fn shown(old: &[Package], new: &[Package]) -> String {
        let list = |p: &[Package]| inventory(p.to_vec(), ImageConfig::default(), BTreeMap::new());
        let lines: Vec<String> = change(&list(old), &list(new))
            .packages
            .into_iter()
            .map(|p| {
                format!(
                    "{} {} -> {}",
                    p.name,
                    p.old.unwrap_or("-".into()),
                    p.new.unwrap_or("-".into())
                )
            })
            .collect();
        lines.join("\n")
    }

    #[test]
    fn packages_are_reported_by_name_and_where_needed_by_architecture() {
        let old = [
            package("bash", "amd64", "5.1"),
            package("gone", "all", "1"),
            package("libc6", "amd64", "2.36"),
            package("libc6", "i386", "2.36"),
            package("moved", "amd64", "1"),
            package("same", "all", "9"),
        ];
        let new = [
            package("bash", "amd64", "5.2"),
            package("came", "all", "1"),
            package("libc6", "amd64", "2.37"),
            package("libc6", "i386", "2.36"),
            package("moved", "all", "1"),
            package("same", "all", "9"),
        ];
        insta::assert_snapshot!(shown(&old, &new), @r"
        bash 5.1 -> 5.2
        came - -> 1
        gone 1 -> -
        libc6:amd64 2.36 -> 2.37
        moved 1 (amd64) -> 1 (all)
        ");
    }

    #[test]
    fn files_are_counted_and_the_first_shown() {
        let file = |mode| FileEntry {
            kind: FileKind::Fifo,
            mode,
            uid: 0,
            gid: 0,
            capability: None,
        };
        let old: BTreeMap<_, _> = (0..30)
            .map(|n| (format!("old/{n:02}"), file(0)))
            .chain([("a".to_owned(), file(0))])
            .collect();
        let new: BTreeMap<_, _> = (0..9)
            .map(|n| (format!("new/{n:02}"), file(0)))
            .chain([("a".to_owned(), file(1))])
            .collect();
        let change = change(
            &inventory(vec![], ImageConfig::default(), old),
            &inventory(vec![], ImageConfig::default(), new),
        );
        assert_eq!(
            (change.files.added, change.files.removed, change.files.changed),
            (9, 30, 1)
        );
        assert_eq!(change.files.examples.len(), FileChanges::EXAMPLES);
        assert_eq!(change.files.examples[..2], ["a", "new/00"]);
    }

    fn any_inventory() -> impl Strategy<Value = Inventory> {
        let word = || "[ab]{0,2}";
        let words = || prop::collection::vec(word(), 0..3);
        let packages = prop::collection::vec((word(), word(), word()), 0..4)
            .prop_map(|list| list.iter().map(|(n, a, v)| package(n, a, v)).collect::<Vec<_>>());
        let config = (
            words(),
            words(),
            words(),
            word(),
            prop::collection::btree_map(word(), word(), 0..2),
            prop::option::of(word()),
        )
            .prop_map(|(env, cmd, volumes, user, labels, healthcheck)| ImageConfig {
                env,
                cmd,
                volumes,
                user,
                labels,
                healthcheck,
                ..ImageConfig::default()
            });
        let kind = prop_oneof![
            Just(FileKind::Directory),
            Just(FileKind::Fifo),
            word().prop_map(|target| FileKind::Symlink { target }),
            word().prop_map(|target| FileKind::Hardlink { target }),
            (0u8..2, 0u64..2).prop_map(|(hash, size)| FileKind::File {
                sha256: FileHash([hash; 32]),
                size
            }),
            (0u32..2, 0u32..2).prop_map(|(major, minor)| FileKind::Device { major, minor }),
        ];
        let entry = (kind, 0u32..2, 0u64..2, 0u64..2, prop::option::of(word())).prop_map(
            |(kind, mode, uid, gid, capability)| FileEntry {
                kind,
                mode,
                uid,
                gid,
                capability,
            },
        );
        (packages, config, prop::collection::btree_map(word(), entry, 0..3))
            .prop_map(|(packages, config, files)| inventory(packages, config, files))
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself(a in any_inventory()) {
            prop_assert!(change(&a, &a).is_empty());
        }

        #[test]
        fn content_is_equal_exactly_when_nothing_differs(a in any_inventory(), b in any_inventory()) {
            prop_assert_eq!(content(&a) == content(&b), change(&a, &b).is_empty());
        }

        /// Two independent inventories are nearly never alike, so one is made from the other by reordering.
        #[test]
        fn order_and_image_id_do_not_matter(a in any_inventory()) {
            let mut b = a.clone();
            b.packages.reverse();
            b.config.volumes.reverse();
            b.image = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
            prop_assert_eq!(content(&a), content(&b));
            prop_assert!(change(&a, &b).is_empty());
        }
    }
}
