//! How a package database can be unreadable.

/// A package database that is not what it should be. Says where; the rest of the image may still be fine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{database}, line {line}: {problem}")]
pub struct ParseError {
    /// Path inside the image, without leading slash.
    pub database: String,
    /// Counted from 1.
    pub line: usize,
    pub problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("neither a field nor a continuation of one")]
    NotAField,
    #[error("the entry that ends here has no {0}")]
    Missing(&'static str),
    #[error("an entry longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    #[error("{0} has a value that cannot be understood")]
    BadValue(&'static str),
    #[error("more than {limit} {of}")]
    TooMany { of: &'static str, limit: usize },
}

impl ParseError {
    #[must_use]
    pub fn new(database: &str, line: usize, problem: Problem) -> Self {
        Self {
            database: database.to_owned(),
            line,
            problem,
        }
    }

    /// The same problem, found in the file at `path`.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.database);
        self
    }
}
