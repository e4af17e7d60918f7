//! The comments at the very top that mean something to the builder (BuildKit, `frontend/dockerfile/parser/directives.go`).

use super::error::{DockerfileError, Problem};
use super::lines::{Physical, physical};
use super::parse::Word;

pub(super) struct Directives {
    pub(super) escape: char,
    /// The frontend image of `# syntax=`.
    pub(super) syntax: Option<Word>,
}

/// The first line that is no directive ends them.
pub(super) fn directives(file: &str) -> Result<Directives, DockerfileError> {
    let mut found = Directives {
        escape: '\\',
        syntax: None,
    };
    let (mut escaped, mut checked) = (false, false);
    for line in physical(file) {
        // The search for a frontend passes over an interpreter's line; the parser takes it for a comment.
        if line.number == 1 && line.text.starts_with("#!") {
            found.syntax = physical(file).nth(1).and_then(|line| syntax(&line));
            break;
        }
        let Some((key, value)) = directive(line.text) else {
            break;
        };
        let seen = match key.as_str() {
            "escape" => match value {
                "\\" | "`" => {
                    found.escape = value.chars().next().unwrap_or('\\');
                    std::mem::replace(&mut escaped, true)
                }
                _ => {
                    let value = value.to_owned();
                    return Err(Problem::Escape { value }.at(line.number));
                }
            },
            "syntax" => std::mem::replace(&mut found.syntax, syntax(&line)).is_some(),
            "check" => std::mem::replace(&mut checked, true),
            _ => break,
        };
        if seen {
            return Err(Problem::Repeated { directive: key }.at(line.number));
        }
    }
    Ok(found)
}

/// Key in lower case, and value.
fn directive(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let key = key.trim();
    let legal = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(|c| c.is_ascii_alphanumeric());
    let value = value.trim();
    (legal && !value.is_empty()).then(|| (key.to_ascii_lowercase(), value))
}

/// The first word names the image; what follows is for the frontend.
fn syntax(line: &Physical<'_>) -> Option<Word> {
    let (key, value) = directive(line.text)?;
    let image = value.split(' ').next().filter(|_| key == "syntax")?;
    let offset = line.text.len() - line.text.trim_end().len() + value.len();
    let start = line.at + line.text.len() - offset;
    Some(Word {
        line: line.number,
        text: image.to_owned(),
        place: start..start + image.len(),
    })
}
