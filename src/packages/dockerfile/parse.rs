//! Logical lines to stages.

use super::error::{DockerfileError, Problem};
use super::lines::{Line, logical, words};
use std::ops::Range;

/// A Dockerfile's stages and the images they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    pub(super) escape: char,
    pub(super) syntax: Option<String>,
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
    pub(super) runs: Vec<Run>,
    /// The last USER, as written.
    pub(super) user: Option<String>,
}

/// What a RUN says after its flags, here-documents included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) line: usize,
    pub(super) command: String,
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
/// When BuildKit, too, could not tell its stages; names the line.
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
        self.syntax.as_deref()
    }

    fn instruction(&mut self, line: &Line) -> Result<(), DockerfileError> {
        let (instruction, arguments) = line.instruction();
        let escape = self.escape;
        match (instruction.as_str(), self.stages.last_mut()) {
            ("FROM", _) => self.stages.push(stage(line, arguments, escape)?),
            ("ARG", None) => self.globals.extend(globals(line, arguments, escape)),
            (_, None) => return Err(Problem::BeforeFrom { instruction }.at(line.number)),
            ("COPY", Some(stage)) => {
                let words = flags(line, arguments, escape, "--from=");
                stage.sources.extend(words.into_iter().map(|piece| Source {
                    word: word(line, unquoted(&line.text, piece)),
                    mount: false,
                }));
            }
            ("RUN", Some(stage)) => {
                stage.runs.push(run(line, arguments, escape));
                let mounts = flags(line, arguments, escape, "--mount=");
                stage.sources.extend(
                    mounts
                        .into_iter()
                        .flat_map(|m| mount_from(&line.text, m))
                        .map(|piece| Source {
                            word: word(line, piece),
                            mount: true,
                        }),
                );
            }
            ("USER", Some(stage)) => stage.user = Some(line.text[arguments..].trim().to_owned()),
            (_, Some(_)) => {}
        }
        Ok(())
    }
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
        runs: Vec::new(),
        user: None,
    })
}

fn run(line: &Line, arguments: usize, escape: char) -> Run {
    let pieces = words(&line.text, arguments, escape);
    let first = pieces
        .iter()
        .find(|piece| !line.text[(*piece).clone()].starts_with("--"));
    let said = first.map_or("", |piece| &line.text[piece.start..]);
    Run {
        line: line.number,
        command: format!("{said}\n{}", line.bodies),
    }
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
