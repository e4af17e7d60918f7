//! A page as plain text of at most 72 columns. Commands are never broken: what is printed can be pasted.

use super::page::{Block, Item, PackageRow, Page, Section};
use super::table;

/// Columns of a mail's text: quoted once or twice it still fits 80.
pub const WIDTH: usize = 72;

/// `lead_with_pill`: the pill comes first, on a line of its own, as in a daily report.
#[must_use]
pub fn render(page: &Page, lead_with_pill: bool) -> String {
    let mut out = String::new();
    if lead_with_pill {
        line(&mut out, &page.pill);
    }
    wrapped(&mut out, &page.title, 0);
    out.push('\n');
    wrapped(&mut out, &page.now, 0);
    for Section { heading, blocks } in &page.sections {
        out.push('\n');
        line(&mut out, &heading.to_uppercase());
        for (i, block) in blocks.iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            self::block(&mut out, block);
        }
    }
    // RFC 3676 §4.3: the signature separator has a trailing space.
    out.push_str("\n-- \n");
    wrapped(&mut out, &page.footer, 0);
    out
}

fn block(out: &mut String, block: &Block) {
    match block {
        Block::Text(text) => wrapped(out, text, 2),
        Block::Facts(facts) => {
            let label_width = facts.iter().map(|(l, _)| l.chars().count()).max().unwrap_or(0);
            for (label, value) in facts {
                fact(out, label, label_width, value);
            }
        }
        Block::Link(label, address) => line(out, &format!("  {label}: {address}")),
        Block::Log { lines, earlier } => log(out, lines, *earlier),
        Block::Commands(commands) => {
            for (what, command) in commands {
                wrapped(out, &format!("{what}:"), 2);
                line(out, &format!("    {command}"));
            }
        }
        Block::Packages { rows, more } => packages(out, rows, *more),
        Block::Items { rows, more } => {
            for entry in rows {
                item(out, entry);
            }
            and_more(out, *more);
        }
    }
}

fn fact(out: &mut String, label: &str, label_width: usize, value: &str) {
    let indent = 2 + label_width + 2;
    let first = format!("  {label:<label_width$}  ");
    if indent + value.chars().count() <= WIDTH {
        line(out, &format!("{first}{value}"));
    } else {
        // An image digest fills a line by itself, and must stay whole.
        line(out, first.trim_end());
        let indent = if value.chars().count() + 4 <= WIDTH { 4 } else { 0 };
        wrapped(out, value, indent);
    }
}

fn log(out: &mut String, lines: &[String], earlier: usize) {
    if earlier > 0 {
        line(
            out,
            &format!(
                "  | … {earlier} earlier {}",
                super::words::plural(earlier, "line", "lines")
            ),
        );
    }
    for text in lines {
        if text.is_empty() {
            line(out, "  |");
        }
        for piece in table::pieces(text, WIDTH - 4) {
            line(out, format!("  | {piece}").trim_end());
        }
    }
}

fn packages(out: &mut String, rows: &[PackageRow], more: usize) {
    let name_width = rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0).min(30);
    for PackageRow { name, versions } in rows {
        let one = format!("  {name:<name_width$}  {versions}");
        if one.chars().count() <= WIDTH {
            line(out, &one);
        } else {
            wrapped(out, name, 2);
            wrapped(out, versions, 4);
        }
    }
    and_more(out, more);
}

fn item(out: &mut String, Item { name, text, command }: &Item) {
    let one = if name.is_empty() {
        format!("  - {text}")
    } else {
        format!("  {name}: {text}")
    };
    if one.chars().count() <= WIDTH {
        line(out, &one);
    } else if name.is_empty() {
        for (i, piece) in table::wrap(text, WIDTH - 4).iter().enumerate() {
            line(out, &format!("  {} {piece}", if i == 0 { "-" } else { " " }));
        }
    } else {
        line(out, &format!("  {name}:"));
        wrapped(out, text, 4);
    }
    if let Some(command) = command {
        line(out, &format!("    {command}"));
    }
}

fn and_more(out: &mut String, more: usize) {
    if more > 0 {
        line(out, &format!("  and {more} more"));
    }
}

fn wrapped(out: &mut String, text: &str, indent: usize) {
    for wrapped in table::wrap(text, WIDTH - indent) {
        line(out, &format!("{}{wrapped}", " ".repeat(indent)));
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
