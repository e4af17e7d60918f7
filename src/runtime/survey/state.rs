//! Which files of an image are stored to survey its packages.

use crate::runtime::inventory::seen::Seen;
use lowtide_core::decide::freshness;
use lowtide_model::inventory::Inventory;
use lowtide_model::package_state::{Doing, Lineage, PackageState};
use lowtide_packages::families::family::Storage;
use lowtide_packages::families::list;

/// The part of an image that decides about its upgrades.
#[must_use]
pub fn state(seen: &Seen, lineage: Lineage, doing: Option<Doing>) -> PackageState {
    let storages: Vec<Storage> = list::all().map(|family| family.storage(&seen.kept)).collect();
    let matters = |path: &str| storages.iter().all(|of_family| (of_family.matters)(path));
    let file = |(path, bytes): (&String, &Vec<u8>)| {
        let condensed = storages.iter().find_map(|of_family| (of_family.condensed)(path, bytes));
        (path.clone(), condensed.unwrap_or_else(|| bytes.clone()))
    };
    let files = seen.kept.iter().filter(|(path, _)| matters(path));
    PackageState {
        files: files.map(file).collect(),
        uncaptured: seen.uncaptured.iter().filter(|path| matters(path)).cloned().collect(),
        layers: layers(&seen.inventory),
        lineage,
        doing,
    }
}

fn layers(inventory: &Inventory) -> std::collections::BTreeMap<String, usize> {
    let layer = |package: &lowtide_model::inventory::Package| {
        let key = freshness::named(&package.name, &package.architecture);
        Some((key, package.layer?))
    };
    inventory.packages.iter().filter_map(layer).collect()
}
