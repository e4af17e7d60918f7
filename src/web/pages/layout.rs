//! What all pages share: the frame around them, links between them, and small parts.

use super::style::STYLE;
use jiff::Timestamp;
use lowtide_core::report::quantity::{duration, relative};
use lowtide_core::report::table::{Cell, Ink};
use lowtide_core::report::words;
use lowtide_model::name::{AppName, RolloutId, RunId};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Of one page.
pub(super) struct Frame<'a> {
    /// Names the thing; `lowtide` is added.
    pub(super) title: &'a str,
    /// Seconds after which the page is loaded again; `None`: never.
    pub(super) refresh: Option<u32>,
    /// The pages above it, the first below the status page first: text and address.
    pub(super) above: &'a [(String, String)],
}

/// The title of the status page.
pub(super) const HOME: &str = "lowtide";

/// Seconds: of pages that show something under way, and of those that show what waits.
pub(super) const UNDER_WAY: u32 = 10;
pub(super) const WAITS: u32 = 60;

/// The page of an app.
pub(super) fn app_at(app: &AppName) -> String {
    format!("/apps/{app}")
}

pub(super) fn run_at(run: RunId) -> String {
    format!("/runs/{run}")
}

pub(super) fn rollout_at(rollout: RolloutId) -> String {
    format!("/rollouts/{rollout}")
}

/// A whole page. `body` begins with its heading.
pub(super) fn page(frame: &Frame<'_>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(seconds) = frame.refresh { meta http-equiv="refresh" content=(seconds); }
                title { (frame.title) @if frame.title != HOME { " · " (HOME) } }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.skip href="#main" { "Skip to content" }
                    @if frame.title != HOME {
                        nav aria-label="Pages above this one" { ol {
                            li { a href="/" { (HOME) } }
                            @for (text, address) in frame.above { li { a href=(address) { (text) } } }
                        } }
                    }
                }
                main id="main" tabindex="-1" { (body) }
            }
        }
    }
}

/// A part of a page, under a heading of its own.
pub(super) fn card(heading: &str, body: &Markup) -> Markup {
    html! { section.card { h2 { (heading) } (body) } }
}

/// The class of an ink; empty for plain text.
pub(super) fn class(ink: Ink) -> &'static str {
    match ink {
        Ink::Plain => "plain",
        Ink::Soft => "soft",
        Ink::Good => "good",
        Ink::Warn => "warn",
        Ink::Bad => "bad",
    }
}

/// Labels and values. A row without a label belongs to the one before. `link`: the address of a value, by its label.
pub(super) fn facts(rows: &[[Cell; 2]], link: impl Fn(&str) -> Option<String>) -> Markup {
    let mut groups: Vec<(&str, Vec<&Cell>)> = Vec::new();
    for [label, value] in rows {
        let label = label.text.trim();
        match groups.last_mut() {
            Some((_, values)) if label.is_empty() => values.push(value),
            Some(_) | None => groups.push((label, vec![value])),
        }
    }
    html! {
        dl {
            @for (label, values) in groups {
                dt { (label) }
                dd {
                    @for value in values {
                        p class=(class(value.ink)) {
                            @match link(label) { Some(to) => a href=(to) rel="noreferrer" { (value.text) }, None => (ticked(&value.text)) }
                        }
                    }
                }
            }
        }
    }
}

/// Text whose commands stand between back ticks, as the terminal has it.
pub(super) fn ticked(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd tick out is a tick.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (index, part) in parts.iter().enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// How long ago, or in how long; the moment itself on asking.
pub(super) fn when(at: Option<Timestamp>, now: Timestamp, zone: &str) -> Markup {
    html! {
        @match at {
            Some(at) => time datetime=(at) title=(words::moment(at, zone)) { (relative(at, now)) },
            None => "–",
        }
    }
}

pub(super) fn took(ms: Option<u64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

/// What it is at, as a class and in words.
pub(super) fn cell(cell: &Cell) -> Markup {
    html! { span class=(class(cell.ink)) { (ticked(&cell.text)) } }
}
