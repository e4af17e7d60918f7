//! Text from outside (commit subjects, log lines, server responses) made fit to print: one line, no control characters,
//! no terminal escapes, no marks that reorder what is read, bounded.

/// Characters a line of a log may have in a mail or on a terminal; minified output can be megabytes long.
pub(super) const LOG_LINE: usize = 400;

/// One printable line of at most `max` characters; runs of white space become one space.
pub fn one_line(text: &str, max: usize) -> String {
    let printable = printable(text);
    let mut line = String::with_capacity(printable.len());
    for word in printable.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    shortened(&line, max)
}

/// One line of a log: its inner spacing is preserved, colours and control characters are not.
#[must_use]
pub fn log_line(text: &str) -> String {
    shortened(printable(text).trim_end(), LOG_LINE)
}

/// The same in full, however long it is.
#[must_use]
pub fn whole_line(text: &str) -> String {
    let mut line = printable(text);
    line.truncate(line.trim_end().len());
    line
}

/// `text`, cut to `max` characters with an ellipsis where something is missing.
pub(super) fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Removes ANSI escape sequences (ECMA-48: CSI and OSC) and turns every other control or formatting mark into a space.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    // Parameters and intermediates end with one byte of @ to ~.
                    while let Some(c) = chars.next_if(|c| ('\u{20}'..='\u{7e}').contains(c)) {
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                    }
                }
                Some(']') => while chars.next_if(|c| *c != '\u{7}' && *c != '\u{1b}').is_some() {},
                Some(_) | None => {}
            },
            '\t' => out.push_str("    "),
            c if c.is_control() || reorders(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Line and paragraph separators, zero-width and bidirectional marks: invisible, and able to make a text read as another.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_and_line_breaks_go() {
        assert_eq!(log_line("\u{1b}[31mError:\u{1b}[0m  no\r"), "Error:  no");
        assert_eq!(
            one_line("fix\r\nBcc: x@example.org\u{2028}y", 100),
            "fix Bcc: x@example.org y"
        );
        assert_eq!(log_line("\u{1b}]0;title\u{7}text"), " text");
        assert_eq!(one_line("abcdef", 4), "abc…");
        let long = "x".repeat(LOG_LINE + 1);
        assert_eq!(whole_line(&format!("\u{1b}[31m{long}\u{1b}[0m \r")), long);
        // A pipe has no width.
        assert_eq!(one_line("abcdef", usize::MAX), "abcdef");
    }

    proptest! {
        #[test]
        fn nothing_hostile_is_left(text in "\\PC*|(?s).{0,300}") {
            for line in [one_line(&text, 120), log_line(&text), shortened(&whole_line(&text), LOG_LINE)] {
                prop_assert!(!line.chars().any(|c| c.is_control() || reorders(c)), "{line:?}");
                prop_assert!(line.chars().count() <= LOG_LINE);
            }
        }
    }
}
