//! Networks of a test's own.
