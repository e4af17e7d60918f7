//! Projects as we read them beside what `docker compose config` shows. Needs `LOWTIDE_TEST_COMPOSE`, the path of Docker's Compose;
//! without it nothing is compared. `LOWTIDE_TEST_COMPOSE_FILES` (paths, one a line) adds files from elsewhere.

use lowtide_compose::load::{Project, Request, load};
use lowtide_compose::quantity::{bytes, duration};
use lowtide_compose::stack::{Choice, plan};
use lowtide_compose::value::Node;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Keys whose text is a duration or a size: Compose prints them in a form of its own.
const DURATIONS: [&str; 7] = [
    "window",
    "interval",
    "timeout",
    "start_period",
    "start_interval",
    "stop_grace_period",
    "delay",
];
const SIZES: [&str; 6] = [
    "mem_limit",
    "memswap_limit",
    "mem_reservation",
    "shm_size",
    "memory",
    "size",
];

fn oracle() -> Option<PathBuf> {
    std::env::var_os("LOWTIDE_TEST_COMPOSE").map(PathBuf::from)
}

fn theirs(compose: &Path, folder: &Path, file: &str) -> Result<Value, String> {
    let mut command = Command::new(compose);
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", "/nobody")
        .env("GIVEN", "given");
    command.args([
        "-f",
        file,
        "--profile",
        "*",
        "--project-name",
        "t",
        "config",
        "--format",
        "json",
    ]);
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    } else {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(text.trim().lines().last().unwrap_or_default().to_owned())
    }
}

fn ours(folder: &Path, file: &str) -> Result<Value, String> {
    Ok(project(folder, file)?.root.to_json())
}

fn project(folder: &Path, file: &str) -> Result<Project, String> {
    let read = |path: &str| match std::fs::read(folder.join(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let request = Request {
        files: vec![file.to_owned()],
        project: "t".to_owned(),
        env: BTreeMap::from([("GIVEN".to_owned(), "given".to_owned())]),
    };
    load(&request, &read).map_err(|error| error.to_string())
}

/// Both in one form: `root` is what Compose writes before paths of the repository.
fn plain(value: &Value, key: &str, root: Option<&str>) -> Option<Value> {
    let value = match value {
        Value::Null if key != "environment" => return None,
        Value::String(text) if text.is_empty() && key == "platform" => return None,
        Value::Object(map) => {
            let entries = map.iter().filter(|(name, _)| {
                !name.starts_with("x-") && *name != "version" && *name != "name" || key == "environment"
            });
            let entries = entries.filter_map(|(name, value)| {
                Some((
                    name.clone(),
                    plain(value, if key == "environment" { key } else { name }, root)?,
                ))
            });
            let map: serde_json::Map<_, _> = entries.collect();
            // What is empty says nothing.
            if map.is_empty() && key != "services" {
                return None;
            }
            Value::Object(map)
        }
        Value::Array(items) => Value::Array(items.iter().filter_map(|item| plain(item, key, root)).collect()),
        Value::Bool(false) if key == "read_only" => return None,
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            let text = scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned);
            let text = match root {
                Some(root) if text == root => "./".to_owned(),
                Some(root) => text
                    .strip_prefix(&format!("{root}/"))
                    .map_or(text.replace("$$", "$"), |rest| format!("./{rest}")),
                None => text,
            };
            let as_duration = || {
                duration(&text)
                    .map(|it| it.as_nanos().to_string())
                    .filter(|_| DURATIONS.contains(&key))
            };
            let as_size = || bytes(&text).map(|it| it.to_string()).filter(|_| SIZES.contains(&key));
            Value::String(as_duration().or_else(as_size).unwrap_or(text))
        }
    };
    Some(value)
}

fn differences(ours: &Value, theirs: &Value, path: &str, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let nothing = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&nothing), b.get(key).unwrap_or(&nothing));
                differences(a, b, &format!("{path}.{key}"), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{path}[{n}]"), out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(format!("{path}: {a} and not {b}")),
    }
}

/// What differs in one file; empty: nothing, or both refuse it.
fn compared(compose: &Path, folder: &Path, file: &str) -> Vec<String> {
    let root = folder.display().to_string();
    match (ours(folder, file), theirs(compose, folder, file)) {
        (Ok(ours), Ok(theirs)) => {
            let ours = plain(&ours, "", None).unwrap_or_default();
            let theirs = plain(&theirs, "", Some(&root)).unwrap_or_default();
            let mut out = Vec::new();
            differences(&ours, &theirs, "", &mut out);
            out
        }
        (Err(_), Err(_)) => Vec::new(),
        (Ok(_), Err(theirs)) => vec![format!("only Compose refuses it: {theirs}")],
        (Err(ours), Ok(_)) => vec![format!("only we refuse it: {ours}")],
    }
}

#[test]
fn projects_are_read_as_compose_reads_them() {
    let Some(compose) = oracle() else { return };
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects");
    let mut failed = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&cases).unwrap() {
        let folder = entry.unwrap().path();
        count += 1;
        for difference in compared(&compose, &folder, "compose.yml") {
            failed.push(format!("{}: {difference}", folder.file_name().unwrap().display()));
        }
    }
    assert!(count > 5, "{count} projects in {}", cases.display());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Prints what of the files from elsewhere a test does not run, and why.
#[test]
#[expect(clippy::print_stdout, reason = "what it is for")]
fn refusals_of_files_from_elsewhere() {
    let Some(list) = std::env::var_os("LOWTIDE_TEST_COMPOSE_FILES") else {
        return;
    };
    let list = std::fs::read_to_string(list).unwrap();
    let (mut run, mut rights) = (0, 0);
    for path in list.lines().map(Path::new) {
        let (folder, file) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        let project = match project(folder, file) {
            Ok(project) => project,
            Err(why) => {
                println!("{}: not read: {why}", path.display());
                continue;
            }
        };
        let services = project
            .root
            .as_map()
            .and_then(|map| map.get("services"))
            .and_then(Node::as_map);
        let Some((first, _)) = services.and_then(|services| services.0.first()) else {
            continue;
        };
        let allow = BTreeSet::new();
        let mut choice = Choice {
            service: None,
            tester: None,
            image: None,
            dockerfile: "Dockerfile",
            target: None,
            profiles: &["*".to_owned()],
            allow: &allow,
        };
        let planned = plan(&project, &choice).or_else(|_| {
            choice.service = Some(first);
            plan(&project, &choice)
        });
        match planned {
            Ok(_) => run += 1,
            Err(refused) => {
                let (asks, other): (Vec<_>, Vec<_>) =
                    refused.0.iter().partition(|it| it.problem.starts_with("asks for"));
                rights += usize::from(other.is_empty());
                for refusal in if other.is_empty() { asks } else { other } {
                    println!("{}: {refusal}", folder.display());
                }
            }
        }
    }
    println!(
        "{} files, {run} are run, {rights} ask for host rights alone",
        list.lines().count()
    );
}

#[test]
fn files_from_elsewhere() {
    let (Some(compose), Some(list)) = (oracle(), std::env::var_os("LOWTIDE_TEST_COMPOSE_FILES")) else {
        return;
    };
    let mut failed = Vec::new();
    let list = std::fs::read_to_string(list).unwrap();
    for path in list.lines().map(Path::new) {
        let (folder, file) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        for difference in compared(&compose, folder, file) {
            failed.push(format!("{}: {difference}", path.display()));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} files:\n{}",
        failed.len(),
        list.lines().count(),
        failed.join("\n")
    );
}
