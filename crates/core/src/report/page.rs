//! What a message says, before it is text or HTML.

/// A page with its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub page: Page,
    /// The text's first line is the pill alone.
    pub lead: bool,
}

/// How a message feels at a glance; colour and pill of the HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
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
pub struct Page {
    pub tone: Tone,
    /// One or two words: `tests failed`, `ACTION 2`. The text of a daily report begins with it, on a line of its own.
    pub pill: String,
    pub title: String,
    /// The first thing anyone wants to know: what runs now?
    pub now: String,
    pub sections: Vec<Section>,
    /// Small print: why this came, and how often it comes.
    pub footer: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub heading: &'static str,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
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
pub struct PackageRow {
    pub name: String,
    /// `3.0.15-1 → 3.0.16-1`, `new 1.2`, `1.2, removed`.
    pub versions: String,
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is about; may be empty.
    pub name: String,
    pub text: String,
    /// The command that shows the details or resolves it.
    pub command: Option<String>,
}

impl Section {
    pub fn new(heading: &'static str, blocks: Vec<Block>) -> Self {
        Self { heading, blocks }
    }
}

/// The first `cap` of `rows`, and how many are left out.
pub fn capped<T>(mut rows: Vec<T>, cap: usize) -> (Vec<T>, usize) {
    let more = rows.len().saturating_sub(cap);
    rows.truncate(cap);
    (rows, more)
}
