//! Commands whose end is known beforehand.

use crate::dockerfile::shell::tree::{Item, Piece, Pipeline, What, Word};

/// It never succeeds.
pub(super) fn fails(pipeline: &Pipeline) -> bool {
    match ending(pipeline) {
        Some(words) => words == ["false"] || is_bad_exit(&words),
        None => false,
    }
}

/// It ends the shell with an error.
pub(super) fn leaves_badly(pipeline: &Pipeline) -> bool {
    let within_shell = |pipeline: &Pipeline| match pipeline.commands.as_slice() {
        [command] => !matches!(command.what, What::Subshell(_)),
        _ => false,
    };
    within_shell(pipeline) && ending(pipeline).is_some_and(|words| is_bad_exit(&words))
}

fn is_bad_exit(words: &[String]) -> bool {
    match words {
        [exit, code] if exit == "exit" => code.parse::<u8>().is_ok_and(|code| code != 0),
        _ => false,
    }
}

/// The words of its last command, where that is surely the last one that runs.
fn ending(pipeline: &Pipeline) -> Option<Vec<String>> {
    let [command] = pipeline.commands.as_slice() else {
        return None;
    };
    match &command.what {
        _ if pipeline.negated => None,
        What::Simple(simple) => simple.words.iter().map(plain).collect(),
        What::Group(list) | What::Subshell(list) => {
            let (last, before) = list.0.split_last()?;
            let alone = |item: &Item| item.rest.is_empty() && !item.background;
            let reached = alone(last) && before.iter().all(|item| alone(item) && only_says(&item.first));
            ending(&last.first).filter(|_| reached)
        }
        What::If { .. }
        | What::Loop { .. }
        | What::For { .. }
        | What::Case { .. }
        | What::Function { .. }
        | What::Test(_) => None,
    }
}

fn plain(word: &Word) -> Option<String> {
    match word.as_slice() {
        [Piece::Plain(text)] => Some(text.clone()),
        _ => None,
    }
}

/// A message before the end.
fn only_says(pipeline: &Pipeline) -> bool {
    pipeline.commands.iter().all(|command| match &command.what {
        What::Simple(simple) => {
            let program = simple.words.first().and_then(plain);
            matches!(program.as_deref(), Some("echo" | "printf" | "cat" | "sleep"))
        }
        What::Group(_)
        | What::Subshell(_)
        | What::If { .. }
        | What::Loop { .. }
        | What::For { .. }
        | What::Case { .. }
        | What::Function { .. }
        | What::Test(_) => false,
    })
}
