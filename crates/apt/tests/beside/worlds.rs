//! Random worlds, judged by this machine's apt and by us.

#![allow(clippy::print_stdout, reason = "the differences are for people")]

use super::said::Said;
use super::universe::Universe;
use lowtide_apt::index::read::Index;
use lowtide_apt::pending::{Suite, SuiteIndex, pending};
use lowtide_apt::release::Release;
use lowtide_apt::state::AptState;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds of worlds in which we differ from an apt of that version, and why. One in which we agree must be struck.
const KNOWN: &[(&str, &[u64], &str)] = &[
    ("2.6.", &[262, 412, 1160], AN_ORDER),
    ("3.0.", &[262, 412, 1160], AN_ORDER),
    (
        "3.0.",
        &[18, 226, 384, 630, 759, 801, 1083, 1241, 1247],
        "where this solver finds nothing, apt asks its newer one; we refuse",
    ),
];

const AN_ORDER: &str = "apt plans the same, and then finds no order of steps, though there is one";

/// Fails unless we say of each world what apt says. With `LOWTIDE_TEST_KEEP=folder` the worlds stay there, for a look at
/// them by `APT_CONFIG=folder/seed/apt.conf apt-get -o Debug::pkgDepCache::Marker=1 -o Debug::pkgProblemResolver=1 …`.
pub(crate) fn judged_as_apt_judges_them(seeds: Range<u64>) {
    let chosen = std::env::var_os("LOWTIDE_TEST_KEEP").map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let folder = chosen.as_deref().unwrap_or(temporary.path());
    let version = version_of_apt();
    let mut wrong = Vec::new();
    let (mut worlds, mut busy, mut resolved) = (0, 0, 0);
    for seed in seeds {
        let mut world = Universe::new(seed);
        world.status.push_str(&installed_apt(&version));
        let root = folder.join(seed.to_string());
        let apts = apt(&world, &root);
        let ours = ours(&world, &root);
        worlds += 1;
        busy += usize::from(!apts.actions.is_empty());
        resolved +=
            usize::from(apts.actions.iter().any(|line| line.starts_with("remove")) || !apts.kept_back.is_empty());
        let differences = apts.differences(&ours);
        let known = KNOWN
            .iter()
            .any(|(of, seeds, _)| version.starts_with(of) && seeds.contains(&seed));
        if differences.is_empty() == known {
            println!("world {seed}:\n  {}", differences.join("\n  "));
            wrong.push(seed);
        }
        if chosen.is_none() {
            fs::remove_dir_all(&root).unwrap();
        }
    }
    println!(
        "{worlds} worlds, {busy} with something to do, {resolved} with removals or something kept back, {} wrong",
        wrong.len()
    );
    assert!(
        worlds < 50 || busy * 2 > worlds,
        "most worlds should have something to do: {busy} of {worlds}"
    );
    assert!(
        wrong.is_empty(),
        "not as apt says, or known to differ and equal now: {wrong:?}"
    );
}

fn version_of_apt() -> String {
    let said = Command::new("apt-get").arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.split_whitespace().nth(1).unwrap().to_owned()
}

/// This machine's apt, installed in every world: its version decides what is right.
fn installed_apt(version: &str) -> String {
    format!(
        "Package: apt\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n\
         Status: install ok installed\n\n"
    )
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
         APT::Architectures {{ \"amd64\"; }}; Debug::NoLocking \"true\"; APT::Solver \"internal\"; Acquire::Languages \"none\"; APT::Sandbox::User \"root\";\n\
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
