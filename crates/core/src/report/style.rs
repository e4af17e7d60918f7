//! What the terminal can show.

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Columns. Last columns of tables are cut to it.
    pub width: usize,
}
