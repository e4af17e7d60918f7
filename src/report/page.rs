//! What a message says, before it is text or HTML.

/// How a message feels at a glance; colour and pill of the HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// Worth knowing; nobody has to act.
    Calm,
    /// Someone should look.
    Warn,
    /// Someone must look.
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) tone: Tone,
    /// One or two words: `tests failed`, `ACTION 2`. The text of a daily report begins with it, on a line of its own.
    pub(super) pill: String,
    pub(super) title: String,
    /// The first thing anyone wants to know: what runs now?
    pub(super) now: String,
    pub(super) sections: Vec<Section>,
    /// Small print: why this came, and how often it comes.
    pub(super) footer: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) heading: &'static str,
    pub(super) blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    Text(String),
    Facts(Vec<(&'static str, String)>),
    /// An address that we made ourselves, of letters, digits and `:/.-_~` alone.
    Link(&'static str, String),
    /// The end of a log.
    Log {
        lines: Vec<String>,
        /// Lines before these that are not shown.
        earlier: usize,
    },
    /// What each does, and the exact command.
    Commands(Vec<(String, String)>),
    Packages {
        rows: Vec<PackageRow>,
        more: usize,
    },
    Items {
        rows: Vec<Item>,
        more: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageRow {
    pub(super) name: String,
    /// `3.0.15-1 → 3.0.16-1`, `new 1.2`, `1.2, removed`.
    pub(super) versions: String,
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What it is about; may be empty.
    pub(super) name: String,
    pub(super) text: String,
    /// The command that shows the details or resolves it.
    pub(super) command: Option<String>,
}

impl Section {
    pub(super) fn new(heading: &'static str, blocks: Vec<Block>) -> Self {
        Self { heading, blocks }
    }
}

/// The first `cap` of `rows`, and how many are left out.
pub(super) fn capped<T>(mut rows: Vec<T>, cap: usize) -> (Vec<T>, usize) {
    let more = rows.len().saturating_sub(cap);
    rows.truncate(cap);
    (rows, more)
}
