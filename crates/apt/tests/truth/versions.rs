//! The order of versions: generated ones, and all that the images' archives have of the same package.

use crate::beside::versions::{generated, ordered_otherwise};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

#[test]
fn generated_versions_are_ordered_as_dpkg_orders_them() {
    let wrong = ordered_otherwise(&generated(2, 5000));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn real_versions_are_ordered_as_dpkg_orders_them() {
    let roots = PathBuf::from(std::env::var_os("LOWTIDE_TEST_ROOTS").expect("LOWTIDE_TEST_ROOTS names the roots"));
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in fs::read_dir(roots.join(".pool")).unwrap() {
        let text = String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned();
        let mut package = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("Package: ") {
                package = name;
            } else if let Some(version) = line.strip_prefix("Version: ") {
                versions
                    .entry(package.to_owned())
                    .or_default()
                    .insert(version.to_owned());
            }
        }
    }
    versions.remove("");
    // Of each package the neighbours, and of the different ones those that come after each other by name.
    let mut pairs = BTreeSet::new();
    let mut last: Option<String> = None;
    for all in versions.into_values() {
        let all: Vec<String> = all.into_iter().collect();
        pairs.extend(all.windows(2).map(|two| (two[0].clone(), two[1].clone())));
        let first = all.first().cloned();
        pairs.extend(last.into_iter().zip(first));
        last = all.last().cloned();
    }
    // Evenly over all names: every pair takes dpkg a millisecond.
    let step = (pairs.len() / 8000).max(1);
    let chosen: Vec<(String, String)> = pairs.into_iter().step_by(step).collect();
    assert!(chosen.len() > 1000, "only {} pairs of real versions", chosen.len());
    let wrong = ordered_otherwise(&chosen);
    println!("{} pairs of real versions", chosen.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
