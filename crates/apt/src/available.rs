//! Which versions of a package the archives have.

use super::pending::Suite;
use crate::version;

/// All versions of `package` that any of the suites has, newest first.
#[must_use]
pub fn versions<'a>(suites: &'a [Suite<'_>], package: &'a str) -> Vec<&'a str> {
    let indexes = suites.iter().flat_map(|suite| &suite.indexes);
    let mut found: Vec<&str> = indexes
        .flat_map(|it| it.index.versions(package))
        .map(|row| row.version())
        .collect();
    found.sort_by(|a, b| version::compare(b, a));
    found.dedup();
    found
}
