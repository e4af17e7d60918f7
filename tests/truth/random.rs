//! Random worlds, judged by this machine's apt and by us.

use crate::said::Said;
use crate::universe::Universe;
use lowtide::packages::apt::index::read::Index;
use lowtide::packages::apt::pending::{Suite, SuiteIndex, pending};
use lowtide::packages::apt::release::Release;
use lowtide::packages::apt::state::AptState;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// More by `LOWTIDE_TEST_WORLDS=from..to`.
const WORLDS: std::ops::Range<u64> = 0..300;

#[test]
fn random_worlds_are_judged_as_apt_judges_them() {
    let range = std::env::var("LOWTIDE_TEST_WORLDS").ok().and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let range = range.unwrap_or(WORLDS);
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let (mut worlds, mut busy, mut resolved) = (0, 0, 0);
    for seed in range {
        let world = Universe::new(seed);
        let root = folder.path().join(seed.to_string());
        let apts = apt(&world, &root);
        let ours = ours(&world, &root);
        worlds += 1;
        busy += usize::from(!apts.actions.is_empty());
        resolved +=
            usize::from(apts.actions.iter().any(|line| line.starts_with("remove")) || !apts.kept_back.is_empty());
        let differences = apts.differences(&ours);
        if !differences.is_empty() {
            println!("world {seed}:\n  {}", differences.join("\n  "));
            wrong.push(seed);
        }
        fs::remove_dir_all(&root).unwrap();
    }
    println!(
        "{worlds} worlds, {busy} with something to do, {resolved} with removals or something kept back, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "not as apt says: {wrong:?}");
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn apt(world: &Universe, root: &Path) -> Said {
    let shown = root.display();
    write(root, "var/lib/dpkg/status", &world.status);
    fs::create_dir_all(root.join("var/lib/apt/lists/partial")).unwrap();
    fs::create_dir_all(root.join("var/cache/apt/archives/partial")).unwrap();
    let mut sources = String::new();
    for (at, (release, packages)) in world.archives.iter().enumerate() {
        write(root, &format!("archive{at}/Packages"), packages);
        write(root, &format!("archive{at}/Release"), release);
        sources.push_str(&format!("deb [trusted=yes] file:{shown}/archive{at} ./\n"));
    }
    write(root, "etc/apt/sources.list", &sources);
    write(root, "etc/apt/preferences", &world.preferences);
    write(root, "etc/apt/apt.conf.d/50world", &world.conf);
    let conf = format!(
        "Dir \"{shown}/\"; Dir::State::status \"{shown}/var/lib/dpkg/status\"; APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }}; Debug::NoLocking \"true\"; Acquire::Languages \"none\"; APT::Sandbox::User \"root\";\n\
         Acquire::AllowInsecureRepositories \"true\"; Acquire::AllowWeakRepositories \"true\";\n"
    );
    write(root, "apt.conf", &conf);
    let run = |arguments: &[&str]| {
        let run = Command::new("apt-get")
            .args(arguments)
            .env("APT_CONFIG", root.join("apt.conf"))
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        String::from_utf8(run.stdout).unwrap() + &String::from_utf8(run.stderr).unwrap()
    };
    let updated = run(&["-q", "update"]);
    assert!(!updated.contains("E: "), "{updated}");
    Said::by_apt(&run(&["--simulate", "dist-upgrade"]))
}

fn ours(world: &Universe, root: &Path) -> Said {
    let mut files = BTreeMap::new();
    for path in [
        "var/lib/dpkg/status",
        "etc/apt/sources.list",
        "etc/apt/preferences",
        "etc/apt/apt.conf.d/50world",
    ] {
        files.insert(path.to_owned(), fs::read(root.join(path)).unwrap());
    }
    files.insert("var/lib/dpkg/arch".to_owned(), b"amd64\n".to_vec());
    let state = AptState::read(&files).unwrap();
    let read: Vec<(Release, Index)> = world
        .archives
        .iter()
        .map(|(release, packages)| {
            let index = Index::parse(packages.as_bytes(), "Packages").unwrap();
            (Release::parse(release).unwrap(), index)
        })
        .collect();
    let suites: Vec<Suite<'_>> = state
        .sources
        .iter()
        .zip(&read)
        .map(|(source, (release, index))| Suite {
            source,
            release,
            indexes: vec![SuiteIndex {
                component: "",
                architecture: "amd64",
                index,
            }],
        })
        .collect();
    Said::by_us(&pending(&state, &suites), "amd64")
}
