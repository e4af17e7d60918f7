//! The problem itself: what, where, and what to do about it.

use std::fmt;
use std::sync::Arc;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable, kebab-case; programs may match on it.
    pub code: &'static str,
    /// One sentence without a full stop. No secret ever.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The symbolic place; empty when the text could not be read far enough to have one.
    pub route: Route,
    pub span: Span,
    /// The second place of a contradiction.
    pub also: Option<Box<Also>>,
}

/// The other place that takes part in a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Also {
    pub words: String,
    pub route: Route,
    pub span: Span,
}

/// A place in the text, within one line. Lines and columns count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Span {
    pub line: usize,
    pub column: usize,
    pub len: usize,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The way from the top of the document to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Route(pub Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Shared by all routes that go on from here.
    Key(Arc<str>),
    Index(usize),
}

impl Route {
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.into()));
        Self(steps)
    }
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }
    #[must_use]
    pub fn join(&self, rest: &Route) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }
    /// `keys("build.timeout")`: for places whose keys are ours and hold no dot.
    #[must_use]
    pub fn keys(dotted: &str) -> Self {
        Self(dotted.split('.').map(|key| Step::Key(key.into())).collect())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if n == 0 => write!(f, "{}", shown(key))?,
                Step::Key(key) => write!(f, ".{}", shown(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            route: Route::default(),
            span: Span::default(),
            also: None,
        }
    }
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    pub(crate) fn at(mut self, route: &Route, span: Span) -> Self {
        self.route = route.clone();
        self.span = span;
        self
    }
    pub(crate) fn also(mut self, words: impl Into<String>, route: &Route, span: Span) -> Self {
        self.also = Some(Box::new(Also {
            words: words.into(),
            route: route.clone(),
            span,
        }));
        self
    }
}

/// A value as a message may show it: one line, no control characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    const CHARS: usize = 60;
    let escape = |c: char| -> String {
        if c.is_alphanumeric() || c == '\'' || c == '"' {
            c.to_string()
        } else {
            c.escape_debug().collect()
        }
    };
    let mut out: String = text.chars().take(CHARS).map(escape).collect();
    if text.chars().nth(CHARS).is_some() {
        out.push('…');
    }
    out
}

/// The lines of a text, and where a span's bytes are.
pub(crate) struct Lines<'a> {
    lines: Vec<(usize, &'a str)>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let mut start = 0;
        let mut lines = Vec::new();
        for line in text.split('\n') {
            lines.push((start, line.strip_suffix('\r').unwrap_or(line)));
            start += line.len() + 1;
        }
        Self { lines }
    }
    /// The line with this number, from 1.
    pub(crate) fn get(&self, number: usize) -> Option<&'a str> {
        self.lines.get(number.checked_sub(1)?).map(|(_, line)| *line)
    }
    pub(crate) fn holds(&self, span: &Span) -> bool {
        span.len > 0 && self.get(span.line).is_some_and(|line| !line.is_empty())
    }
    /// Byte offset and length, limited to the line.
    pub(crate) fn bytes(&self, span: &Span) -> (usize, usize) {
        let Some((start, line)) = span.line.checked_sub(1).and_then(|n| self.lines.get(n)) else {
            return (0, 0);
        };
        let byte = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(at, _)| at);
        let (from, to) = (
            byte(span.column.saturating_sub(1)),
            byte(span.column.saturating_sub(1) + span.len),
        );
        (start + from, to - from)
    }
}
