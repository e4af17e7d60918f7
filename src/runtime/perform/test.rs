//! The repository's tests, then one start in the mode that ships.
