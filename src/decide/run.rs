//! The next effect of a run.
