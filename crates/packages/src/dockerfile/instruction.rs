//! What the instructions of a stage say that decides about packages.

use super::lines::{Line, heredoc, words};
use crate::families::list;
use std::ops::Range;

/// In the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instruction {
    /// Values as written: quotes and variables in them.
    Arg {
        name: String,
        default: Option<String>,
    },
    Env {
        name: String,
        value: String,
    },
    /// What runs the text of a RUN.
    Shell(Vec<String>),
    Run(Run),
    /// Files of another image or stage, where package databases may be.
    Overlay {
        line: usize,
    },
    /// A COPY or ADD of package sources.
    Sources {
        line: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) line: usize,
    pub(super) said: Said,
}

/// What a RUN says after its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A text for the stage's shell, here-documents and all.
    Shell(String),
    /// `["program", "argument"]`.
    Exec(Vec<String>),
    /// A here-document that begins with the name of its interpreter.
    Script { interpreter: String, text: String },
}

pub(super) fn args(line: &Line, arguments: usize, escape: char) -> Vec<Instruction> {
    let arg = |piece: Range<usize>| {
        let text = &line.text[piece];
        let (name, default) = text
            .split_once('=')
            .map_or((text, None), |(n, d)| (n, Some(d.to_owned())));
        let name = name.to_owned();
        Instruction::Arg { name, default }
    };
    words(&line.text, arguments, escape).into_iter().map(arg).collect()
}

/// `NAME=value …`, or the old `NAME value with blanks`.
pub(super) fn envs(line: &Line, arguments: usize, escape: char) -> Vec<Instruction> {
    let pieces = words(&line.text, arguments, escape);
    let text = |piece: &Range<usize>| &line.text[piece.clone()];
    let env = |name: &str, value: &str| Instruction::Env {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    match pieces.as_slice() {
        [name, value, ..] if !text(name).contains('=') => vec![env(text(name), &line.text[value.start..])],
        all => {
            let pairs = all.iter().filter_map(|piece| text(piece).split_once('='));
            pairs.map(|(name, value)| env(name, value)).collect()
        }
    }
}

pub(super) fn shell(line: &Line, arguments: usize) -> Option<Instruction> {
    let words = serde_json::from_str(line.text[arguments..].trim()).ok()?;
    Some(Instruction::Shell(words))
}

pub(super) fn run(line: &Line, arguments: usize, escape: char) -> Instruction {
    let pieces = words(&line.text, arguments, escape);
    let first = pieces
        .iter()
        .find(|piece| !line.text[(*piece).clone()].starts_with("--"));
    let said = first.map_or("", |piece| line.text[piece.start..].trim());
    Instruction::Run(Run {
        line: line.number,
        said: form(said, line),
    })
}

fn form(said: &str, line: &Line) -> Said {
    let pieces: Vec<&str> = words(said, 0, '\\').into_iter().map(|piece| &said[piece]).collect();
    let alone = match pieces.as_slice() {
        [one] => heredoc(one).is_some(),
        // `<< NAME`.
        [sign, name] => heredoc(sign).is_some_and(|(name, _)| name.is_empty()) && !name.contains('<'),
        _ => false,
    };
    match line.documents.as_slice() {
        [] => match serde_json::from_str(said) {
            Ok(words) => Said::Exec(words),
            Err(_) => Said::Shell(said.to_owned()),
        },
        // Nothing but one here-document: it is the text itself.
        [document] if alone => {
            let text = document.text();
            match text.strip_prefix("#!") {
                Some(rest) => Said::Script {
                    interpreter: rest.lines().next().unwrap_or_default().to_owned(),
                    text,
                },
                None => Said::Shell(text),
            }
        }
        documents => {
            let mut text = said.to_owned();
            for document in documents {
                text.push('\n');
                text.push_str(&document.body);
                text.push_str(&document.name);
            }
            text.push('\n');
            Said::Shell(text)
        }
    }
}

/// A COPY with `--from` that may write where a package manager stores what is installed.
pub(super) fn overlay(line: &Line, arguments: usize, escape: char) -> Option<Instruction> {
    let pieces = words(&line.text, arguments, escape);
    let clean = |word: &str| {
        let word = word.trim_matches(|c: char| "[]\",'".contains(c));
        word.trim_end_matches(['*', '/', '.']).to_owned()
    };
    let mut paths: Vec<String> = pieces
        .iter()
        .map(|piece| &line.text[piece.clone()])
        .skip_while(|word| word.starts_with("--"))
        .map(clean)
        .collect();
    let to = paths.pop()?;
    // A path of the image that is not written out may be any.
    let to = to
        .strip_prefix('/')
        .or(to.is_empty().then_some(""))
        .filter(|to| !to.contains('$'));
    let lands = |from: &String| {
        let from = from.trim_start_matches('/');
        let inside = |database: &&str| from.is_empty() || is_within(database, from) || from.contains('$');
        databases().filter(inside).any(|database| {
            let rest = database.strip_prefix(from).unwrap_or_default().trim_start_matches('/');
            to.is_none_or(|to| {
                let target = format!("{to}/{rest}");
                databases().any(|database| is_within(database, target.trim_matches('/')))
            })
        })
    };
    paths
        .iter()
        .any(lands)
        .then_some(Instruction::Overlay { line: line.number })
}

/// Folders of package databases.
pub(super) fn databases() -> impl Iterator<Item = &'static str> {
    list::all().flat_map(|family| family.paths().databases).copied()
}

/// Where a COPY or ADD writes files that say which package sources there are.
pub(super) fn sources(line: &Line, arguments: usize) -> Option<Instruction> {
    let said = &line.text[arguments..];
    let to = said.split_whitespace().next_back()?;
    list::all()
        .any(|family| family.copies_sources(said, to))
        .then_some(Instruction::Sources { line: line.number })
}

/// Is one of the two paths the other, or below it?
pub(super) fn is_within(a: &str, b: &str) -> bool {
    let below = |a: &str, b: &str| {
        a.strip_prefix(b)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(a, b) || below(b, a)
}
