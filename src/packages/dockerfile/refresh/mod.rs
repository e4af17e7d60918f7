//! What the RUN lines of a build take from package repositories: which installed packages a rebuild can bring up to date.
//! Silence has to be proven: whatever is not understood may do anything.

mod apk;
mod apt;
mod call;
mod endings;
mod harmless;
mod lists;
mod options;
pub mod read;
mod record;
mod values;
mod wrappers;

#[cfg(test)]
mod tests;
