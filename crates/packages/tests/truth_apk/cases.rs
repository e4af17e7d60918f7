//! The upgrades among the cases that apk-tools is published with.

use crate::case::{Case, Said, tools};
use crate::random::same;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
#[ignore = "needs apk and its published cases: see main.rs"]
fn published_cases_are_judged_as_apk_judges_them() {
    let folder = PathBuf::from(std::env::var_os("LOWTIDE_TEST_APK_CASES").expect("LOWTIDE_TEST_APK_CASES names them"));
    let scratch = tempfile::tempdir().unwrap();
    let mut names: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|it| it == "test"));
    names.sort();
    let (mut agreed, mut undecided, mut wrong) = (0, 0, Vec::new());
    for path in names {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Whatever a case is about, upgrading its image is one more.
        let case = read(&path, &folder);
        let ours = case.by_us();
        let root = scratch.path().join(&name);
        let theirs: Vec<Said> = tools().iter().map(|tool| case.by_apk(tool, &root)).collect();
        if let Said::Undecided(why) = &ours {
            println!("{name}: {why}; they: {theirs:?}");
            undecided += 1;
        } else if theirs.iter().all(|it| same(it, &ours)) {
            agreed += 1;
        } else {
            println!("{name}: {case:?}\n  we: {ours:?}\n  they: {theirs:?}");
            wrong.push(name);
        }
    }
    println!("{agreed} answered, {undecided} undecided");
    assert!(agreed > 40, "only {agreed}");
    assert!(wrong.is_empty(), "not as apk says: {wrong:?}");
}

fn read(path: &Path, folder: &Path) -> Case {
    let mut case = Case::default();
    let text = fs::read_to_string(path).unwrap();
    for line in text.lines().take_while(|line| *line != "@EXPECT") {
        let words: Vec<&str> = line.split(' ').collect();
        let file = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        match words.as_slice() {
            // What is to be added is as good as wished for.
            ["@ARGS", args @ ..] => {
                let added = args.iter().skip_while(|word| **word != "add").skip(1);
                let plain = |word: &&&str| !word.starts_with('-') && !word.starts_with('.');
                case.world += &added.filter(plain).map(|word| format!("{word}\n")).collect::<String>();
            }
            ["@WORLD", words @ ..] => case.world += &words.join("\n"),
            ["@INSTALLED", name] => case.installed = file(name),
            ["@REPO", name] => case.repositories.push((None, file(name))),
            ["@REPO", tag, name] => case.repositories.push((Some(tag[1..].to_owned()), file(name))),
            _ => {}
        }
        case.world += "\n";
    }
    // Worlds that apk would not read are not about upgrades.
    let readable = |word: &&str| !word.ends_with('=') && !word.ends_with("=invalid") && !word.contains("testing=");
    case.world = case
        .world
        .split_whitespace()
        .filter(readable)
        .map(|word| format!("{word}\n"))
        .collect();
    // Some checksums there are the same but for the signs: a matter of decoding, not of upgrades.
    let mut known = BTreeMap::new();
    case.installed = with_own_checksums(&case.installed, &mut known);
    for (_, text) in &mut case.repositories {
        *text = with_own_checksums(text, &mut known);
    }
    case
}

fn with_own_checksums(text: &str, known: &mut BTreeMap<String, usize>) -> String {
    let mut found = String::new();
    for entry in text.split("\n\n").filter(|entry| !entry.trim().is_empty()) {
        let lines: Vec<&str> = entry.lines().collect();
        let is = |line: &&&str| ["C:", "P:", "V:"].iter().any(|field| line.starts_with(field));
        let identity: Vec<&str> = lines.iter().filter(is).copied().collect();
        let next = known.len();
        let number = known.entry(identity.join(" ")).or_insert(next);
        found += &format!("C:Q1{:0>27}=\n", format!("{number}A"));
        let others = lines.iter().filter(|line| !line.starts_with("C:"));
        found += &others.map(|line| format!("{line}\n")).collect::<String>();
        found.push('\n');
    }
    found
}
