//! Physical lines to logical ones: parser directives, comments, continuation, here-documents. Every byte of a logical
//! line knows its place in the file.

use super::error::{DockerfileError, Problem};
use std::ops::Range;

/// A generated Dockerfile is some kilobytes.
const LIMIT: usize = 4 << 20;

pub(super) struct Directives {
    pub(super) escape: char,
    /// The frontend image of `# syntax=`.
    pub(super) syntax: Option<String>,
}

pub(super) struct Line {
    /// Of its first physical line, counted from 1.
    pub(super) number: usize,
    pub(super) text: String,
    /// The bodies of its here-documents.
    pub(super) bodies: String,
    /// Place in the file of each byte of `text`.
    places: Vec<usize>,
}

impl Line {
    /// Where a piece of `text` lies in the file. A piece that is continued over lines spans the breaks too.
    pub(super) fn place(&self, piece: &Range<usize>) -> Range<usize> {
        match (self.places.get(piece.start), self.places.get(piece.end.wrapping_sub(1))) {
            (Some(start), Some(last)) if piece.start < piece.end => *start..last + 1,
            (start, _) => start.map_or(0..0, |start| *start..*start),
        }
    }
    fn push(&mut self, text: &str, at: usize) {
        self.text.push_str(text);
        self.places.extend(at..at + text.len());
    }
    /// The instruction in upper case, and where its arguments begin.
    pub(super) fn instruction(&self) -> (String, usize) {
        let end = self.text.find([' ', '\t']).unwrap_or(self.text.len());
        (self.text[..end].to_ascii_uppercase(), end)
    }
}

struct Physical<'a> {
    number: usize,
    at: usize,
    text: &'a str,
}

pub(super) fn logical(file: &str) -> Result<(Directives, Vec<Line>), DockerfileError> {
    if file.len() > LIMIT {
        return Err(Problem::TooLarge { limit: LIMIT }.at(1));
    }
    let directives = directives(file)?;
    let mut physical = physical(file);
    let mut lines = Vec::new();
    while let Some(first) = physical.next() {
        let text = first.text.trim_start_matches([' ', '\t']);
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let mut line = Line {
            number: first.number,
            text: String::new(),
            bodies: String::new(),
            places: Vec::new(),
        };
        let mut next = Some((text, first.at + first.text.len() - text.len()));
        while let Some((text, at)) = next {
            let Some(end) = continued(text, directives.escape) else {
                line.push(text.trim_end(), at);
                break;
            };
            line.push(&text[..end], at);
            // Comments and empty lines inside a continued instruction are passed over.
            let real = |p: &Physical<'_>| !p.text.trim().is_empty() && !p.text.trim_start().starts_with('#');
            next = physical.find(real).map(|p| (p.text, p.at));
        }
        for (name, strip) in heredocs(&line, directives.escape) {
            loop {
                let Some(body) = physical.next() else {
                    return Err(Problem::HeredocOpen { name }.at(line.number));
                };
                let text = if strip {
                    body.text.trim_start_matches('\t')
                } else {
                    body.text
                };
                if text == name {
                    break;
                }
                line.bodies.push_str(text);
                line.bodies.push('\n');
            }
        }
        lines.push(line);
    }
    Ok((directives, lines))
}

fn physical(file: &str) -> impl Iterator<Item = Physical<'_>> {
    let mut at = 0;
    file.split_inclusive('\n').enumerate().map(move |(index, raw)| {
        let text = raw.strip_suffix('\n').unwrap_or(raw);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let bom = if index == 0 {
            text.len() - text.trim_start_matches('\u{feff}').len()
        } else {
            0
        };
        let line = Physical {
            number: index + 1,
            at: at + bom,
            text: &text[bom..],
        };
        at += raw.len();
        line
    })
}

/// Directives stand at the very top; the first line that is none ends them.
fn directives(file: &str) -> Result<Directives, DockerfileError> {
    let mut found = Directives {
        escape: '\\',
        syntax: None,
    };
    for line in physical(file) {
        let Some((key, value)) = line.text.trim_start().strip_prefix('#').and_then(|c| c.split_once('=')) else {
            break;
        };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "escape" => match value {
                "\\" => found.escape = '\\',
                "`" => found.escape = '`',
                _ => {
                    let value = value.to_owned();
                    return Err(Problem::Escape { value }.at(line.number));
                }
            },
            "syntax" => found.syntax = Some(value.to_owned()),
            "check" => {}
            _ => break,
        }
    }
    Ok(found)
}

/// Where the escape character stands that continues the line; blanks may follow it. Doubled, it is a character.
pub(super) fn continued(text: &str, escape: char) -> Option<usize> {
    let before = text.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!before.ends_with(escape)).then_some(before.len())
}

/// Blank-separated pieces; quotes keep blanks, the escape character keeps the next character.
pub(super) fn words(text: &str, from: usize, escape: char) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < from) {
        if quote.is_none() && !escaped && c.is_whitespace() {
            words.extend(start.take().map(|s| s..at));
            continue;
        }
        start.get_or_insert(at);
        match c {
            _ if escaped => escaped = false,
            c if c == escape && quote != Some('\'') => escaped = true,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            c if quote == Some(c) => quote = None,
            _ => {}
        }
    }
    words.extend(start.map(|s| s..text.len()));
    words
}

/// The here-documents an instruction opens, `<<NAME`, `<<-NAME`, `<<"NAME"`: terminator, and are leading tabs stripped.
fn heredocs(line: &Line, escape: char) -> Vec<(String, bool)> {
    let (instruction, arguments) = line.instruction();
    if !matches!(instruction.as_str(), "RUN" | "COPY" | "ADD") {
        return Vec::new();
    }
    let heredoc = |word: Range<usize>| {
        let word = line.text[word].trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = word.strip_prefix("<<")?;
        let (rest, strip) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
        let name = rest.replace(['\'', '"'], "");
        (!name.is_empty() && !rest.contains('<')).then_some((name, strip))
    };
    words(&line.text, arguments, escape)
        .into_iter()
        .filter_map(heredoc)
        .collect()
}
