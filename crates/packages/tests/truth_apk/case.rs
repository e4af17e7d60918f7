//! One case, solved by apk and by us.

use lowtide_packages::families::apk::index::Index;
use lowtide_packages::families::apk::pending::{Pending, Refusal, Repository, pending};
use lowtide_packages::families::apk::state::ApkState;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An image and its repositories: tag and text of the index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) world: String,
    pub(crate) installed: String,
    pub(crate) repositories: Vec<(Option<String>, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// `install a 1`, `purge a 1`, `change a 1 2`.
    Done(BTreeSet<String>),
    /// With what was said.
    Refused(String),
    /// Only we say so.
    Undecided(String),
}

pub(crate) fn tools() -> Vec<PathBuf> {
    let named =
        std::env::var_os("LOWTIDE_TEST_APK").expect("LOWTIDE_TEST_APK names apk, or several with a colon between");
    std::env::split_paths(&named).collect()
}

impl Case {
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut lines = String::new();
        for (at, (tag, _)) in self.repositories.iter().enumerate() {
            let tag = tag.as_ref().map(|tag| format!("@{tag} ")).unwrap_or_default();
            lines += &format!("{tag}https://dl.example.org/{at}\n");
        }
        BTreeMap::from([
            ("etc/apk/arch".to_owned(), b"x86_64\n".to_vec()),
            ("etc/apk/world".to_owned(), self.world.clone().into_bytes()),
            ("etc/apk/repositories".to_owned(), lines.into_bytes()),
            ("lib/apk/db/installed".to_owned(), self.installed.clone().into_bytes()),
        ])
    }

    pub(crate) fn by_us(&self) -> Said {
        match self.pending() {
            Ok(pending) => Said::Done(actions(&pending)),
            Err(Refusal::Undecided(why)) => Said::Undecided(why.to_string()),
            Err(refusal) => Said::Refused(refusal.to_string()),
        }
    }

    pub(crate) fn pending(&self) -> Result<Pending, Refusal> {
        let state = ApkState::read(&self.files()).unwrap();
        let parse = |(_, text): &(Option<String>, String)| Index::parse(text.as_bytes()).unwrap();
        let indexes: Vec<Index> = self.repositories.iter().map(parse).collect();
        let repositories = state.repositories.iter().zip(&indexes);
        let repositories: Vec<Repository<'_>> = repositories
            .map(|(source, index)| Repository { source, index })
            .collect();
        pending(&state, &repositories)
    }

    pub(crate) fn by_apk(&self, tool: &Path, root: &Path) -> Said {
        for (path, content) in self.files() {
            write(&root.join(path), &content);
        }
        let mut lines = String::new();
        for (at, (tag, text)) in self.repositories.iter().enumerate() {
            write(&root.join(format!("r{at}/x86_64/APKINDEX.tar.gz")), &packed(text));
            let tag = tag.as_ref().map(|tag| format!("@{tag} ")).unwrap_or_default();
            lines += &format!("{tag}{}/r{at}\n", root.display());
        }
        write(&root.join("etc/apk/repositories"), lines.as_bytes());
        fs::create_dir_all(root.join("var/cache/apk")).unwrap();
        fs::create_dir_all(root.join("tmp")).unwrap();
        let run = Command::new(tool)
            .args([
                "--root",
                &root.display().to_string(),
                "--allow-untrusted",
                "--no-cache",
                "--simulate",
                "upgrade",
            ])
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        );
        if !run.status.success() || text.contains("ERROR") {
            return Said::Refused(text);
        }
        assert!(text.contains("OK:") && !text.contains("WARNING: opening"), "{text}");
        Said::Done(text.lines().filter_map(action).collect())
    }
}

fn actions(pending: &Pending) -> BTreeSet<String> {
    let changes = pending
        .upgrades
        .iter()
        .map(|it| format!("change {} {} {}", it.package, it.installed, it.candidate));
    let new = pending
        .new
        .iter()
        .map(|it| format!("install {} {}", it.package, it.candidate));
    let gone = pending
        .removals
        .iter()
        .map(|it| format!("purge {} {}", it.package, it.installed));
    changes.chain(new).chain(gone).collect()
}

/// `(1/3) Upgrading a@edge (1 -> 2)`; a tag that changes changes no package.
fn action(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix('(')?.split_once(") ")?;
    let (what, versions) = rest.split_once(" (")?;
    let versions = versions.trim_end_matches(')');
    let (verb, name) = what.rsplit_once(' ')?;
    let name = name.split('@').next().unwrap();
    Some(match verb {
        "Installing" => format!("install {name} {versions}"),
        "Purging" => format!("purge {name} {versions}"),
        "Updating pinning" => return None,
        "Upgrading" | "Downgrading" | "Replacing" => {
            let (from, to) = versions.split_once(" -> ").unwrap_or((versions, versions));
            format!("change {name} {from} {to}")
        }
        _ => panic!("{line}"),
    })
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn packed(index: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(index.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    // apk reads all numbers of a header.
    header.set_device_major(0).unwrap();
    header.set_device_minor(0).unwrap();
    tar.append_data(&mut header, "APKINDEX", index.as_bytes()).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar.into_inner().unwrap()).unwrap();
    packed.finish().unwrap()
}
