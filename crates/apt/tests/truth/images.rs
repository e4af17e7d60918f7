//! Images with different histories; see `scripts/lib/apt-roots` for what each has been through.

use crate::archive::{Indexes, archives, files, suites};
use crate::beside::said::Said;
use lowtide_apt::pending::pending;
use lowtide_apt::state::AptState;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Images that are not judged as apt judges them, and why. One that is must be struck.
const KNOWN: &[(&str, &str)] = &[(
    "sid-and-trixie",
    "decided by apt's newer solver, which is not followed; the image's notes say so",
)];

#[test]
fn every_image_is_judged_as_apt_judges_it() {
    let roots = PathBuf::from(std::env::var_os("LOWTIDE_TEST_ROOTS").expect("LOWTIDE_TEST_ROOTS names the roots"));
    let mut names: Vec<PathBuf> = fs::read_dir(&roots)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("simulated").exists())
        .collect();
    names.sort();
    assert!(
        names.len() >= 10,
        "only {} roots under {}",
        names.len(),
        roots.display()
    );
    let mut indexes = Indexes::default();
    println!(
        "{:24} {:>6} {:>6} {:>6} {:>9} {:>9}",
        "root", "apt", "we", "equal", "apt ms", "we ms"
    );
    let mut wrong = Vec::new();
    for root in &names {
        let name = root.file_name().unwrap().to_string_lossy().into_owned();
        let known = KNOWN.iter().any(|(known, _)| *known == name);
        if is_equal(root, &name, &mut indexes) == known {
            wrong.push(name);
        }
    }
    println!(
        "{} MB of indexes read in {:.1} s",
        indexes.bytes >> 20,
        indexes.parsing.as_secs_f64()
    );
    assert!(
        wrong.is_empty(),
        "not as apt says, or known to differ and equal now: {}",
        wrong.join(", ")
    );
}

fn is_equal(root: &Path, name: &str, indexes: &mut Indexes) -> bool {
    let small = files(&root.join("image"));
    let state = AptState::read(&small).unwrap();
    let there = archives(&state, &root.join("lists"), indexes);
    let start = Instant::now();
    let again = AptState::read(&small).unwrap();
    let result = pending(&again, &suites(&again, &there));
    let took = start.elapsed();
    let native = state.architectures.first().cloned().unwrap_or_default();
    let apts = Said::by_apt(&fs::read_to_string(root.join("simulated")).unwrap());
    let ours = Said::by_us(&result, &native);
    let differences = apts.differences(&ours);
    let seconds = fs::read_to_string(root.join("seconds")).unwrap();
    let seconds: f64 = seconds.trim().parse().unwrap();
    println!(
        "{name:24} {:>6} {:>6} {:>6} {:>9.0} {:>9.1}",
        apts.actions.len(),
        ours.actions.len(),
        if differences.is_empty() { "yes" } else { "NO" },
        seconds * 1000.0,
        took.as_secs_f64() * 1000.0
    );
    if let Some((_, reason)) = KNOWN.iter().find(|(known, _)| *known == name) {
        println!("{:24} known: {reason}", "");
        let noted = !state.not_followed().is_empty();
        assert!(noted, "{name} differs, and nothing says that it may");
    }
    for note in state.not_followed() {
        println!("{:24} not followed: {note}", "");
    }
    for line in differences.iter().take(40) {
        println!("{:24} {line}", "");
    }
    if apts.kept_back != ours.kept_back {
        println!("{:24} kept back: apt {:?}, we {:?}", "", apts.kept_back, ours.kept_back);
    }
    differences.is_empty()
}
