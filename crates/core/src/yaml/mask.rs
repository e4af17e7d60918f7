//! Secrets that stand in a configuration by mistake are covered before any line of it is shown.

use super::diagnostic::{Problem, Span};
use regex::Regex;
use std::sync::LazyLock;

/// Problems whose very place is a secret.
const SECRET_PLACES: &[&str] = &["literal-secret", "credentials-in-url"];
/// One byte, so that covering ASCII moves nothing.
const COVER: char = '*';

static CREDENTIALS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"://[^/\s@"']*@"#).ok());
static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)(?:password|passwd|passphrase|token|secret|ssh_key|api_?key|credential)s?["']?\s*:(?:\s+|$)"#)
        .ok()
});

/// Does this name say that its value is a secret?
pub(crate) fn is_secret_name(name: &str) -> bool {
    KEY.as_ref().is_none_or(|key| key.is_match(&format!("{name}: ")))
}

/// The text with everything covered that looks like a secret, character for character, so that columns stay true.
/// Rather too much is covered than too little: this is for excerpts only.
pub(crate) fn masked(text: &str, problems: &[Problem]) -> String {
    let mut out = Vec::new();
    let mut open: Option<usize> = None;
    for line in text.split('\n') {
        let indent = line.len() - line.trim_start().len();
        if open.is_some_and(|key| indent > key && !is_reference(line)) {
            out.push(cover(line, 0));
            continue;
        }
        open = None;
        let line = CREDENTIALS.as_ref().map_or_else(
            || cover(line, 0),
            |pattern| {
                pattern
                    .replace_all(line, |found: &regex::Captures<'_>| {
                        format!("://{}@", COVER.to_string().repeat(found[0].chars().count() - 4))
                    })
                    .into_owned()
            },
        );
        match KEY
            .as_ref()
            .and_then(|key| key.find_iter(&line).find(|m| !line[m.end()..].starts_with('{')))
        {
            Some(found) => {
                open = Some(indent);
                out.push(cover(&line, found.end()));
            }
            None => out.push(line),
        }
    }
    for problem in problems.iter().filter(|p| SECRET_PLACES.contains(&p.code)) {
        cover_span(&mut out, &problem.span);
    }
    out.join("\n")
}

/// `env: NAME`, `file: PATH` or `age: PATH` under a key such as `password:` is what should be there.
fn is_reference(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#') || ["env:", "file:", "age:"].iter().any(|key| line.starts_with(key))
}

fn cover(line: &str, from: usize) -> String {
    let hidden = line[from..].chars().map(|c| if c.is_whitespace() { c } else { COVER });
    line[..from].chars().chain(hidden).collect()
}

fn cover_span(lines: &mut [String], span: &Span) {
    let Some(line) = span.line.checked_sub(1).and_then(|n| lines.get_mut(n)) else {
        return;
    };
    let inside = (span.column.saturating_sub(1))..(span.column.saturating_sub(1) + span.len);
    *line = line
        .chars()
        .enumerate()
        .map(|(n, c)| {
            if inside.contains(&n) && !c.is_whitespace() {
                COVER
            } else {
                c
            }
        })
        .collect();
}
