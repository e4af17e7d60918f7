//! What is refused before any parser sees it.

use super::diagnostic::{Problem, Span};

/// Bytes of one configuration file. 1,000 apps in full need about 400 KiB.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// Maps and lists inside one another. The format itself needs 9.
pub(crate) const MAX_DEPTH: usize = 32;
/// Aliases (`*name`) in one file, and nodes that they may stand for together.
pub(crate) const MAX_ALIASES: usize = 200;
pub(crate) const MAX_ALIAS_NODES: usize = 10_000;
/// Problems shown at once: who has more has the wrong file.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// The bytes as text, when they can be a configuration at all.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(Problem::new(
            "too-large",
            format!(
                "the file has {} bytes; a configuration has at most {MAX_BYTES}",
                bytes.len()
            ),
        )
        .hint("is this the right file? Shared settings belong into `profiles`"));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let good = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        Problem::new("not-utf8", "the file is not UTF-8 text").at(&Default::default(), end_of(&good))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Control characters are never YAML (YAML 1.2.2 §5.1) and would reach a reader's terminal with the excerpt.
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match text.char_indices().find(|(_, c)| control(*c)) {
        None => Ok(text),
        Some((at, c)) => Err(Problem::new(
            "binary",
            format!(
                "the file holds the control character U+{:04X}: it is not text",
                u32::from(c)
            ),
        )
        .at(&Default::default(), end_of(&text[..at]))),
    }
}

/// The place just after `text`. Its length is 0: nothing of a binary file is shown.
fn end_of(text: &str) -> Span {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Span { line, column, len: 0 }
}
