//! The page of what is not there.

use super::layout::{Frame, page, ticked};
use maud::{Markup, html};

/// `why` is one sentence without its full stop.
pub(in crate::web) fn html(why: &str) -> Markup {
    let frame = Frame {
        title: "Not found",
        refresh: None,
        above: &[],
    };
    let body = html! {
        h1 { "Not found" }
        p.ink { "There is " (ticked(why)) @if !why.ends_with('?') { "." } }
        p { a href="/" { "All apps" } }
    };
    page(&frame, &body)
}
