//! Which files of an image are stored to survey its packages, and which package manager they belong to.

use crate::decide::freshness;
use crate::model::inventory::Inventory;
use crate::model::package_state::{Doing, Lineage, PackageState};
use crate::packages::families::apk::state::ApkState;
use crate::packages::families::apt::condensed::condensed;
use crate::packages::families::apt::state::{AptState, is_status};
use crate::packages::os_release;
use crate::runtime::inventory::seen::Seen;

/// Not stored: the file lists of packages do not affect upgrades, and would be most of the data.
const FILE_LISTS: &str = "var/lib/dpkg/info/";

/// The part of an image that decides about its upgrades.
#[must_use]
pub fn state(seen: &Seen, lineage: Lineage, doing: Option<Doing>) -> PackageState {
    let read = AptState::read(&seen.kept);
    let legible = read.is_ok();
    let keyrings = read.map(|state| state.keyrings()).unwrap_or_default();
    let matters = |path: &str| {
        let of_a_source = || keyrings.iter().any(|keyring| keyring == path);
        !path.starts_with(FILE_LISTS) && (!is_keyring(path) || of_a_source())
    };
    let kept = |(path, bytes): (&String, &Vec<u8>)| {
        // A status file that cannot be parsed is stored unchanged: the error names a line of it.
        let bytes = if legible && is_status(path) {
            condensed(bytes)
        } else {
            bytes.clone()
        };
        (path.clone(), bytes)
    };
    let files = seen.kept.iter().filter(|(path, _)| matters(path));
    PackageState {
        files: files.map(kept).collect(),
        uncaptured: seen.uncaptured.iter().filter(|path| matters(path)).cloned().collect(),
        layers: layers(&seen.inventory),
        lineage,
        doing,
    }
}

/// A key that only counts for the sources that name it (`Signed-By` in sources.list(5)); distributions ship many more.
fn is_keyring(path: &str) -> bool {
    let folders = ["usr/share/keyrings/", "usr/local/share/keyrings/", "etc/apt/keyrings/"];
    folders.iter().any(|folder| path.starts_with(folder))
}

fn layers(inventory: &Inventory) -> std::collections::BTreeMap<String, usize> {
    let layer = |package: &crate::model::inventory::Package| {
        let key = freshness::named(&package.name, &package.architecture);
        Some((key, package.layer?))
    };
    inventory.packages.iter().filter_map(layer).collect()
}

/// Whose rules an image's packages follow.
pub(super) enum Manager {
    Apt(Box<AptState>),
    Apk(Box<ApkState>),
    /// There are no packages.
    None,
    /// There may be packages, and they cannot be judged.
    Unseen {
        why: String,
    },
}

impl Manager {
    pub(super) fn of(state: &PackageState) -> Self {
        if let Some(path) = state.uncaptured.first() {
            let why = format!("{path} is a link, and what stands where it leads was not kept");
            return Manager::Unseen { why };
        }
        let has = |prefix: &str| state.files.keys().any(|path| path.starts_with(prefix));
        if has("var/lib/dpkg/status") {
            return match AptState::read(&state.files) {
                Ok(state) => Manager::Apt(Box::new(state)),
                Err(error) => Manager::Unseen { why: error.to_string() },
            };
        }
        if state.of_apk() {
            return match ApkState::read(&state.files) {
                Ok(state) => Manager::Apk(Box::new(state)),
                Err(error) => Manager::Unseen { why: error.to_string() },
            };
        }
        let os = ["etc/os-release", "usr/lib/os-release"];
        match os.iter().find_map(|path| state.files.get(*path)) {
            // Of a distribution, and yet no database that we know.
            Some(text) => Manager::Unseen {
                why: format!(
                    "no package database of {} is one that lowtide reads",
                    os_release::parse(text).id
                ),
            },
            None => Manager::None,
        }
    }
}
