//! Sections of a message, as parts of a page.

use super::layout::{card, ticked};
use lowtide_core::report::page::{Block, Section};
use lowtide_core::report::words::counted;
use maud::{Markup, html};

pub(super) fn sections(sections: &[Section]) -> Markup {
    html! { @for section in sections { (self::section(section)) } }
}

pub(super) fn section(section: &Section) -> Markup {
    let body = html! { div.body { @for block in &section.blocks { (self::block(block)) } } };
    card(section.heading, &body)
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Text(text) => html! { p.ink { (ticked(text)) } },
        Block::Facts(facts) => html! { dl { @for (label, value) in facts { dt { (label) } dd { (value) } } } },
        Block::Link(label, address) => html! { p.ink { (label) ": " a href=(address) rel="noreferrer" { (address) } } },
        Block::Log { lines, earlier } => log(lines, *earlier),
        Block::Commands(commands) => html! {
            @for (what, command) in commands { p.ink { (what) ": " code { (command) } } }
        },
        Block::Packages { rows, more } => html! {
            table {
                caption.hidden { "Packages that differ" }
                thead { tr { th scope="col" { "Package" } th scope="col" { "Versions" } } }
                tbody { @for row in rows { tr { th.wide scope="row" { (row.name) } td { code { (row.versions) } } } } }
            }
            (and_more(*more))
        },
        Block::Items { rows, more } => html! {
            ul.plain {
                @for row in rows {
                    li { strong { (row.name) } " " (row.text) @if let Some(command) = &row.command { " " code { (command) } } }
                }
            }
            (and_more(*more))
        },
    }
}

/// Lines of a log; `earlier`: so many before them are not shown.
pub(super) fn log(lines: &[String], earlier: usize) -> Markup {
    html! {
        @if earlier > 0 { p { (counted(earlier, "earlier line is", "earlier lines are")) " not shown." } }
        // It scrolls, so the keyboard must reach it.
        pre tabindex="0" { @for line in lines { (line) "\n" } }
    }
}

fn and_more(more: usize) -> Markup {
    html! { @if more > 0 { p { "and " (more) " more" } } }
}
