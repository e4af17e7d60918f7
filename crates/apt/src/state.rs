//! What an image says that decides about its upgrades: dpkg's database and apt's configuration.

use super::conf::Conf;
use super::index::stanza::{Described, MultiArch, Priority};
use super::preferences::{self, Pin};
use super::settings::{NotFollowed, Settings};
use super::sources::{self, SignedBy, Source};
use crate::deb822::Stanzas;
use crate::error::{ParseError, Problem};
use std::collections::BTreeMap;

pub const STATUS: &str = "var/lib/dpkg/status";
/// Packages of distroless images, one file each.
const SINGLE: &str = "var/lib/dpkg/status.d/";
const EXTENDED: &str = "var/lib/apt/extended_states";

/// The files a reader of images has to collect, without leading slash; a star stands for one file name. Keyrings that
/// `Signed-By` names elsewhere come on top: [`AptState::keyrings`]. Symbolic links are followed inside the image.
pub const WANTED: &[&str] = &[
    "etc/apt/apt.conf",
    "etc/apt/apt.conf.d/*",
    "etc/apt/keyrings/*",
    "etc/apt/preferences",
    "etc/apt/preferences.d/*",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*",
    "etc/apt/trusted.gpg",
    "etc/apt/trusted.gpg.d/*",
    "etc/machine-id",
    "usr/share/keyrings/*",
    "var/lib/apt/extended_states",
    "var/lib/dpkg/arch",
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/*",
];

/// All that the solution depends on besides the archives.
#[derive(Debug, Clone)]
pub struct AptState {
    /// The native architecture, then the foreign ones in dpkg's order.
    pub architectures: Vec<String>,
    pub sources: Vec<Source>,
    /// By name.
    pub(crate) installed: Vec<Installed>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) settings: Settings,
}

/// A package as dpkg's status has it. Texts are as written there.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    pub(crate) name: String,
    pub(crate) version: String,
    /// `all` stays `all`.
    pub(crate) architecture: String,
    pub(crate) source: String,
    pub(crate) source_version: String,
    pub(crate) held: bool,
    pub(crate) essential: bool,
    pub(crate) protected: bool,
    /// It was installed automatically, for other packages. Once no package needs it, an upgrade does not remove it, but
    /// installs nothing new for it.
    pub(crate) automatic: bool,
    pub(crate) priority: Priority,
    pub(crate) multi_arch: MultiArch,
    pub(crate) fingerprint: u32,
    pub(crate) relations: [String; 7],
    /// Counted from the beginning of dpkg's status.
    pub(crate) place: usize,
}

impl AptState {
    /// Reads the files of [`WANTED`]; what is missing says nothing.
    ///
    /// # Errors
    /// A file that apt or dpkg, too, would refuse.
    pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, ParseError> {
        let mut installed = installed(files)?;
        let mut conf = Conf::default();
        for (_, text) in parts(files, "etc/apt/apt.conf.d/", &["", "conf"]) {
            conf.read(&String::from_utf8_lossy(text));
        }
        if let Some(text) = files.get("etc/apt/apt.conf") {
            conf.read(&String::from_utf8_lossy(text));
        }
        let architectures = architectures(files, &installed, &conf);
        let native = architectures.first().cloned().unwrap_or_default();
        mark_automatic(&mut installed, files, &architectures)?;
        let mut pins = Vec::new();
        for (path, text) in main_and_parts(files, "etc/apt/preferences", &["", "pref"]) {
            pins.extend(preferences::parse(text, path)?);
        }
        let mut sources = Vec::new();
        for (path, text) in main_and_parts(files, "etc/apt/sources.list", &["list", "sources"]) {
            sources.extend(sources::parse(text, path, &native)?);
        }
        let machine = files.get("etc/machine-id").map(|text| String::from_utf8_lossy(text));
        let machine = machine
            .as_deref()
            .and_then(|text| text.lines().next())
            .unwrap_or_default();
        Ok(Self {
            settings: Settings::of(&conf, machine, &installed),
            architectures,
            sources: merged(sources),
            installed,
            pins,
        })
    }

    /// Paths of the keyrings that sources name in `Signed-By`, without leading slash.
    #[must_use]
    pub fn keyrings(&self) -> Vec<String> {
        let listed = self
            .sources
            .iter()
            .filter_map(|source| match &source.options.signed_by {
                Some(SignedBy::Listed(listed)) => Some(listed),
                Some(SignedBy::Inline(_)) | None => None,
            });
        let mut paths: Vec<String> = listed
            .flatten()
            .filter_map(|path| path.strip_prefix('/'))
            .map(ToOwned::to_owned)
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Removes the hold from each held package for which `is_free` (name, architecture) returns true.
    pub fn release(&mut self, is_free: impl Fn(&str, &str) -> bool) {
        for it in self.installed.iter_mut().filter(|it| it.held) {
            it.held = !is_free(&it.name, &it.architecture);
        }
    }

    /// What the image sets that [`super::pending::pending`] does not follow; its solution may differ from apt's there.
    #[must_use]
    pub fn not_followed(&self) -> &[NotFollowed] {
        &self.settings.not_followed
    }

    pub(crate) fn installed_as<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Installed> {
        let start = self.installed.partition_point(|it| it.name.as_str() < name);
        let rest = self.installed[start..].iter();
        let end = rest.clone().position(|it| it.name != name).unwrap_or(rest.len());
        rest.take(end)
    }

    /// How many packages are installed.
    #[must_use]
    pub fn installed(&self) -> usize {
        self.installed.len()
    }
}

/// Is it a file of dpkg's status? Distroless images put checksums beside each package's file.
#[must_use]
pub fn is_status(path: &str) -> bool {
    path == STATUS || path.starts_with(SINGLE) && !path.ends_with(".md5sums")
}

fn installed(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Installed>, ParseError> {
    let mut found = Vec::new();
    let whole = files.get(STATUS).map(|text| (STATUS, text.as_slice()));
    let single = below(files, SINGLE).filter(|(path, _)| is_status(path));
    for (path, text) in whole.into_iter().chain(single) {
        let mut stanzas = Stanzas::new(text, path);
        while let Some(stanza) = stanzas.next_stanza()? {
            let it = Described::of(stanza);
            let status = it.status.unwrap_or("install ok installed");
            let mut words = status.split_whitespace();
            let (wanted, flag, state) = (words.next(), words.next(), words.next());
            if flag.is_none() || state.is_none() {
                return Err(ParseError::new(path, stanza.end, Problem::BadValue("Status")));
            }
            if matches!(state, Some("not-installed" | "config-files")) {
                continue;
            }
            it.names_a_version(path, stanza.end)?;
            let place = found.len();
            found.push(Installed::of(&it, wanted == Some("hold"), place));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Applies apt's record of automatically installed packages.
fn mark_automatic(
    installed: &mut [Installed],
    files: &BTreeMap<String, Vec<u8>>,
    architectures: &[String],
) -> Result<(), ParseError> {
    let Some(text) = files.get(EXTENDED) else {
        return Ok(());
    };
    let native = architectures.first().map(String::as_str).unwrap_or_default();
    let mut stanzas = Stanzas::new(text.as_slice(), EXTENDED);
    while let Some(stanza) = stanzas.next_stanza()? {
        let automatic = stanza
            .get("Auto-Installed")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0_i32);
        if automatic <= 0 {
            continue;
        }
        let name = stanza.get("Package").unwrap_or_default();
        let wanted = stanza.get("Architecture").unwrap_or("any");
        let start = installed.partition_point(|it| it.name.as_str() < name);
        for it in installed[start..].iter_mut().take_while(|it| it.name == name) {
            let own = if it.architecture == "all" {
                native
            } else {
                it.architecture.as_str()
            };
            it.automatic |= wanted == "any" || wanted == "all" || own == wanted;
        }
    }
    Ok(())
}

impl Installed {
    fn of(it: &Described<'_>, held: bool, place: usize) -> Self {
        let (source, source_version) = it.source();
        Self {
            name: it.package.to_owned(),
            version: it.version.to_owned(),
            architecture: it.architecture.to_owned(),
            source: source.unwrap_or(it.package).to_owned(),
            source_version: source_version.unwrap_or(it.version).to_owned(),
            held,
            essential: it.essential,
            protected: it.protected,
            automatic: false,
            priority: it.priority,
            multi_arch: it.multi_arch,
            fingerprint: it.fingerprint(),
            relations: it.relations.map(ToOwned::to_owned),
            place,
        }
    }
}

/// The native architecture first: `APT::Architecture`, else that of the dpkg package, else the first in dpkg's list
/// (which dpkg writes only once there are foreign ones), else that of the first package which has one.
fn architectures(files: &BTreeMap<String, Vec<u8>>, installed: &[Installed], conf: &Conf) -> Vec<String> {
    let listed = files
        .get("var/lib/dpkg/arch")
        .map(|text| String::from_utf8_lossy(text).into_owned());
    let mut found: Vec<String> = listed
        .unwrap_or_default()
        .split_whitespace()
        .map(ToOwned::to_owned)
        .collect();
    let made = |package: &&Installed| package.architecture != "all";
    let own = installed.iter().filter(made).find(|p| p.name == "dpkg");
    let native = conf
        .get("APT::Architecture")
        .or(own.map(|p| p.architecture.as_str()))
        .or(found.first().map(String::as_str))
        .or(installed.iter().find(made).map(|p| p.architecture.as_str()))
        .map(ToOwned::to_owned);
    if let Some(native) = native {
        found.retain(|architecture| *architecture != native);
        found.insert(0, native);
    }
    found
}

/// Lines that name the same suite of the same archive with the same options are one source with all their components.
fn merged(sources: Vec<Source>) -> Vec<Source> {
    let mut found: Vec<Source> = Vec::new();
    for source in sources {
        let same =
            |have: &&mut Source| have.uri == source.uri && have.suite == source.suite && have.options == source.options;
        match found.iter_mut().find(same) {
            None => found.push(source),
            Some(have) => {
                let new = |component: &String| !have.components.contains(component);
                let new: Vec<String> = source.components.into_iter().filter(new).collect();
                have.components.extend(new);
            }
        }
    }
    found
}

/// The main file, then the parts, as apt reads sources and preferences.
fn main_and_parts<'a>(
    files: &'a BTreeMap<String, Vec<u8>>,
    main: &str,
    extensions: &[&str],
) -> Vec<(&'a str, &'a [u8])> {
    let main_file = files
        .get_key_value(main)
        .map(|(path, text)| (path.as_str(), text.as_slice()));
    let parts = parts(files, &format!("{main}.d/"), extensions);
    main_file.into_iter().chain(parts).collect()
}

/// The files of a folder that apt reads: only these extensions (empty: none at all) and only these signs, in order of name.
fn parts<'a>(files: &'a BTreeMap<String, Vec<u8>>, folder: &str, extensions: &[&str]) -> Vec<(&'a str, &'a [u8])> {
    let read = |path: &str| {
        let name = &path[folder.len()..];
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        extensions.contains(&extension) && !name.starts_with('.') && name.chars().all(plain)
    };
    below(files, folder).filter(|(path, _)| read(path)).collect()
}

fn below<'a>(files: &'a BTreeMap<String, Vec<u8>>, folder: &str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let folder = folder.to_owned();
    files
        .range(folder.clone()..)
        .take_while(move |(path, _)| path.starts_with(&folder))
        .map(|(path, text)| (path.as_str(), text.as_slice()))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
