//! What shell text consists of.

/// A whole text: its commands, and the here-documents that their redirections name by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::dockerfile) struct Script {
    pub(in crate::dockerfile) list: List,
    pub(in crate::dockerfile) documents: Vec<Document>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::dockerfile) struct Document {
    pub(in crate::dockerfile) text: String,
    /// Its delimiter was quoted, so nothing in it is filled in.
    pub(in crate::dockerfile) literal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::dockerfile) struct List(pub(in crate::dockerfile) Vec<Item>);

/// Pipelines joined by `&&` and `||`, which bind alike and from the left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) struct Item {
    pub(in crate::dockerfile) first: Pipeline,
    pub(in crate::dockerfile) rest: Vec<(Join, Pipeline)>,
    pub(in crate::dockerfile) background: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dockerfile) enum Join {
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) struct Pipeline {
    pub(in crate::dockerfile) negated: bool,
    /// At least one.
    pub(in crate::dockerfile) commands: Vec<Command>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) struct Command {
    pub(in crate::dockerfile) what: What,
    pub(in crate::dockerfile) redirects: Vec<Redirect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) enum What {
    Simple(Simple),
    Group(List),
    Subshell(List),
    /// Each condition with what follows it, then the `else`.
    If {
        arms: Vec<(List, List)>,
        otherwise: Option<List>,
    },
    /// `while` and `until`.
    Loop {
        condition: List,
        body: List,
    },
    For {
        name: String,
        words: Vec<Word>,
        body: List,
    },
    Case {
        subject: Word,
        arms: Vec<List>,
    },
    Function {
        name: String,
        body: Box<Command>,
    },
    /// `[[ … ]]`, and arithmetic.
    Test(Vec<Word>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::dockerfile) struct Simple {
    /// Name and value; `None` where the value is an array or is added to.
    pub(in crate::dockerfile) assignments: Vec<(String, Option<Word>)>,
    pub(in crate::dockerfile) words: Vec<Word>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) enum Redirect {
    /// To, from or beside a file.
    File(Word),
    /// The place among [`Script::documents`].
    Document(usize),
    /// `<<<`.
    Text(Word),
}

/// The pieces that one word is made of, side by side.
pub(in crate::dockerfile) type Word = Vec<Piece>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) enum Piece {
    /// Outside quotes: stars and braces mean something.
    Plain(String),
    Quoted(String),
    Variable {
        name: String,
        form: Form,
        quoted: bool,
    },
    /// `$(…)`, backticks, `<(…)`: they run, and what they say is not known.
    Commands {
        script: Script,
        quoted: bool,
    },
    /// Arithmetic, `${#V}`, `${!V}`, `${V:1:2}` and the like.
    Unknown {
        quoted: bool,
    },
}

/// How a variable is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dockerfile) enum Form {
    Value,
    /// `${V-word}`; `empty`: also where it is empty.
    Default {
        word: Word,
        empty: bool,
    },
    /// `${V+word}`.
    Alternative {
        word: Word,
        empty: bool,
    },
    /// `${V=word}`: it may be another one afterwards.
    Assign {
        word: Word,
    },
    /// `${V#pattern}`, `${V%pattern}`, `${V/pattern/text}` as written, without name and braces.
    Cut(String),
}
