//! Logical lines to stages.

use super::error::{DockerfileError, Problem};
use super::instruction::{self, Instruction};
use super::lines::{Line, logical, words};
use std::ops::Range;

/// A Dockerfile's stages and the images they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    pub(super) escape: char,
    /// The frontend image of `# syntax=`.
    pub(super) syntax: Option<Word>,
    pub(super) globals: Vec<Global>,
    /// At least one.
    pub(super) stages: Vec<Stage>,
}

/// An ARG before the first FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Global {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) default: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// Lower case; stage names ignore case.
    pub(super) name: Option<String>,
    pub(super) platform: Option<Word>,
    pub(super) base: Word,
    /// COPY --from and RUN --mount=from.
    pub(super) sources: Vec<Source>,
    pub(super) instructions: Vec<Instruction>,
    /// ONBUILD: what the stages that stand on this one do first.
    pub(super) triggers: Triggers,
    /// The last USER, as written.
    pub(super) user: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Triggers {
    pub(super) sources: Vec<Source>,
    pub(super) instructions: Vec<Instruction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) word: Word,
    pub(super) mount: bool,
}

/// A word that names an image or a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Where its instruction begins, counted from 1.
    pub(super) line: usize,
    /// As written, continuation taken out.
    pub(super) text: String,
    /// Bytes in the file.
    pub(super) place: Range<usize>,
}

/// Reads a Dockerfile as far as it decides about bases.
///
/// # Errors
/// When BuildKit, too, could not separate its stages; names the line.
pub fn parse(text: &str) -> Result<Dockerfile, DockerfileError> {
    let (directives, lines) = logical(text)?;
    let mut file = Dockerfile {
        escape: directives.escape,
        syntax: directives.syntax,
        globals: Vec::new(),
        stages: Vec::new(),
    };
    for line in &lines {
        file.instruction(line)?;
    }
    if file.stages.is_empty() {
        return Err(Problem::NoFrom.at(lines.last().map_or(1, |line| line.number)));
    }
    Ok(file)
}

impl Dockerfile {
    /// The frontend image that `# syntax=` names; the builder fetches it too.
    #[must_use]
    pub fn syntax(&self) -> Option<&str> {
        self.syntax.as_ref().map(|word| word.text.as_str())
    }

    fn instruction(&mut self, line: &Line) -> Result<(), DockerfileError> {
        let (instruction, arguments) = line.instruction();
        let escape = self.escape;
        match (instruction.as_str(), self.stages.last_mut()) {
            ("FROM", _) => self.stages.push(stage(line, arguments, escape)?),
            ("ARG", None) => self.globals.extend(globals(line, arguments, escape)),
            (_, None) => return Err(Problem::BeforeFrom { instruction }.at(line.number)),
            ("USER", Some(stage)) => stage.user = Some(line.text[arguments..].trim().to_owned()),
            ("ONBUILD", Some(stage)) => {
                let (instruction, arguments) = line.instruction_from(arguments);
                let Triggers { sources, instructions } = &mut stage.triggers;
                within_stage(line, &instruction, arguments, escape, sources, instructions);
            }
            (other, Some(stage)) => {
                within_stage(
                    line,
                    other,
                    arguments,
                    escape,
                    &mut stage.sources,
                    &mut stage.instructions,
                );
            }
        }
        Ok(())
    }
}

fn within_stage(
    line: &Line,
    instruction: &str,
    arguments: usize,
    escape: char,
    sources: &mut Vec<Source>,
    instructions: &mut Vec<Instruction>,
) {
    match instruction {
        "ADD" => instructions.extend(instruction::sources(line, arguments)),
        "COPY" => {
            instructions.extend(instruction::sources(line, arguments));
            let from = copied_from(line, arguments, escape);
            if !from.is_empty() {
                instructions.extend(instruction::overlay(line, arguments, escape));
            }
            sources.extend(from);
        }
        "RUN" => {
            instructions.push(instruction::run(line, arguments, escape));
            sources.extend(mounted_from(line, arguments, escape));
        }
        "ARG" => instructions.extend(instruction::args(line, arguments, escape)),
        "ENV" => instructions.extend(instruction::envs(line, arguments, escape)),
        "SHELL" => instructions.extend(instruction::shell(line, arguments)),
        _ => {}
    }
}

fn copied_from(line: &Line, arguments: usize, escape: char) -> Vec<Source> {
    let values = flags(line, arguments, escape, "--from=");
    let pieces = values.into_iter().map(|piece| unquoted(&line.text, piece));
    pieces.filter_map(|piece| source(line, piece, false)).collect()
}

fn mounted_from(line: &Line, arguments: usize, escape: char) -> Vec<Source> {
    let mounts = flags(line, arguments, escape, "--mount=");
    let pieces = mounts.into_iter().filter_map(|m| mount_from(&line.text, m));
    pieces.filter_map(|piece| source(line, piece, true)).collect()
}

/// An empty name is the build context.
fn source(line: &Line, piece: Range<usize>, mount: bool) -> Option<Source> {
    let word = word(line, piece);
    (!word.text.is_empty()).then_some(Source { word, mount })
}

fn word(line: &Line, piece: Range<usize>) -> Word {
    Word {
        line: line.number,
        place: line.place(&piece),
        text: line.text[piece].to_owned(),
    }
}

fn stage(line: &Line, arguments: usize, escape: char) -> Result<Stage, DockerfileError> {
    let pieces = words(&line.text, arguments, escape);
    let flags = pieces
        .iter()
        .take_while(|p| line.text[(*p).clone()].starts_with("--"))
        .count();
    let platform = pieces[..flags].iter().find_map(|piece| {
        let value = line.text[piece.clone()].strip_prefix("--platform=")?;
        Some(word(line, piece.end - value.len()..piece.end))
    });
    let text = |piece: &Range<usize>| line.text[piece.clone()].to_ascii_lowercase();
    let name = match &pieces[flags..] {
        [_] => None,
        [_, keyword, name] if text(keyword) == "as" => Some(text(name)),
        _ => return Err(Problem::From.at(line.number)),
    };
    if let Some(name) = &name {
        let legal = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        if !legal {
            return Err(Problem::StageName { name: name.clone() }.at(line.number));
        }
    }
    Ok(Stage {
        name,
        platform,
        base: word(line, pieces[flags].clone()),
        sources: Vec::new(),
        instructions: Vec::new(),
        triggers: Triggers::default(),
        user: None,
    })
}

fn globals(line: &Line, arguments: usize, escape: char) -> Vec<Global> {
    let global = |piece: Range<usize>| {
        let text = &line.text[piece];
        let (name, default) = text
            .split_once('=')
            .map_or((text, None), |(n, d)| (n, Some(d.to_owned())));
        Global {
            line: line.number,
            name: name.to_owned(),
            default,
        }
    };
    words(&line.text, arguments, escape).into_iter().map(global).collect()
}

/// The values of every flag called `flag` (with its `=`), among the flags that open the arguments.
fn flags(line: &Line, arguments: usize, escape: char, flag: &str) -> Vec<Range<usize>> {
    words(&line.text, arguments, escape)
        .into_iter()
        .take_while(|piece| line.text[piece.clone()].starts_with("--"))
        .filter(|piece| line.text[piece.clone()].starts_with(flag))
        .map(|piece| piece.start + flag.len()..piece.end)
        .collect()
}

/// The value of `from=` in a mount's comma-separated fields.
fn mount_from(text: &str, value: Range<usize>) -> Option<Range<usize>> {
    let mut start = value.start;
    for field in text[value].split(',') {
        let inner = unquoted(text, start..start + field.len());
        let inner_text = &text[inner.clone()];
        if inner_text.get(..5).is_some_and(|key| key.eq_ignore_ascii_case("from=")) {
            return Some(unquoted(text, inner.start + 5..inner.end));
        }
        start += field.len() + 1;
    }
    None
}

fn unquoted(text: &str, piece: Range<usize>) -> Range<usize> {
    let quotes = ['"', '\''];
    let inner = text[piece.clone()].trim_start_matches(quotes);
    let start = piece.end - inner.len();
    start..start + inner.trim_end_matches(quotes).len()
}
