//! A root's own copy of the archives: the files that `apt-get update` left in `var/lib/apt/lists`.

use lowtide_apt::index::read::Index;
use lowtide_apt::pending::{Suite, SuiteIndex};
use lowtide_apt::release::Release;
use lowtide_apt::sources::Source;
use lowtide_apt::state::{AptState, WANTED};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Indexes by inode: roots share the files of equal archives.
#[derive(Default)]
pub(crate) struct Indexes {
    known: HashMap<u64, Rc<Index>>,
    pub(crate) bytes: u64,
    pub(crate) parsing: Duration,
}

pub(crate) struct Archive {
    source: usize,
    release: Release,
    indexes: Vec<(String, String, Rc<Index>)>,
}

/// The files of an image that we read.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for wanted in WANTED {
        match wanted.strip_suffix("/*") {
            Some(folder) => {
                for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
                    let entry = entry.unwrap();
                    let name = entry.file_name().into_string().unwrap();
                    if let Ok(bytes) = fs::read(entry.path()) {
                        found.insert(format!("{folder}/{name}"), bytes);
                    }
                }
            }
            None => {
                if let Ok(bytes) = fs::read(root.join(wanted)) {
                    found.insert((*wanted).to_owned(), bytes);
                }
            }
        }
    }
    found
}

/// The archives of an image's sources that are there, in order.
pub(crate) fn archives(state: &AptState, lists: &Path, indexes: &mut Indexes) -> Vec<Archive> {
    let mut found = Vec::new();
    for (at, source) in state.sources.iter().enumerate() {
        let release = ["InRelease", "Release"]
            .iter()
            .find_map(|name| fs::read_to_string(lists.join(list_name(&format!("{}{name}", base(source))))).ok());
        let release = release.map_or_else(Release::default, |text| Release::parse(cleartext(&text)).unwrap());
        let mut own = Vec::new();
        let components: Vec<&str> = if source.is_flat() {
            vec![""]
        } else {
            source.components.iter().map(String::as_str).collect()
        };
        for component in components {
            let mut architectures = source.architectures(&state.architectures);
            architectures.push("all".to_owned());
            for architecture in architectures {
                let path = if source.is_flat() {
                    if architecture == "all" {
                        continue;
                    }
                    "Packages".to_owned()
                } else {
                    format!("{component}/binary-{architecture}/Packages")
                };
                let path = lists.join(list_name(&format!("{}{path}", base(source))));
                if let Some(index) = indexes.read(&path) {
                    own.push((component.to_owned(), architecture, index));
                }
            }
        }
        found.push(Archive {
            source: at,
            release,
            indexes: own,
        });
    }
    found
}

pub(crate) fn suites<'a>(state: &'a AptState, archives: &'a [Archive]) -> Vec<Suite<'a>> {
    let suite = |archive: &'a Archive| Suite {
        source: &state.sources[archive.source],
        release: &archive.release,
        indexes: archive
            .indexes
            .iter()
            .map(|(component, architecture, index)| SuiteIndex {
                component,
                architecture,
                index,
            })
            .collect(),
    };
    archives.iter().map(suite).collect()
}

impl Indexes {
    fn read(&mut self, path: &PathBuf) -> Option<Rc<Index>> {
        let inode = fs::metadata(path).ok()?.ino();
        if let Some(known) = self.known.get(&inode) {
            return Some(Rc::clone(known));
        }
        let start = Instant::now();
        let file = std::io::BufReader::with_capacity(1 << 20, fs::File::open(path).unwrap());
        let read = Index::parse(file, "Packages").unwrap();
        self.parsing += start.elapsed();
        self.bytes += fs::metadata(path).unwrap().len();
        let restored = Index::from_bytes(&read.to_bytes()).unwrap();
        assert!(restored == read, "{} is not kept as it was read", path.display());
        let index = Rc::new(restored);
        self.known.insert(inode, Rc::clone(&index));
        Some(index)
    }
}

/// As apt builds the names of its lists: a flat archive's `./` stays in.
fn base(source: &Source) -> String {
    if source.is_flat() && source.suite != "/" {
        format!("{}{}", source.uri, source.suite)
    } else {
        source.base()
    }
}

fn list_name(uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap();
    let rest = if scheme == "file" {
        rest
    } else {
        rest.trim_start_matches("//")
    };
    rest.replace('_', "%5f").replace('/', "_")
}

/// What stands between the lines of an inline signature; verifying it is not this test's subject.
fn cleartext(text: &str) -> &str {
    let Some((_, signed)) = text.split_once("-----BEGIN PGP SIGNED MESSAGE-----") else {
        return text;
    };
    let body = signed.split_once("\n\n").map_or(signed, |(_, body)| body);
    body.split("-----BEGIN PGP SIGNATURE-----").next().unwrap()
}
