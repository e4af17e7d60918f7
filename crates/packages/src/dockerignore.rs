//! `.dockerignore` with Docker's own semantics (Dockerfile reference, ".dockerignore file"; where it is silent, the
//! rules of moby's `patternmatcher` and `ignorefile`).

use regex::Regex;

/// Characters of a pattern in an error.
const SHOWN: usize = 80;

/// The patterns of one `.dockerignore`.
#[derive(Debug, Clone)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// Why a file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A pattern Docker refuses as well. Lines are counted from 1.
    #[error("line {line}: {pattern:?} is not a pattern")]
    Pattern { line: usize, pattern: String },
    #[error("it has more than {most} {what}")]
    TooMany { most: usize, what: &'static str },
}

/// Patterns of one file. Each is matched against each path of the context.
const MOST: usize = 10_000;
/// Characters of all patterns with wildcards together: each of them becomes an automaton of some hundred bytes a character.
const MOST_WILD: usize = 64 << 10;

#[derive(Debug, Clone)]
struct Pattern {
    /// `!`: takes back what earlier patterns exclude.
    exception: bool,
    clean: String,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Exact(String),
    Prefix(String),
    /// `**/name`: the ending with its slash.
    Suffix(String),
    Regex(Regex),
}

impl Ignore {
    /// # Errors
    /// A pattern with an open `[`, a lone `!`, or a lone backslash at its end; more patterns than anyone writes.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let mut patterns = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        within_bounds(text)?;
        for (index, line) in text.lines().enumerate() {
            if !is_pattern(line) {
                continue;
            }
            let trimmed = line.trim();
            let (exception, body) = trimmed
                .strip_prefix('!')
                .map_or((false, trimmed), |body| (true, body.trim()));
            let refused = || IgnoreError::Pattern {
                line: index + 1,
                // A line may be the whole file.
                pattern: trimmed.chars().take(SHOWN).collect(),
            };
            if body.is_empty() {
                return Err(refused());
            }
            let clean = clean(body);
            patterns.push(Pattern {
                exception,
                rule: rule(&clean).ok_or_else(refused)?,
                clean,
            });
        }
        Ok(Self { patterns })
    }

    /// Is the path (relative to the context, `/` between its parts) left out? The last pattern that matches it or one
    /// of its parents decides. A directory is judged like a file; `is_dir` plays no part in Docker's rules.
    #[must_use]
    pub fn excluded(&self, path: &str, _is_dir: bool) -> bool {
        let mut excluded = false;
        for pattern in self.patterns.iter().filter(|_| !path.is_empty()) {
            if pattern.exception == excluded && parents_and_self(path).any(|p| pattern.rule.matches(p)) {
                excluded = !pattern.exception;
            }
        }
        excluded
    }

    /// May a walk pass over the directory with all it holds? True only when it is excluded and no exception could take
    /// back anything below it.
    #[must_use]
    pub fn skips(&self, directory: &str) -> bool {
        let reaches = |pattern: &Pattern| {
            let fixed = pattern.clean.split(['*', '?', '[', '\\']).next().unwrap_or_default();
            let wild = fixed.len() < pattern.clean.len();
            let below = format!("{directory}/");
            // Without wildcards the exception names one path; with them, anything that begins like it.
            fixed.starts_with(&below) || (wild && below.starts_with(fixed)) || below.starts_with(&format!("{fixed}/"))
        };
        self.excluded(directory, true) && !self.patterns.iter().any(|p| p.exception && reaches(p))
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        match self {
            Rule::Exact(text) => path == text,
            Rule::Prefix(text) => path.starts_with(text.as_str()),
            Rule::Suffix(text) => path.ends_with(text.as_str()) || text.strip_prefix('/') == Some(path),
            Rule::Regex(regex) => regex.is_match(path),
        }
    }
}

fn parents_and_self(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}

/// Go's `filepath.Clean`, and the leading slash taken off: `/a/./b/../c/` is `a/c`.
fn clean(pattern: &str) -> String {
    let rooted = pattern.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (parts.is_empty(), rooted) {
        (true, true) => "/".to_owned(),
        (true, false) => ".".to_owned(),
        (false, _) => parts.join("/"),
    }
}

/// Before anything is made of them.
fn within_bounds(text: &str) -> Result<(), IgnoreError> {
    let too_many = |most, what| Err(IgnoreError::TooMany { most, what });
    let patterns = || text.lines().filter(|line| is_pattern(line));
    if patterns().count() > MOST {
        return too_many(MOST, "patterns");
    }
    let wild: usize = patterns().filter(|line| is_wild(line)).map(str::len).sum();
    if wild > MOST_WILD {
        return too_many(MOST_WILD, "characters in patterns with wildcards");
    }
    Ok(())
}

/// Only a `#` in the very first column makes a comment.
fn is_pattern(line: &str) -> bool {
    !line.starts_with('#') && !line.trim().is_empty()
}

fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', ']', '\\'])
}

/// `None` for a pattern that Go's `filepath.Match` refuses.
fn rule(pattern: &str) -> Option<Rule> {
    if !is_wild(pattern) {
        return Some(Rule::Exact(pattern.to_owned()));
    }
    let plain = |text: &str| !is_wild(text);
    if let Some(text) = pattern
        .strip_suffix("**")
        .filter(|text| plain(text))
        .filter(|text| !text.is_empty())
    {
        return Some(Rule::Prefix(text.to_owned()));
    }
    if let Some(text) = pattern
        .strip_prefix("**")
        .filter(|text| plain(text))
        .filter(|text| !text.is_empty())
    {
        return Some(Rule::Suffix(text.to_owned()));
    }
    let mut regex = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` is `**`: any number of directories, none included.
                chars.next_if_eq(&'/');
                regex.push_str(if chars.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '\\' => literal(&mut regex, chars.next()?),
            '[' => class(&mut regex, &mut chars)?,
            c => literal(&mut regex, c),
        }
    }
    regex.push('$');
    Regex::new(&regex).ok().map(Rule::Regex)
}

/// `[a-z]`, `[^ab]`: Go's character class as the regex crate's, whose own nesting and set operators must not come in.
fn class(regex: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<()> {
    regex.push('[');
    if chars.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    let mut ranges = 0;
    loop {
        if ranges > 0 && chars.next_if_eq(&']').is_some() {
            regex.push(']');
            return Some(());
        }
        let low = class_char(chars)?;
        literal(regex, low);
        if chars.next_if_eq(&'-').is_some() {
            let high = class_char(chars)?;
            regex.push('-');
            literal(regex, high);
        }
        ranges += 1;
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

fn literal(regex: &mut String, c: char) {
    let mut buffer = [0; 4];
    regex.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
}

#[cfg(test)]
#[path = "dockerignore_tests.rs"]
mod tests;
