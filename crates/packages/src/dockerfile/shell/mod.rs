//! Reading shell text (POSIX.1-2017, XCU chapter 2; bash(1) where Dockerfiles use it): what commands there are, and what
//! has to succeed for what. Nothing is run, and what is not understood is an error, never a guess.

mod lists;
pub(super) mod reader;
pub(super) mod tree;
mod variables;
mod words;

#[cfg(test)]
mod tests;
