//! What released versions wrote into the state is read by this one, and this one writes nothing that the newest of them does not
//! know: whoever steps back to it finds nothing strange.
//!
//! `corpus/VERSION/NAME.jsonl` has a line per stream: its name, its events as the journal holds them, and what they fold to;
//! `corpus/VERSION/schema` is the number of the database's schema. A released version's files never change. Those of the version
//! that comes next are written with `LOWTIDE_WRITE_CORPUS=1`.

use jiff::Timestamp;
use lowtide_model::journal::Recorded;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The version whose files may still be written.
const NEXT: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize, Deserialize)]
struct Stream {
    stream: String,
    events: Vec<Value>,
    end: Value,
}

/// `streams`: what this version writes, by name. `end`: what a stream folds to, in a few words.
pub(crate) fn holds<E: Serialize + DeserializeOwned>(
    name: &str,
    streams: Vec<(String, Vec<E>)>,
    end: impl Fn(&[Recorded<E>]) -> Value,
) {
    let written: Vec<Stream> = streams
        .into_iter()
        .map(|(stream, events)| {
            let values = events
                .iter()
                .map(|event| serde_json::to_value(event).unwrap())
                .collect();
            let end = end(&recorded(events));
            Stream {
                stream,
                events: values,
                end,
            }
        })
        .collect();
    let file = format!("{name}.jsonl");
    if std::env::var_os("LOWTIDE_WRITE_CORPUS").is_some() {
        let lines: Vec<String> = written.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
        write_next(&file, &(lines.join("\n") + "\n"));
    }
    for (version, text) in each(&file) {
        for line in text.lines() {
            reads(&version, &serde_json::from_str(line).unwrap(), &end);
        }
    }
    let strange = strange_to(NEXT, &file, &written);
    assert!(
        strange.is_empty(),
        "{name}: the files of {NEXT} lack this; if it is not released yet, write them with LOWTIDE_WRITE_CORPUS=1:\n{}",
        strange.join("\n")
    );
    if let Some(released) = versions().iter().rfind(|version| *version != NEXT) {
        let strange = strange_to(released, &file, &written);
        assert!(
            strange.is_empty() || schema(NEXT) > schema(released),
            "{name}: {released} does not know this, so a migration has to keep it from opening such a state:\n{}",
            strange.join("\n")
        );
    }
}

/// Writes a file of the version that comes next, if `LOWTIDE_WRITE_CORPUS` is set.
pub(crate) fn write_next(file: &str, text: &str) {
    let path = corpus().join(NEXT).join(file);
    if std::env::var_os("LOWTIDE_WRITE_CORPUS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
}

/// That file of each version that has it.
pub(crate) fn each(file: &str) -> Vec<(String, String)> {
    let read = |version: String| {
        let text = std::fs::read_to_string(corpus().join(&version).join(file)).ok()?;
        Some((version, text))
    };
    versions().into_iter().filter_map(read).collect()
}

/// What is written and has no place in that version's file.
fn strange_to(version: &str, file: &str, written: &[Stream]) -> Vec<String> {
    let known = std::fs::read_to_string(corpus().join(version).join(file)).unwrap_or_default();
    let known: Vec<Stream> = known.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    shapes(written).difference(&shapes(&known)).cloned().collect()
}

fn schema(version: &str) -> usize {
    let text = std::fs::read_to_string(corpus().join(version).join("schema")).unwrap();
    text.trim().parse().unwrap()
}

fn reads<E: Serialize + DeserializeOwned>(version: &str, old: &Stream, end: &impl Fn(&[Recorded<E>]) -> Value) {
    let name = &old.stream;
    let events = old.events.iter().map(|value| {
        let event: E =
            serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{version}, {name}: {e}: {value}"));
        let again = serde_json::to_value(&event).unwrap();
        let lost: Vec<String> = places(value).difference(&places(&again)).cloned().collect();
        assert!(
            lost.is_empty(),
            "{version}, {name}: read, and then forgotten: {lost:?} of {value}"
        );
        event
    });
    assert_eq!(end(&recorded(events.collect())), old.end, "{version}, {name}");
}

fn recorded<E>(events: Vec<E>) -> Vec<Recorded<E>> {
    let each = (1_u32..).zip(events).map(|(seq, event)| Recorded {
        seq: u64::from(seq),
        at: Timestamp::from_second(1_764_000_000 + i64::from(seq)).unwrap(),
        event,
    });
    each.collect()
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn versions() -> Vec<String> {
    let folders = std::fs::read_dir(corpus()).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = folders.map(|it| it.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn shapes(streams: &[Stream]) -> BTreeSet<String> {
    streams.iter().flat_map(|it| &it.events).flat_map(places).collect()
}

/// Where something is in a value, and which word of a closed set it is.
fn places(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    gather(value, &mut String::new(), &mut found);
    found
}

fn gather(value: &Value, at: &mut String, found: &mut BTreeSet<String>) {
    let here = at.len();
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                at.push('/');
                at.push_str(key);
                gather(value, at, found);
                at.truncate(here);
            }
        }
        Value::Array(items) => {
            at.push_str("/[]");
            for item in items {
                gather(item, at, found);
            }
            at.truncate(here);
        }
        Value::String(word) if word.len() < 40 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
            found.insert(format!("{at} = {word}"));
        }
        Value::String(_) => drop(found.insert(format!("{at}: text"))),
        Value::Number(_) => drop(found.insert(format!("{at}: number"))),
        Value::Bool(_) => drop(found.insert(format!("{at}: bool"))),
        // An optional part that is absent.
        Value::Null => {}
    }
}

/// What a stream of a rollout comes to.
pub(crate) fn rollout_end(events: &[Recorded<crate::fleet::rollout::RolloutEvent>]) -> Value {
    let last = events.last().map(|it| serde_json::to_value(&it.event).unwrap());
    last.map(|last| last["conclusion"].clone()).unwrap_or_default()
}
