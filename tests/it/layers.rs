//! The house's layers hold: what each module may import, and which words never appear in the pure ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a top-level module may import of ours, besides itself, where Cargo cannot say it: what stands in one crate, and which
/// part of a crate below. That a crate knows none above it, and no library that it does not need, is in its Cargo.toml.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("yaml", &["model"]),
    ("kinds", &["model", "yaml"]),
    ("channels", &["model", "yaml"]),
    ("fleet", &["model", "kinds", "channels"]),
    ("config", &["model", "yaml", "kinds", "channels", "fleet"]),
    ("decide", &["model", "kinds", "fleet", "packages"]),
    ("report", &["model", "kinds", "fleet"]),
    ("store", &["model", "kinds", "channels", "fleet"]),
    ("clients", &["model"]),
    (
        "runtime",
        &[
            "model", "apt", "compose", "yaml", "kinds", "channels", "fleet", "config", "packages", "decide", "report",
            "store", "clients",
        ],
    ),
    (
        "web",
        &[
            "model", "yaml", "kinds", "fleet", "config", "report", "store", "runtime",
        ],
    ),
    // `serve` is where the doors are opened.
    (
        "cli",
        &[
            "model", "yaml", "kinds", "fleet", "config", "report", "store", "runtime", "web",
        ],
    ),
];

/// Where sources are, and the module that they are below; empty: the folder's own modules.
const CRATES: &[(&str, &str)] = &[
    ("src", ""),
    ("crates/core/src", ""),
    ("crates/apt/src", "apt/"),
    ("crates/compose/src", "compose/"),
    ("crates/model/src", "model/"),
    ("crates/packages/src", "packages/"),
];

/// Crates that are one module each.
const WHOLE: &[&str] = &["apt", "compose", "model", "packages"];

/// No clock, randomness, threads or outside world in here: time and observations are parameters.
const PURE: &[&str] = &[
    "model", "apt", "compose", "yaml", "kinds", "channels", "fleet", "config", "packages", "decide", "report",
];

const IMPURE_WORDS: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "Instant::now",
    "Ulid::new",
    "Ulid::generate",
    "rand::",
];

/// Whose types stay in one place, so that a change of that library is a change of that place.
const AT_HOME: &[(&str, &str)] = &[
    ("bollard", "clients/engine/"),
    ("octocrab", "clients/github"),
    ("lettre", "clients/smtp"),
    ("oci_client", "clients/registry"),
    ("rusqlite", "store/"),
    ("tokio_cron_scheduler", "runtime/"),
    ("serde_yaml", "yaml/"),
    ("saphyr", "yaml/"),
    ("axum", "web/"),
    ("clap", "cli/"),
    ("prometheus_client", "runtime/metrics/"),
];

/// Over this a file has more than one subject.
const MAX_LINES: usize = 600;

struct Source {
    /// Under its folder, with forward slashes.
    path: String,
    text: String,
}

impl Source {
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Not shipped. The tests of a kind run the whole reconciler.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }

    /// Numbered lines of the shipped part: nothing from `#[cfg(test)]` on.
    fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let shipped = lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        shipped.map(|(number, line)| (number + 1, line))
    }

    /// The same without comments and string literals.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.shipped().map(|(number, line)| (number, bare(line)))
    }
}

/// A `use crate::{` that runs over several lines becomes one, with the number of its first.
fn joined(lines: impl Iterator<Item = (usize, String)>) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (number, line) in lines {
        let open = |text: &str| text.contains("crate::{") && text.matches('{').count() > text.matches('}').count();
        match found.last_mut() {
            Some((_, last)) if open(last) => last.push_str(&line),
            _ => found.push((number, line)),
        }
    }
    found
}

/// A line without its comment and without what stands in its string literals.
fn bare(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (true, '\\') => {
                chars.next();
            }
            (true, '"') => quoted = false,
            (true, _) => {}
            (false, '"') => quoted = true,
            (false, '/') if chars.peek() == Some(&'/') => break,
            (false, _) => out.push(c),
        }
    }
    out
}

fn sources() -> Vec<Source> {
    let of_crate = |(folder, module): &(&str, &str)| {
        let mut sources = sources_in(folder);
        for source in &mut sources {
            source.path.insert_str(0, module);
        }
        sources
    };
    CRATES.iter().flat_map(of_crate).collect()
}

fn sources_in(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(Source {
                    path: path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"),
                    text: std::fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    assert!(found.len() > 15, "the sources were not found under {}", root.display());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Names of the folders in a folder, sorted.
fn folders(of: &str) -> Vec<String> {
    let of = Path::new(env!("CARGO_MANIFEST_DIR")).join(of);
    let entries = std::fs::read_dir(of).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|f| f.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Does `word` stand in `line`, not as the end of a longer name?
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Every module of ours that a line names; `crate::{a, b::c}` names two. The crates of one module are called as it.
fn imports(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for whole in WHOLE {
        if says(line, &format!("lowtide_{whole}::")) {
            found.push((*whole).to_owned());
        }
    }
    let of_crate = |prefix: &'static str| line.match_indices(prefix).map(move |(at, _)| at + prefix.len());
    for begin in of_crate("crate::").chain(of_crate("lowtide_core::")) {
        let rest = &line[begin..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(first_name(&std::mem::take(&mut name))),
                    other => name.push(other),
                }
            }
            found.push(first_name(&name));
        } else {
            found.push(first_name(rest));
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn first_name(path: &str) -> String {
    path.trim()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn no_problems(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn every_module_imports_only_what_its_layer_may() {
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut problems = Vec::new();
    for source in sources() {
        let module = source.module();
        // What each of these may import is in its Cargo.toml.
        if WHOLE.contains(&module) {
            continue;
        }
        // The two doors: lib.rs only declares (below), main.rs only starts a command.
        if module == "lib" || module == "main" || (module == "kinds" && source.is_test()) {
            continue;
        }
        let Some(may) = rules.get(module) else {
            problems.push(format!("{}: module `{module}` has no layer", source.path));
            continue;
        };
        for (number, line) in joined(source.code()) {
            for name in imports(&line) {
                if name != module && rules.contains_key(name.as_str()) && !may.contains(&name.as_str()) {
                    problems.push(format!("{}:{number}: `{module}` must not import `{name}`", source.path));
                }
            }
        }
    }
    no_problems(&problems);
}

/// The seam of the kinds: a kind is known to its own folders and to the lists, so a new one changes nothing else.
#[test]
fn a_kind_is_known_to_its_own_folders_only() {
    let kinds = ["containers", "services", "self_update", "command"];
    // lowtide's own container is made of any container; the engine's list of containers, a login and a mark are shared.
    let shared = ["containers"];
    // `serve` starts what is always at work; drift asks each engine once for all its targets.
    let wiring = [
        "cli/serve.rs",
        "cli/standby.rs",
        "runtime/drift.rs",
        "runtime/drive_rollout.rs",
    ];
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let path = source.path.as_str();
        let inside = path
            .split_once("kinds/")
            .map(|(_, rest)| first_name(rest))
            .unwrap_or_default();
        let is_list = path.contains("kinds/") && !kinds.contains(&inside.as_str());
        if wiring.contains(&path) || is_list {
            continue;
        }
        for (number, line) in source.code() {
            for (at, _) in line.match_indices("kinds::") {
                let other = first_name(&line[at + "kinds::".len()..]);
                let known = inside == other || (!inside.is_empty() && shared.contains(&other.as_str()));
                if kinds.contains(&other.as_str()) && !known {
                    problems.push(format!("{path}:{number}: the kind `{other}` is none of its business"));
                }
            }
        }
    }
    no_problems(&problems);
}

/// The seam of the channels: decisions, the store and the configuration know no channel, so a new one changes nothing else.
#[test]
fn a_channel_is_known_to_its_own_folders_only() {
    let channels = folders("crates/core/src/channels");
    assert_eq!(channels, folders("src/runtime/channels"), "each has both halves");
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let path = source.path.as_str();
        let inside = path.split_once("channels/").map(|(_, rest)| first_name(rest));
        if path == "channels/list.rs" {
            continue;
        }
        for (number, line) in source.code() {
            for (at, _) in line.match_indices("channels::") {
                let other = first_name(&line[at + "channels::".len()..]);
                if channels.contains(&other) && inside.as_ref() != Some(&other) {
                    problems.push(format!(
                        "{path}:{number}: the channel `{other}` is none of its business"
                    ));
                }
            }
        }
    }
    no_problems(&problems);
}

/// The seam of the families of package managers, as that of the kinds. No code outside says the name of one, neither as a
/// name nor in a text, unless people are told something.
#[test]
fn a_family_is_known_to_its_own_folders_only() {
    let families = folders("crates/packages/src/families");
    assert_eq!(families, folders("src/runtime/families"), "each has both halves");
    let lists = [
        "model/package_family.rs",
        "packages/families/list.rs",
        "packages/families/mod.rs",
        "packages/lib.rs",
        "runtime/families/mod.rs",
    ];
    let shown = [
        ("packages/openpgp/error.rs", "apt reads exported keys only"),
        (
            "decide/fixable.rs",
            "apt-get upgrade leaves out what needs a new package",
        ),
        ("report/words.rs", "apt-get update && apt-get install."),
    ];
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let path = source.path.as_str();
        if lists.contains(&path) {
            continue;
        }
        let inside = path.split_once("/families/").map(|(_, rest)| first_name(rest));
        // A family may have a crate of its own.
        let inside = inside.unwrap_or_else(|| source.module().to_owned());
        let own = Some(inside).filter(|name| families.contains(name));
        for (number, line) in source.shipped() {
            let is_shown = shown.iter().any(|(of, text)| *of == path && line.contains(text));
            if line.trim_start().starts_with("//") || is_shown {
                continue;
            }
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let mut words = words.map(|word| word.strip_prefix("lowtide_").unwrap_or(word));
            let other = words.find(|word| families.iter().any(|f| f == word) && own.as_deref() != Some(*word));
            let chosen = line.split("PackageFamily::").skip(1).map(first_name);
            let chosen = chosen.filter(|_| own.is_none()).find(|name| name != "ALL");
            if let Some(family) = other.map(ToOwned::to_owned).or(chosen) {
                problems.push(format!(
                    "{path}:{number}: the family `{family}` is none of its business"
                ));
            }
        }
    }
    no_problems(&problems);
}

#[test]
fn clients_know_nobody() {
    // Credentials, secrets, TLS, the clock, the pipe and what HTTP says serve all clients; no outside system is behind them.
    let shared = ["credentials", "secrets", "tls", "clock", "pipe", "http"];
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| s.module() == "clients") {
        let own = source.path.split('/').nth(1).unwrap_or_default();
        let own = own.strip_suffix(".rs").unwrap_or(own);
        for (number, line) in source.code() {
            for (at, _) in line.match_indices("crate::clients::") {
                let other = first_name(&line[at + "crate::clients::".len()..]);
                let fine = other.is_empty() || other == own || shared.contains(&other.as_str());
                if !fine {
                    problems.push(format!("{}:{number}: `{own}` must not import `{other}`", source.path));
                }
            }
        }
    }
    no_problems(&problems);
}

#[test]
fn pure_layers_reach_for_no_clock_no_chance_and_no_outside_world() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| PURE.contains(&s.module()) && !s.is_test()) {
        for (number, line) in source.code() {
            // It returns when all of its threads have ended, so the result depends on nothing but what went in.
            let line = line.replace("std::thread::scope", "");
            for word in IMPURE_WORDS.iter().filter(|word| says(&line, word)) {
                problems.push(format!("{}:{number}: `{word}` in a pure layer", source.path));
            }
        }
    }
    no_problems(&problems);
}

#[test]
fn each_library_stays_where_it_is_at_home() {
    let mut problems = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            for (library, home) in AT_HOME {
                // A path of the library, not a function that is named like it.
                if says(&line, &format!("{library}::")) && !source.path.starts_with(home) && source.path != "main.rs" {
                    problems.push(format!("{}:{number}: `{library}` outside src/{home}", source.path));
                }
            }
        }
    }
    no_problems(&problems);
}

#[test]
fn module_files_only_declare() {
    let declares = |line: &str| {
        let line = line.trim();
        line.is_empty()
            || line.starts_with("#[")
            || line.starts_with("#![")
            // The crates below, under the names of their modules.
            || line.starts_with("pub use lowtide_")
            || (line.starts_with("mod ") || (line.starts_with("pub") && line.contains("mod "))) && line.ends_with(';')
    };
    let mut problems = Vec::new();
    for source in sources()
        .iter()
        .filter(|s| s.path.ends_with("lib.rs") || s.path.ends_with("mod.rs"))
    {
        for (number, line) in source.code() {
            if !declares(&line) {
                problems.push(format!(
                    "{}:{number}: more than a declaration: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    no_problems(&problems);
}

#[test]
fn no_file_is_too_long() {
    let problems: Vec<String> = sources()
        .iter()
        .map(|s| (s, s.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(s, lines)| format!("{}: {lines} lines; split it by subject", s.path))
        .collect();
    no_problems(&problems);
}

#[test]
fn the_reader_of_lines_is_not_fooled() {
    insta::assert_debug_snapshot!(
        [
            "use crate::model::image::Tag;",
            "use crate::{kinds::list, store};",
            "use lowtide_model::name::AppName;",
            "use lowtide_core::{yaml, report::words};",
            "pub(in crate::clients) fn f() -> crate::model::X { y }",
            "// crate::runtime is not imported here",
            r#"let s = "crate::runtime";"#,
        ]
        .map(|line| imports(&bare(line))),
        @r#"
    [
        [
            "model",
        ],
        [
            "kinds",
            "store",
        ],
        [
            "model",
        ],
        [
            "yaml",
            "report",
        ],
        [
            "clients",
            "model",
        ],
        [],
        [],
    ]
    "#
    );
    let split = ["use crate::{", "    model::name,", "    store,", "};", "use x;"];
    let split = split.iter().enumerate().map(|(n, line)| (n, (*line).to_owned()));
    let split = joined(split);
    assert_eq!(split.len(), 2);
    assert_eq!(imports(&split[0].1), ["model", "store"]);
    assert!(says("let x = rand::random();", "rand::"));
    assert!(!says("use operand::Kind;", "rand::"));
}

/// docs/rollout-tests.md names tests for what can go wrong; a test that is renamed is renamed there too.
#[test]
fn every_test_the_documentation_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/rollout-tests.md")).unwrap();
    let code: String = sources()
        .into_iter()
        .chain(sources_in("tests"))
        .map(|source| source.text)
        .collect();
    let words = text.split('`').skip(1).step_by(2);
    let is_test = |word: &&str| {
        word.contains('_')
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
    };
    // Of compose.
    const KEYS: [&str; 2] = ["volumes_from", "container_name"];
    let named: Vec<&str> = words.filter(is_test).filter(|word| !KEYS.contains(word)).collect();
    assert!(named.len() > 80, "only {} tests are named", named.len());
    let missing: Vec<String> = named
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .map(|name| format!("{name} is named and does not exist"))
        .collect();
    no_problems(&missing);
}
