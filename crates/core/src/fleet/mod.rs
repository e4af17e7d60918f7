//! The fleet: its configuration in force, and what happens to its runs, rollouts and apps. Made of the nouns of `model` and
//! of the kinds of targets.

pub mod app;
pub mod app_state;
#[cfg(test)]
#[path = "corpus_tests.rs"]
pub(crate) mod corpus;
pub mod rollout;
pub mod run;
pub mod tags;
