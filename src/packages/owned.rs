//! Which files belong to a package, as its package manager wrote down.

use super::layer::links;
use crate::model::inventory::{FileEntry, FileKind, PackageFamily};
use std::collections::{BTreeMap, BTreeSet};

/// An image's files and the content of its wanted ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) files: &'a BTreeMap<String, FileEntry>,
    pub(super) kept: &'a BTreeMap<String, Vec<u8>>,
}

/// Adds the files of these packages (family, name, architecture) to `found`, by path. Package managers write paths as
/// they were packed (`/lib/x` where `/lib` is a link to `usr/lib`), so links on the way are followed.
pub(super) fn owned(
    place: Place<'_>,
    packages: &BTreeSet<(PackageFamily, &str, &str)>,
    found: &mut BTreeMap<String, String>,
) {
    for (family, name, architecture) in packages {
        if *family == PackageFamily::Dpkg {
            // dpkg(1), "FILES": `:arch` only for packages that may be there twice.
            for stem in [format!("{name}:{architecture}"), (*name).to_owned()] {
                let Some(list) = place.kept.get(&format!("var/lib/dpkg/info/{stem}.list")) else {
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
    let apk: BTreeSet<&str> = packages
        .iter()
        .filter(|p| p.0 == PackageFamily::Apk)
        .map(|p| p.1)
        .collect();
    for database in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        if let Some(installed) = place.kept.get(database).filter(|_| !apk.is_empty()) {
            place.apk(installed, &apk, found);
        }
    }
}

impl Place<'_> {
    fn add(&self, path: &str, package: &str, found: &mut BTreeMap<String, String>) {
        let link = |p: &str| match &self.files.get(p)?.kind {
            FileKind::Symlink { target } => Some(target.as_str()),
            FileKind::File { .. }
            | FileKind::Directory
            | FileKind::Hardlink { .. }
            | FileKind::Device { .. }
            | FileKind::Fifo => None,
        };
        if let Some(path) = links::resolve(path, false, link) {
            found.insert(path, package.to_owned());
        }
    }

    /// `F:` names a directory, each `R:` after it a file in there (apk-package(5)).
    fn apk(&self, installed: &[u8], packages: &BTreeSet<&str>, found: &mut BTreeMap<String, String>) {
        let (mut package, mut directory) = (None, String::new());
        for line in String::from_utf8_lossy(installed).lines() {
            match line.split_once(':') {
                Some(("P", name)) => package = packages.get(name).copied(),
                Some(("F", path)) => {
                    path.clone_into(&mut directory);
                    if let Some(package) = package {
                        self.add(path, package, found);
                    }
                }
                Some(("R", name)) => {
                    if let Some(package) = package {
                        self.add(&format!("{directory}/{name}"), package, found);
                    }
                }
                Some(_) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_followed_through_links() {
        let file = |kind| FileEntry {
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            capability: None,
        };
        let target = "usr/lib".to_owned();
        let files = BTreeMap::from([
            ("lib".to_owned(), file(FileKind::Symlink { target })),
            (
                "var/lib/dpkg/info/libc6:amd64.postinst".to_owned(),
                file(FileKind::Fifo),
            ),
            ("var/lib/dpkg/info/libc6-dev.list".to_owned(), file(FileKind::Fifo)),
        ]);
        let kept = BTreeMap::from([
            (
                "var/lib/dpkg/info/libc6:amd64.list".to_owned(),
                b"/.\n/lib\n/lib/libc.so.6\n".to_vec(),
            ),
            ("var/lib/dpkg/info/other.list".to_owned(), b"/usr/bin/other\n".to_vec()),
            (
                "lib/apk/db/installed".to_owned(),
                b"P:musl\nV:1\nF:lib\nR:ld.so\na:0:0:755\n\nP:zlib\nF:usr\nR:z\n".to_vec(),
            ),
        ]);
        let mut found = BTreeMap::new();
        let packages = BTreeSet::from([
            (PackageFamily::Dpkg, "libc6", "amd64"),
            (PackageFamily::Apk, "musl", "x86_64"),
        ]);
        let place = Place {
            files: &files,
            kept: &kept,
        };
        owned(place, &packages, &mut found);
        let lines: Vec<String> = found
            .iter()
            .map(|(path, package)| format!("{path} {package}"))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
         libc6
        lib musl
        usr/lib/ld.so musl
        usr/lib/libc.so.6 libc6
        var/lib/dpkg/info/libc6:amd64.postinst libc6
        ");
    }
}
