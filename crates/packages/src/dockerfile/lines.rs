//! Physical lines to logical ones: parser directives, comments, continuation, here-documents. Every byte of a logical
//! line knows its place in the file.

use super::directives::{Directives, directives};
use super::error::{DockerfileError, Problem};
use std::ops::Range;

/// A generated Dockerfile is some kilobytes.
const LIMIT: usize = 4 << 20;

pub(super) struct Line {
    /// Of its first physical line, counted from 1.
    pub(super) number: usize,
    pub(super) text: String,
    /// Its here-documents, in their order.
    pub(super) documents: Vec<Document>,
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
        self.instruction_from(0)
    }
    /// As [`Self::instruction`], of what stands from `start` on.
    pub(super) fn instruction_from(&self, start: usize) -> (String, usize) {
        let rest = &self.text[start..];
        let start = start + rest.len() - rest.trim_start().len();
        let rest = &self.text[start..];
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        (rest[..end].to_ascii_uppercase(), start + end)
    }
}

pub(super) struct Physical<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// Where its text begins in the file.
    pub(super) at: usize,
    pub(super) text: &'a str,
}

/// A here-document of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) name: String,
    /// Leading tabs are taken away: `<<-`.
    pub(super) strip: bool,
    /// As it stands in the file.
    pub(super) body: String,
}

impl Document {
    /// What a program gets of it.
    pub(super) fn text(&self) -> String {
        if !self.strip {
            return self.body.clone();
        }
        let lines = self.body.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }
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
            documents: Vec::new(),
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
        for mut document in heredocs(&line) {
            loop {
                let Some(body) = physical.next() else {
                    let name = document.name;
                    return Err(Problem::HeredocOpen { name }.at(line.number));
                };
                let text = if document.strip {
                    body.text.trim_start_matches('\t')
                } else {
                    body.text
                };
                if text == document.name {
                    break;
                }
                document.body.push_str(body.text);
                document.body.push('\n');
            }
            line.documents.push(document);
        }
        lines.push(line);
    }
    Ok((directives, lines))
}

pub(super) fn physical(file: &str) -> impl Iterator<Item = Physical<'_>> {
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

/// Where the escape character stands that continues the line; blanks may follow it. Doubled, it is a character.
pub(super) fn continued(text: &str, escape: char) -> Option<usize> {
    let before = text.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!before.ends_with(escape)).then_some(before.len())
}

/// Blank-separated pieces; quotes preserve blanks, the escape character preserves the next character.
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

/// The here-documents that an instruction opens: `<<NAME`, `<< NAME`, `<<-NAME`, `<<"NAME"`, `<<\NAME`.
fn heredocs(line: &Line) -> Vec<Document> {
    let (mut instruction, mut arguments) = line.instruction();
    if instruction == "ONBUILD" {
        (instruction, arguments) = line.instruction_from(arguments);
    }
    if !matches!(instruction.as_str(), "RUN" | "COPY" | "ADD") || !line.text.contains("<<") {
        return Vec::new();
    }
    // Whatever the file's escape character, here it is the shell's.
    let pieces = words(&line.text, arguments, '\\');
    let mut found = Vec::new();
    let mut open = None;
    for piece in pieces {
        let word = &line.text[piece];
        match (open.take(), heredoc(word)) {
            (Some(strip), _) if !word.contains('<') => found.extend(document(word, strip)),
            (_, Some(("", strip))) => open = Some(strip),
            (_, Some((name, strip))) => found.extend(document(name, strip)),
            (_, None) => {}
        }
    }
    found
}

/// Is this word the beginning of a here-document? Its name (empty: the next word is it), and are leading tabs stripped?
pub(super) fn heredoc(word: &str) -> Option<(&str, bool)> {
    let rest = word
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .strip_prefix("<<")?;
    let (name, strip) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    (!name.contains('<')).then_some((name, strip))
}

fn document(name: &str, strip: bool) -> Option<Document> {
    let mut plain = String::new();
    let mut quote = None;
    let mut characters = name.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', None) => plain.extend(characters.next()),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            (c, _) => plain.push(c),
        }
    }
    let body = String::new();
    (!plain.is_empty()).then_some(Document {
        name: plain,
        strip,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ab`, a break of two bytes, `cd`.
    #[test]
    fn a_piece_lies_where_its_bytes_are_and_an_empty_one_nowhere_else() {
        let line = Line {
            number: 1,
            text: "abcd".to_owned(),
            documents: Vec::new(),
            places: vec![0, 1, 4, 5],
        };
        assert_eq!(line.place(&(0..2)), 0..2);
        assert_eq!(line.place(&(1..3)), 1..5, "with the break");
        assert_eq!(line.place(&(2..4)), 4..6);
        assert_eq!(line.place(&(2..2)), 4..4, "after the break");
        assert_eq!(line.place(&(0..0)), 0..0);
        assert_eq!(line.place(&(4..4)), 0..0);
    }
}
