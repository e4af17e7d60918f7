//! A notice as GitHub shows it: title and Markdown of an issue or a comment, and the line of a commit status.
//!
//! Whatever comes from outside (log lines, commit subjects, server answers) is shown as it is written: it formats nothing,
//! links nothing, and calls nobody.

use lowtide_core::channels::list::Notice;
use lowtide_core::report::message_page::{self, Sender};
use lowtide_core::report::page::{Block, Item, PackageRow, Page, Rendered, Section};
use lowtide_core::report::{clean, message_line, words};
use std::fmt::Write as _;

/// GitHub's bound of a status's description, characters.
const DESCRIPTION: usize = 140;
/// Characters of a title; GitHub takes 256.
const TITLE: usize = 200;
/// Characters of a body; GitHub takes 65,536.
const BODY: usize = 60_000;
/// Prevents a mention or a reference, and is not seen.
const BREAK: &str = "\u{200b}";

/// An issue's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) title: String,
    /// Its first line is [`marker`] of the incident, its second that of the notice it shows.
    pub(super) body: String,
}

/// The issue of an incident, as this notice leaves it.
#[must_use]
pub(super) fn issue(notice: &Notice, incident: &str, sender: &Sender) -> Issue {
    let Rendered { subject, page, .. } = message_page::page(&notice.body, notice.at, sender);
    Issue {
        title: disarmed(&clean::one_line(&subject, TITLE)),
        body: format!(
            "{}\n{}\n\n{}",
            marker(incident),
            marker(&notice.keys.dedup),
            body(&page, false)
        ),
    }
}

/// A comment on an issue or a pull request. Its first line is [`marker`] of the notice.
#[must_use]
pub(super) fn comment(notice: &Notice, sender: &Sender) -> String {
    let Rendered { page, .. } = message_page::page(&notice.body, notice.at, sender);
    format!("{}\n\n{}", marker(&notice.keys.dedup), body(&page, true))
}

/// The line of a commit status: plain text of at most 140 characters.
#[must_use]
pub(super) fn status(notice: &Notice) -> String {
    clean::one_line(&message_line::line(&notice.body), DESCRIPTION)
}

/// An invisible line by which we find our own issues and comments again. `key` is one of ours, but what could end the
/// comment is left out all the same.
#[must_use]
pub(super) fn marker(key: &str) -> String {
    let key: String = key
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "/._-:".contains(*c))
        .collect();
    format!("<!-- lowtide:{key} -->")
}

/// A check run's words: a title, what matters most, and the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// Plain text.
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) text: String,
}

#[must_use]
pub(super) fn check(notice: &Notice, sender: &Sender) -> Check {
    let Rendered { page, .. } = message_page::page(&notice.body, notice.at, sender);
    Check {
        title: clean::one_line(&message_line::line(&notice.body), TITLE),
        summary: escaped(&page.now),
        text: body(&page, false),
    }
}

fn body(page: &Page, titled: bool) -> String {
    let mut out = String::new();
    if titled {
        let _ = writeln!(out, "**{}**\n", escaped(&page.title));
    }
    let _ = writeln!(out, "{}", escaped(&page.now));
    for Section { heading, blocks } in &page.sections {
        let _ = writeln!(out, "\n### {heading}");
        for block in blocks {
            out.push('\n');
            self::block(&mut out, block);
        }
    }
    let _ = writeln!(out, "\n<sub>{}</sub>", escaped(&page.footer));
    if out.chars().count() > BODY {
        // Every part is bounded, so this should not happen. The body is not cut, because a cut fence would swallow the
        // rest.
        return format!("{}\n", escaped(&page.now));
    }
    out
}

fn block(out: &mut String, block: &Block) {
    match block {
        Block::Text(text) => {
            let _ = writeln!(out, "{}", escaped(text));
        }
        Block::Facts(facts) => {
            for (label, value) in facts {
                let _ = writeln!(out, "- {label}: {}", escaped(value));
            }
        }
        Block::Link(label, address) => {
            // An autolink ends at its first white space or angle bracket; the address has none.
            let _ = writeln!(out, "- {label}: <{address}>");
        }
        Block::Log { lines, earlier } => {
            if *earlier > 0 {
                let _ = writeln!(
                    out,
                    "… {earlier} earlier {}\n",
                    words::plural(*earlier, "line", "lines")
                );
            }
            fenced(out, "text", lines);
        }
        Block::Commands(commands) => {
            for (what, command) in commands {
                let _ = writeln!(out, "{}:", escaped(what));
                fenced(out, "sh", std::slice::from_ref(command));
            }
        }
        Block::Packages { rows, more } => {
            for PackageRow { name, versions } in rows {
                let _ = writeln!(out, "- {} {}", escaped(name), escaped(versions));
            }
            and_more(out, *more);
        }
        Block::Items { rows, more } => {
            for Item { name, text, command } in rows {
                let name = if name.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", escaped(name))
                };
                let _ = writeln!(out, "- {name}{}", escaped(text));
                if let Some(command) = command {
                    fenced(out, "sh", std::slice::from_ref(command));
                }
            }
            and_more(out, *more);
        }
    }
}

fn and_more(out: &mut String, more: usize) {
    if more > 0 {
        let _ = writeln!(out, "- and {more} more");
    }
}

/// A fence longer than any run of backticks inside cannot be closed by what it holds (CommonMark 0.31 §4.5).
fn fenced(out: &mut String, language: &str, lines: &[String]) {
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "{fence}{language}");
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(out, "{fence}");
}

fn longest_run(line: &str) -> usize {
    line.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text that Markdown shows as it is (every ASCII punctuation mark may be escaped: CommonMark 0.31 §2.4), disarmed.
/// Code spans of our own sentences go with it: a span is as good a place to hide as any.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in disarmed(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '{' | '}' | '#' | '!' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    // A line's first mark could begin a list, a number, a rule or a heading's underline.
    let numbered = out.trim_start_matches(|c: char| c.is_ascii_digit());
    if numbered.len() < out.len() && numbered.starts_with(['.', ')']) {
        out.insert(out.len() - numbered.len(), '\\');
    } else if out.starts_with(['-', '+', '=']) {
        out.insert(0, '\\');
    }
    out
}

/// No mention (`@name`), no reference (`#1`, `GH-1`), no link that makes one (`https://…`, `www.…`).
fn disarmed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        out.push(c);
        let link = c == ':' && after.starts_with("//");
        let reference = c == '-' && ends_with_ignoring_case(&out, "gh-");
        let host = c == '.' && ends_with_ignoring_case(&out, "www.");
        if c == '@' || c == '#' || link || reference || host {
            out.push_str(BREAK);
        }
        rest = after;
    }
    out
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    text.len() >= end.len()
        && text.is_char_boundary(text.len() - end.len())
        && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

#[cfg(test)]
mod tests;
