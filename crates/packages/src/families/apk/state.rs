//! What an image says that decides about its upgrades: apk's database, `world` and repositories.

use super::index::Index;
use super::relation::{Relation, words};
use super::repositories::{self, Source, Variables};
use crate::error::{ParseError, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// The files a reader of images has to collect, without leading slash; a star stands for one file name. Symbolic links are
/// followed inside the image. With a merged `/usr`, what is under `lib` really is under `usr/lib`.
pub const WANTED: &[&str] = &[
    "etc/apk/arch",
    "etc/apk/keys/*",
    "etc/apk/repositories",
    "etc/apk/repositories.d/*",
    "etc/apk/world",
    "lib/apk/db/installed",
    "lib/apk/keys/*",
    "lib/apk/repositories.d/*",
    "usr/lib/apk/db/installed",
    "usr/lib/apk/keys/*",
    "usr/lib/apk/repositories.d/*",
];

const WORLD: &str = "etc/apk/world";
/// Alpine's largest desktop images have a few hundred.
const MAX_WORLD: usize = 1 << 16;

/// All that the solution depends on besides the repositories.
#[derive(Debug, Clone)]
pub struct ApkState {
    /// The one that packages are taken of, then others that go with it.
    pub architectures: Vec<String>,
    /// In the order in which apk reads them.
    pub repositories: Vec<Source>,
    /// File name → content: whose indexes the image believes.
    pub keys: BTreeMap<String, Vec<u8>>,
    pub(in crate::families::apk) installed: Index,
    /// Without the file, apk does nothing at all.
    pub(in crate::families::apk) world: Option<Vec<Relation>>,
}

impl ApkState {
    /// Reads the files of [`WANTED`]; what is missing says nothing.
    ///
    /// # Errors
    /// A file that apk, too, would refuse, or read only a part of.
    pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, ParseError> {
        let installed = match lib(files, "apk/db/installed") {
            Some((path, text)) => installed(text, path)?,
            None => Index::default(),
        };
        let architectures = architectures(files, &installed);
        let repositories = sources(files, &architectures)?;
        let keys = ["usr/lib/apk/keys/", "lib/apk/keys/", "etc/apk/keys/"]
            .iter()
            .flat_map(|folder| {
                below(files, folder).map(|(path, text)| (path[folder.len()..].to_owned(), text.to_vec()))
            })
            .filter(|(name, _)| !name.starts_with('.'));
        Ok(Self {
            architectures,
            repositories,
            keys: keys.collect(),
            installed,
            world: world(files)?,
        })
    }

    /// How many packages are installed.
    #[must_use]
    pub fn installed(&self) -> usize {
        self.installed.len()
    }
}

fn installed(text: &[u8], path: &str) -> Result<Index, ParseError> {
    let installed = Index::read(text, path)?;
    let mut names = BTreeSet::new();
    for entry in installed.entries() {
        // apk would find one of the two by chance.
        if !names.insert(entry.name.to_owned()) {
            let said = format!("P:{}", entry.name);
            let mut lines = (1..)
                .zip(text.split(|b| *b == b'\n'))
                .filter(|(_, line)| *line == said.as_bytes());
            let line = lines.nth(1).map_or(0, |(number, _)| number);
            return Err(ParseError::new(
                path,
                line,
                Problem::BadValue("a package that is installed twice"),
            ));
        }
    }
    Ok(installed)
}

fn world(files: &BTreeMap<String, Vec<u8>>) -> Result<Option<Vec<Relation>>, ParseError> {
    let Some(text) = files.get(WORLD) else { return Ok(None) };
    let mut found = Vec::new();
    for (number, line) in (1..).zip(String::from_utf8_lossy(text).split('\n')) {
        for word in words(line) {
            let relation = Relation::parse(word, true);
            let bad = || ParseError::new(WORLD, number, Problem::BadValue("a dependency"));
            found.push(relation.ok_or_else(bad)?);
        }
        if found.len() > MAX_WORLD {
            let (of, limit) = ("dependencies", MAX_WORLD);
            return Err(ParseError::new(WORLD, number, Problem::TooMany { of, limit }));
        }
    }
    Ok(Some(found))
}

/// apk writes the architectures to `etc/apk/arch`. Without that file, the architecture of the first package which has
/// one counts.
fn architectures(files: &BTreeMap<String, Vec<u8>>, installed: &Index) -> Vec<String> {
    let listed = files.get("etc/apk/arch").map(|text| String::from_utf8_lossy(text));
    let listed = listed.as_deref().unwrap_or_default().split_whitespace();
    let found: Vec<String> = listed.map(ToOwned::to_owned).collect();
    if found.is_empty() {
        let made = |architecture: &&str| !matches!(*architecture, "" | "noarch");
        let first = installed.entries().map(|entry| entry.architecture).find(made);
        return first.map(ToOwned::to_owned).into_iter().collect();
    }
    found
}

/// The main file, then the parts in order of name; a part hides one of the same name in a later folder.
fn sources(files: &BTreeMap<String, Vec<u8>>, architectures: &[String]) -> Result<Vec<Source>, ParseError> {
    let mut variables = Variables::new();
    if let Some(architecture) = architectures.first() {
        variables.insert("APK_ARCH".to_owned(), architecture.clone());
    }
    let mut parts = BTreeMap::new();
    for folder in [
        "etc/apk/repositories.d/",
        "lib/apk/repositories.d/",
        "usr/lib/apk/repositories.d/",
    ] {
        for (path, text) in below(files, folder) {
            let name = &path[folder.len()..];
            if name.ends_with(".list") && !name.starts_with('.') {
                parts.entry(name).or_insert((path, text));
            }
        }
    }
    let main = files.get_key_value("etc/apk/repositories");
    let main = main.map(|(path, text)| (path.as_str(), text.as_slice()));
    let mut found = Vec::new();
    for (path, text) in main.into_iter().chain(parts.into_values()) {
        found.extend(repositories::parse(text, path, &mut variables)?);
    }
    Ok(found)
}

/// A file under `lib`, or where it is with a merged `/usr`.
fn lib<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Option<(&'a str, &'a [u8])> {
    let at = |folder: &str| files.get_key_value(&format!("{folder}/{name}"));
    let (path, text) = at("lib").or_else(|| at("usr/lib"))?;
    Some((path, text))
}

fn below<'a>(files: &'a BTreeMap<String, Vec<u8>>, folder: &str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let folder = folder.to_owned();
    files
        .range(folder.clone()..)
        .take_while(move |(path, _)| path.starts_with(&folder))
        .map(|(path, text)| (path.as_str(), text.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
        files.iter().map(owned).collect()
    }

    const INSTALLED: &str =
        "C:Q1a=\nP:alpine-keys\nV:2.4-r1\nA:noarch\n\nC:Q1b=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:ld\n\n";

    #[test]
    fn an_image_is_read_whole() {
        let state = ApkState::read(&files(&[
            ("etc/apk/arch", "x86_64\n"),
            ("etc/apk/keys/a.rsa.pub", "etc"),
            ("etc/apk/keys/.hidden", "no"),
            ("etc/apk/repositories", "https://dl.example.org/main\n"),
            ("etc/apk/repositories.d/b.list", "https://dl.example.org/b\n"),
            ("etc/apk/repositories.d/b.txt", "rubbish\n"),
            ("lib/apk/repositories.d/a.list", "https://dl.example.org/a\n"),
            ("lib/apk/repositories.d/b.list", "https://dl.example.org/hidden\n"),
            (
                "etc/apk/world",
                "alpine-baselayout\nbusybox@edge>1 !uclibc\n\n.deps=20240101.1\n",
            ),
            ("lib/apk/db/installed", INSTALLED),
            ("lib/apk/keys/a.rsa.pub", "lib"),
            ("lib/apk/keys/b.rsa.pub", "lib"),
        ]))
        .unwrap();
        assert_eq!(state.architectures, ["x86_64"]);
        assert_eq!(state.installed(), 2);
        let urls: Vec<&str> = state.repositories.iter().map(|source| source.url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "https://dl.example.org/main",
                "https://dl.example.org/a",
                "https://dl.example.org/b"
            ]
        );
        let world: Vec<String> = state.world.iter().flatten().map(ToString::to_string).collect();
        assert_eq!(
            world,
            ["alpine-baselayout", "busybox@edge>1", "!uclibc", ".deps=20240101.1"]
        );
        let keys: Vec<_> = state
            .keys
            .iter()
            .map(|(name, key)| (name.as_str(), key.as_slice()))
            .collect();
        assert_eq!(keys, [("a.rsa.pub", &b"etc"[..]), ("b.rsa.pub", &b"lib"[..])]);
    }

    #[test]
    fn the_merged_place_counts_and_a_package_names_the_architecture() {
        let state = ApkState::read(&files(&[("usr/lib/apk/db/installed", INSTALLED)])).unwrap();
        assert_eq!((state.installed(), state.architectures), (2, vec!["x86_64".to_owned()]));
        let nothing = ApkState::read(&BTreeMap::new()).unwrap();
        assert_eq!((nothing.installed(), nothing.architectures.len()), (0, 0));
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let said = |path: &str, text: &str| ApkState::read(&files(&[(path, text)])).unwrap_err().to_string();
        insta::assert_snapshot!(said("etc/apk/world", "musl\nfoo=\n"), @"etc/apk/world, line 2: a dependency has a value that cannot be understood");
        insta::assert_snapshot!(said("usr/lib/apk/db/installed", "P:a\n??"), @"usr/lib/apk/db/installed, line 2: neither a field nor a continuation of one");
        insta::assert_snapshot!(said("lib/apk/db/installed", &INSTALLED.repeat(2)), @"lib/apk/db/installed, line 14: a package that is installed twice has a value that cannot be understood");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(files: BTreeMap<String, Vec<u8>>, world: Vec<u8>, installed: Vec<u8>) {
            let _ = ApkState::read(&files);
            let _ = ApkState::read(&BTreeMap::from([(WORLD.to_owned(), world)]));
            let _ = ApkState::read(&BTreeMap::from([("lib/apk/db/installed".to_owned(), installed)]));
        }
    }
}
