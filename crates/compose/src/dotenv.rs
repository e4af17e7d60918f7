//! Environment files: `.env`, and those of `env_file` and `--env-file`, as Compose reads them.

use crate::template::{self, Lookup, TemplateError};
use std::collections::BTreeMap;

/// What is wrong with an environment file; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DotenvError {
    #[error("line {line}: `{name}` is not the name of a variable")]
    Name { line: usize, name: String },
    #[error("line {line}: a quote is not closed")]
    Open { line: usize },
    #[error("line {line}: {error}")]
    Value { line: usize, error: TemplateError },
    #[error("it is not text (UTF-8)")]
    NotText,
}

/// The variables of a file, in its order. A name without `=` takes its value from `lookup`, and is absent without one; a value
/// can use `lookup` and the lines above it.
///
/// # Errors
/// The first line that is neither blank, a comment nor a variable.
pub fn read(bytes: &[u8], lookup: Lookup<'_>) -> Result<Vec<(String, String)>, DotenvError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DotenvError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        rest: text,
        line: 1,
        found: Vec::new(),
        values: BTreeMap::new(),
    };
    while reader.statement(lookup)? {}
    Ok(reader.found)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<(String, String)>,
    values: BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    /// `false`: nothing is left.
    fn statement(&mut self, lookup: Lookup<'_>) -> Result<bool, DotenvError> {
        self.skip_blank();
        if self.rest.is_empty() {
            return Ok(false);
        }
        let line = self.line;
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let whole = &self.rest[..end];
        let (offset, statement) = exported(whole);
        let cut = statement.find(['=', ':']);
        let name = statement[..cut.unwrap_or(statement.len())].trim();
        let is_name = |c: char| c.is_alphanumeric() || "_.-[]".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            let name = whole.trim().chars().take(60).collect();
            return Err(DotenvError::Name { line, name });
        }
        let Some(cut) = cut else {
            self.advance(end);
            if let Some(value) = lookup(name) {
                self.put(name, value);
            }
            return Ok(true);
        };
        self.advance(offset + cut + 1);
        let value = self.value(line, lookup)?;
        self.put(name, value);
        Ok(true)
    }

    fn value(&mut self, line: usize, lookup: Lookup<'_>) -> Result<String, DotenvError> {
        let blank = |c: char| c.is_whitespace() && c != '\n';
        self.rest = self.rest.trim_start_matches(blank);
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let text = self.quoted(quote, line)?;
                if quote == '"' {
                    self.expand(line, &escapes(&text), lookup)
                } else {
                    Ok(text)
                }
            }
            _ => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                let text = &self.rest[..end];
                let text = text.split_once(" #").map_or(text, |(text, _)| text).trim_end();
                let value = self.expand(line, text, lookup)?;
                self.advance(end);
                Ok(value)
            }
        }
    }

    /// Up to the closing quote, which may be lines below. A backslash before the quote stands for the quote.
    fn quoted(&mut self, quote: char, line: usize) -> Result<String, DotenvError> {
        let mut text = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                c if escaped => {
                    if c != quote {
                        text.push('\\');
                    }
                    text.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                c if c == quote => {
                    self.advance(at + c.len_utf8());
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err(DotenvError::Open { line })
    }

    fn expand(&self, line: usize, text: &str, lookup: Lookup<'_>) -> Result<String, DotenvError> {
        let known = |name: &str| lookup(name).or_else(|| self.values.get(name).cloned());
        template::interpolate(text, &known, &mut Vec::new()).map_err(|error| DotenvError::Value { line, error })
    }

    fn put(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value.clone());
        self.found.push((name.to_owned(), value));
    }

    /// Blank lines and comments.
    fn skip_blank(&mut self) {
        loop {
            let text = self.rest.trim_start();
            self.advance(self.rest.len() - text.len());
            if !self.rest.starts_with('#') {
                return;
            }
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest): (&'a str, &'a str) = self.rest.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }
}

/// What follows `export`, and where it begins.
fn exported(line: &str) -> (usize, &str) {
    match line.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => {
            let rest = rest.trim_start();
            (line.len() - rest.len(), rest)
        }
        Some(_) | None => (0, line),
    }
}

/// The escapes that double quotes know. `\$` becomes `$$`, which the interpolation after it turns into a dollar sign.
fn escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let known = characters.peek().and_then(|next| match next {
            'a' => Some("\u{7}"),
            'b' => Some("\u{8}"),
            'f' => Some("\u{c}"),
            'n' => Some("\n"),
            'r' => Some("\r"),
            't' => Some("\t"),
            'v' => Some("\u{b}"),
            '$' => Some("$$"),
            '"' => Some("\""),
            '\\' => Some("\\"),
            _ => None,
        });
        match known {
            Some(replacement) => {
                out.push_str(replacement);
                characters.next();
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        let lookup = |name: &str| (name == "HOST").then(|| "shell".to_owned());
        match read(text.as_bytes(), &lookup) {
            Ok(found) => found
                .iter()
                .map(|(name, value)| format!("{name}={value:?}\n"))
                .collect(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn every_form_of_a_line() {
        let text = "\u{feff}# a comment\n\nPLAIN=a b  \nexport EXPORTED = x\nYAML: y\nHOST\nABSENT\nCOMMENT=a # b\nHASH=a#b\n\
             SINGLE='$HOST \\' \\n'\nDOUBLE=\"$HOST\\n\\$HOST ${NONE:-d}\" # c\nLINES=\"one\ntwo\"\nABOVE=$PLAIN-${HOST}\nEMPTY=\nA.b-c[0]=1\n\
             HOST=file\nSHELL_FIRST=$HOST";
        insta::assert_snapshot!(shown(text), @r#"
        PLAIN="a b"
        EXPORTED="x"
        YAML="y"
        HOST="shell"
        COMMENT="a"
        HASH="a#b"
        SINGLE="$HOST ' \\n"
        DOUBLE="shell\n$HOST d"
        LINES="one\ntwo"
        ABOVE="a b-shell"
        EMPTY=""
        A.b-c[0]="1"
        HOST="file"
        SHELL_FIRST="shell"
        "#);
    }

    #[test]
    fn broken_lines_are_named() {
        for (text, expected) in [
            ("A=1\n\n?=2", "error: line 3: `?=2` is not the name of a variable"),
            ("A=1\nB C=2", "error: line 2: `B C=2` is not the name of a variable"),
            ("A='1\nB=2\n", "error: line 1: a quote is not closed"),
            (
                "\nA=${",
                "error: line 2: `${` is not a variable: write `$$` for a dollar sign",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(read(b"A=\xff", &|_| None), Err(DotenvError::NotText));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[A-C=:'\"\\\\# \n$?]{0,40}") {
            let _ = shown(&text);
        }
    }
}
