//! Which files belong to a package, as its package manager wrote down.

use super::families::list;
use super::layer::links;
use lowtide_model::inventory::{FileEntry, FileKind};
use lowtide_model::package_family::PackageFamily;
use std::collections::{BTreeMap, BTreeSet};

/// An image's files and the content of its wanted ones.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub(crate) files: &'a BTreeMap<String, FileEntry>,
    pub(crate) contents: &'a BTreeMap<String, Vec<u8>>,
}

/// Adds the files of these packages (family, name, architecture) to `found`, by path.
pub(super) fn owned(
    place: Place<'_>,
    packages: &BTreeSet<(PackageFamily, &str, &str)>,
    found: &mut BTreeMap<String, String>,
) {
    for family in PackageFamily::ALL {
        let of_it = packages.iter().filter(|(of, ..)| of == family);
        let of_it: BTreeSet<(&str, &str)> = of_it.map(|(_, name, architecture)| (*name, *architecture)).collect();
        if !of_it.is_empty() {
            list::of(*family).owned(place, &of_it, found);
        }
    }
}

impl Place<'_> {
    /// Package managers write paths as they were packed (`/lib/x` where `/lib` is a link to `usr/lib`), so links on the
    /// way are followed.
    pub(crate) fn add(&self, path: &str, package: &str, found: &mut BTreeMap<String, String>) {
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
        let contents = BTreeMap::from([
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
            contents: &contents,
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
