//! Patterns of `${V#pattern}`, `${V%pattern}` and `${V/pattern/text}` (Dockerfile reference, "Environment replacement"):
//! `?` is one character, `*` any, and there are no bracket expressions. As BuildKit does, by regular expressions.

use regex::{NoExpand, Regex, RegexBuilder};

/// A pattern is some characters; variables in it must not fill the memory.
const SIZE: usize = 1 << 20;

/// What `operation` makes of `value`: `#x`, `##x`, `%x`, `%%x`. `None`: the pattern is none.
pub(super) fn trimmed(value: &str, operation: &str) -> Option<String> {
    let (end, pattern) = match operation.chars().next()? {
        '#' => (false, &operation[1..]),
        '%' => (true, &operation[1..]),
        _ => return None,
    };
    let sign = if end { '%' } else { '#' };
    let (greedy, pattern) = pattern.strip_prefix(sign).map_or((false, pattern), |rest| (true, rest));
    if !end {
        let found = regex(pattern, greedy, true)?.find(value).map_or(0, |found| found.end());
        return Some(value[found..].to_owned());
    }
    // The shortest match at the end is the first one of the reversed text.
    let reversed: String = value.chars().rev().collect();
    let found = regex(&turned(pattern), greedy, true)?.find(&reversed);
    let rest = &reversed[found.map_or(0, |found| found.end())..];
    Some(rest.chars().rev().collect())
}

/// The first match replaced, or all of them. `None`: the pattern is none.
pub(super) fn replaced(value: &str, pattern: &str, text: &str, all: bool) -> Option<String> {
    let regex = regex(pattern, true, false)?;
    let limit = usize::from(!all);
    Some(regex.replacen(value, limit, NoExpand(text)).into_owned())
}

fn regex(pattern: &str, greedy: bool, anchored: bool) -> Option<Regex> {
    let mut built = String::from(if anchored { "^" } else { "" });
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '*' => built.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => built.push('.'),
            // A brace or slash had to be escaped to be here.
            '\\' if matches!(characters.peek(), Some('}' | '/')) => {}
            '\\' => match characters.next() {
                Some(c @ ('*' | '?' | '\\')) => built.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                Some(_) | None => return None,
            },
            c => built.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    RegexBuilder::new(&built).size_limit(SIZE).build().ok()
}

/// Backwards, with each escape before what it escapes.
fn turned(pattern: &str) -> String {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        let mut piece = String::from(c);
        if c == '\\' {
            piece.extend(characters.next());
        }
        pieces.push(piece);
    }
    pieces.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_and_the_longest_at_both_ends() {
        for (value, operation, expected) in [
            ("linux/amd64", "#linux/", "amd64"),
            ("linux/amd64", "#arm", "linux/amd64"),
            ("a.b.c", "#*.", "b.c"),
            ("a.b.c", "##*.", "c"),
            ("a.b.c", "%.*", "a.b"),
            ("a.b.c", "%%.*", "a"),
            ("a.b.c", "%?c", "a.b"),
            ("a*c*", r"%\*", "a*c"),
            ("a}b", r"#a\}", "b"),
            ("", "#x", ""),
            ("3.20.1", "%.1", "3.20"),
        ] {
            assert_eq!(
                trimmed(value, operation).as_deref(),
                Some(expected),
                "{value} {operation}"
            );
        }
        assert_eq!(trimmed("x", r"#\x"), None);
    }

    #[test]
    fn one_or_all_replaced() {
        assert_eq!(replaced("a-b-c", "-", ".", false).unwrap(), "a.b-c");
        assert_eq!(replaced("a-b-c", "-", ".", true).unwrap(), "a.b.c");
        assert_eq!(replaced("a-b-c", "-*", "$0", false).unwrap(), "a$0");
    }
}
