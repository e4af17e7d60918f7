//! What the RUN lines of a build take from package repositories: which installed packages a rebuild can bring up to date.
//! Silence has to be proven: whatever is not understood may do anything.

mod call;
mod endings;
mod harmless;
mod lists;
pub(crate) mod options;
pub(crate) mod program;
pub mod read;
pub(crate) mod record;
pub(crate) mod values;
mod wrappers;

#[cfg(test)]
mod tests;
