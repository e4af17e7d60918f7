//! A problem with its place in the text, and how people and machines are shown it.

mod machine;
mod problem;
mod terminal;

pub use machine::{json, markdown, sarif};
pub use problem::{Also, Problem, Route, Span, Step};
pub use terminal::terminal;

pub(super) use problem::{Lines, shown};
