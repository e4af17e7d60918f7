//! A problem with its place in the text, and how people and machines are shown it.

mod codes;
mod machine;
mod problem;
mod terminal;

pub use codes::CODES;
pub use machine::{json, markdown, sarif};
pub use problem::{Also, Problem, Route, Span, Step};
pub use terminal::{errors, line, terminal, warnings};

pub(crate) use problem::{Lines, shown};
