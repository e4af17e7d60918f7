//! `$X`, `${X}` and the modifiers `:-`, `-`, `:+`, `+`, `:?`, `?`, `#`, `##`, `%`, `%%`, `/`, `//` (Dockerfile reference,
//! "Environment replacement").

use super::error::Expansion;
use super::pattern::{replaced, trimmed};

/// No image name is longer; arguments that double each other must not fill the memory.
const LENGTH: usize = 4096;
const DEPTH: usize = 16;

/// Fills in the variables of one word and takes its quotes away. An unset variable is empty.
pub(super) fn expand(word: &str, escape: char, value: &dyn Fn(&str) -> Option<String>) -> Result<String, Expansion> {
    Expander { escape, value }.word(word, DEPTH, Escapes::Taken)
}

/// A pattern preserves its escape characters: there they mean something else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Taken,
    Preserved,
}

struct Expander<'a> {
    escape: char,
    value: &'a dyn Fn(&str) -> Option<String>,
}

impl Expander<'_> {
    fn word(&self, word: &str, depth: usize, escapes: Escapes) -> Result<String, Expansion> {
        if depth == 0 {
            return Err(Expansion::TooLong);
        }
        let mut text = String::new();
        let mut quote = None;
        let mut rest = word;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            rest = after;
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(q)) if c == q => quote = None,
                ('$', None | Some('"')) => {
                    let (value, remaining) = self.variable(after, depth)?;
                    text.push_str(&value);
                    rest = remaining;
                }
                (c, None | Some('"')) if c == self.escape => {
                    if escapes == Escapes::Preserved {
                        text.push(c);
                    }
                    if let Some(next) = after.chars().next() {
                        text.push(next);
                        rest = &after[next.len_utf8()..];
                    }
                }
                (c, _) => text.push(c),
            }
            if text.len() > LENGTH {
                return Err(Expansion::TooLong);
            }
        }
        Ok(text)
    }

    /// What follows a `$`, and what remains after it.
    fn variable<'t>(&self, after: &'t str, depth: usize) -> Result<(String, &'t str), Expansion> {
        let Some(inner) = after.strip_prefix('{') else {
            let (name, rest) = name(after);
            if name.is_empty() {
                return Ok(("$".to_owned(), rest));
            }
            return Ok(((self.value)(name).unwrap_or_default(), rest));
        };
        let (body, rest) = self.braced(inner)?;
        let (name, modifier) = name(body);
        if name.is_empty() {
            return Err(Expansion::Name);
        }
        let value = (self.value)(name);
        Ok((self.modified(name, value, modifier, depth)?, rest))
    }

    fn modified(&self, name: &str, value: Option<String>, modifier: &str, depth: usize) -> Result<String, Expansion> {
        if modifier.is_empty() {
            return Ok(value.unwrap_or_default());
        }
        if modifier.starts_with(['#', '%', '/']) {
            return self.cut(&value.unwrap_or_default(), modifier, depth);
        }
        // With a colon, an empty value counts as unset.
        let (value, operation) = match modifier.strip_prefix(':') {
            Some(operation) => (value.filter(|v| !v.is_empty()), operation),
            None => (value, modifier),
        };
        let mut chars = operation.chars();
        match (chars.next(), value) {
            (Some('-'), None) | (Some('+'), Some(_)) => self.word(chars.as_str(), depth - 1, Escapes::Taken),
            (Some('-' | '?'), Some(value)) => Ok(value),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => Err(Expansion::Unset {
                name: name.to_owned(),
                message: self.word(chars.as_str(), depth - 1, Escapes::Taken)?,
            }),
            (Some(_) | None, _) => Err(Expansion::Modifier {
                modifier: modifier.to_owned(),
            }),
        }
    }

    fn cut(&self, value: &str, modifier: &str, depth: usize) -> Result<String, Expansion> {
        let unknown = || Expansion::Modifier {
            modifier: modifier.to_owned(),
        };
        let Some(rest) = modifier.strip_prefix('/') else {
            let operation = self.word(modifier, depth - 1, Escapes::Preserved)?;
            return trimmed(value, &operation).ok_or_else(unknown);
        };
        let (all, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
        let end = self.slash(rest).ok_or_else(unknown)?;
        let pattern = self.word(&rest[..end], depth - 1, Escapes::Preserved)?;
        let text = self.word(&rest[end + 1..], depth - 1, Escapes::Preserved)?;
        replaced(value, &pattern, &text, all)
            .filter(|text| text.len() <= LENGTH)
            .ok_or_else(unknown)
    }

    /// Where a pattern ends: at a slash that is not escaped, quoted or inside another variable.
    fn slash(&self, text: &str) -> Option<usize> {
        let (mut escaped, mut quote, mut open) = (false, None, 0_usize);
        for (at, c) in text.char_indices() {
            match c {
                _ if escaped => escaped = false,
                c if c == self.escape && quote != Some('\'') => escaped = true,
                c if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() => quote = Some(c),
                '{' => open += 1,
                '}' => open = open.saturating_sub(1),
                '/' if open == 0 && quote.is_none() => return Some(at),
                _ => {}
            }
        }
        None
    }

    /// The text up to the brace that closes the one just opened, and what remains after it.
    fn braced<'t>(&self, inner: &'t str) -> Result<(&'t str, &'t str), Expansion> {
        let mut open = 1;
        let mut escaped = false;
        for (at, c) in inner.char_indices() {
            match c {
                _ if escaped => escaped = false,
                c if c == self.escape => escaped = true,
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok((&inner[..at], &inner[at + 1..]));
            }
        }
        Err(Expansion::Open)
    }
}

/// A name, or one of the shell's own parameters (`$1`, `$-`), which no ARG or ENV sets: the builder has them empty.
fn name(text: &str) -> (&str, &str) {
    let end = match text.chars().next() {
        Some(first) if first.is_ascii_digit() => text.find(|c: char| !c.is_ascii_digit()),
        Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
        Some(_) | None => text.find(|c: char| c != '_' && !c.is_alphanumeric()),
    };
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(word: &str) -> String {
        let value = |name: &str| match name {
            "X" => Some("x".to_owned()),
            "E" => Some(String::new()),
            "P" => Some("linux/amd64".to_owned()),
            _ => None,
        };
        expand(word, '\\', &value).unwrap_or_else(|e| format!("! {e}"))
    }

    #[test]
    fn the_documented_forms() {
        let words = [
            "a$X",
            "${X}y",
            "$Xy",
            "${U:-d}",
            "${E:-d}",
            "${E-d}",
            "${U-d}",
            "${X:-d}",
            "${X:+d}",
            "${E:+d}",
            "${E+d}",
            "${U:-${X}1}",
            "\\$X",
            "'$X'",
            "\"$X\"",
            "${U:?no u}",
            "${X:?no}",
            "${X",
            "${}",
            "${X^a}",
            "${P#linux/}",
            "${P%/*}",
            "${P##*/}",
            "${P%%/*}",
            "${P/linux\\//}",
            "${P//[a]/b}",
            "${P//m/${X}}",
            "${P/x}",
            "$",
            "a$.b",
            "a$-b",
            "a$1b",
            "a$12b",
            "a$$b",
            "a${1}b",
            "$X1",
            "${1:-d}",
            "${U:-a\\}b}",
        ];
        let table: Vec<String> = words.iter().map(|w| format!("{w} => {}", shown(w))).collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        a$X => ax
        ${X}y => xy
        $Xy => 
        ${U:-d} => d
        ${E:-d} => d
        ${E-d} => 
        ${U-d} => d
        ${X:-d} => x
        ${X:+d} => d
        ${E:+d} => 
        ${E+d} => d
        ${U:-${X}1} => x1
        \$X => $X
        '$X' => $X
        "$X" => x
        ${U:?no u} => ! U is not set: no u
        ${X:?no} => x
        ${X => ! a brace is not closed
        ${} => ! a variable has no name
        ${X^a} => ! the modifier "^a" is not understood
        ${P#linux/} => amd64
        ${P%/*} => linux
        ${P##*/} => amd64
        ${P%%/*} => linux
        ${P/linux\//} => amd64
        ${P//[a]/b} => linux/amd64
        ${P//m/${X}} => linux/axd64
        ${P/x} => ! the modifier "/x" is not understood
        $ => $
        a$.b => a$.b
        a$-b => ab
        a$1b => ab
        a$12b => ab
        a$$b => ab
        a${1}b => ab
        $X1 => 
        ${1:-d} => d
        ${U:-a\}b} => a}b
        "#);
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = "${U:-".repeat(10_000) + &"}".repeat(10_000);
        assert_eq!(shown(&deep), "! it grows too long or nests too deep");
        let long = |_: &str| Some("x".repeat(3000));
        assert_eq!(expand("$A$A", '\\', &long), Err(Expansion::TooLong));
    }
}
