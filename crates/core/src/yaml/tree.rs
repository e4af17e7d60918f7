//! The YAML text as a tree that knows its places. The only file that names the event parser.

use super::diagnostic::{Lines, Problem, Route, Span, Step, shown};
use super::limits::{MAX_ALIAS_NODES, MAX_ALIASES, MAX_DEPTH};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use std::collections::HashMap;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// A scalar's own place; where a map or list begins.
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// `plain`: written without quotes, so it may mean a number, a boolean or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Map),
}

/// Maps with more entries get an index. Most maps have a few, where a linear search is faster.
const INDEXED: usize = 16;

/// In file order, and by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    entries: Vec<Entry>,
    /// Empty in small maps.
    index: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Map {
    fn find(&self, key: &str) -> Option<&Entry> {
        if self.index.is_empty() {
            return self.entries.iter().find(|entry| entry.key == key);
        }
        self.entries.get(*self.index.get(key)?)
    }

    /// The caller knows that the key is new.
    fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        let len = self.entries.len();
        let unlisted = match len {
            ..INDEXED => return,
            INDEXED => 0,
            _ => len - 1,
        };
        for (n, entry) in self.entries.iter().enumerate().skip(unlisted) {
            self.index.insert(entry.key.clone(), n);
        }
    }

    /// The entries of which `value` makes something.
    pub(crate) fn filtered(&self, mut value: impl FnMut(&Entry) -> Option<Node>) -> Self {
        let mut map = Self::default();
        for entry in &self.entries {
            if let Some(value) = value(entry) {
                let (key, key_span) = (entry.key.clone(), entry.key_span);
                map.push(Entry { key, key_span, value });
            }
        }
        map
    }
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(map) => &map.entries,
            Kind::Scalar { .. } | Kind::List(_) => &[],
        }
    }
    pub(crate) fn get(&self, route: &Route) -> Option<&Node> {
        self.find(route).map(|(node, _)| node)
    }
    /// Where a route is best shown: a scalar's text, else the key that leads to the map or list.
    pub(crate) fn place(&self, route: &Route) -> Option<Span> {
        self.find(route).map(|(node, key)| match &node.kind {
            Kind::Scalar { text, plain } if !(*plain && text.is_empty()) => node.span,
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => key.unwrap_or(node.span),
        })
    }
    /// The key that leads to a route.
    pub(crate) fn key_place(&self, route: &Route) -> Option<Span> {
        self.find(route).map(|(node, key)| key.unwrap_or(node.span))
    }
    fn find(&self, route: &Route) -> Option<(&Node, Option<Span>)> {
        let mut here = (self, None);
        for step in &route.0 {
            here = match (step, &here.0.kind) {
                (Step::Key(key), Kind::Map(map)) => {
                    let entry = map.find(key)?;
                    (&entry.value, Some(entry.key_span))
                }
                (Step::Index(index), Kind::List(items)) => (items.get(*index)?, None),
                (Step::Key(_) | Step::Index(_), Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_)) => return None,
            };
        }
        Some(here)
    }
    fn nodes(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Node::nodes).sum(),
            Kind::Map(map) => map.entries.iter().map(|e| 1 + e.value.nodes()).sum(),
        }
    }
    fn height(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => 1 + items.iter().map(Node::height).max().unwrap_or(0),
            Kind::Map(map) => 1 + map.entries.iter().map(|e| e.value.height()).max().unwrap_or(0),
        }
    }
}

/// Reads one document. Problems such as duplicate keys are collected and reading goes on; a problem that leaves no tree
/// is the error.
pub(crate) fn read(text: &str) -> Result<(Node, Vec<Problem>), Problem> {
    let lines = Lines::new(text);
    let mut reader = Reader::default();
    // Events are pulled one by one: the parser's own `load` recurses, and depth is checked here before it can grow.
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| syntax(&e, &lines))?;
        let one_line = span.start.line() == span.end.line();
        let len = if one_line {
            span.end.col().saturating_sub(span.start.col())
        } else {
            usize::MAX
        };
        let place = clip(&lines, span.start.line(), span.start.col() + 1, len);
        if matches!(event, Event::StreamEnd) {
            break;
        }
        reader.take(event, place)?;
    }
    let Reader { root, problems, .. } = reader;
    match root {
        Some(root) if !root.is_null() => Ok((root, problems)),
        Some(_) | None => {
            Err(Problem::new("empty", "the file says nothing").hint("a configuration starts with `version: 1`"))
        }
    }
}

/// A place cut to its line, at least one character long where the line has any.
fn clip(lines: &Lines<'_>, line: usize, column: usize, len: usize) -> Span {
    let rest = lines.get(line).map_or("", |text| {
        let at = text.char_indices().nth(column - 1).map_or(text.len(), |(at, _)| at);
        text[at..].trim_end()
    });
    Span {
        line,
        column,
        len: len.clamp(1, rest.chars().count().max(1)),
    }
}

fn syntax(error: &ScanError, lines: &Lines<'_>) -> Problem {
    let place = clip(lines, error.marker().line(), error.marker().col() + 1, 1);
    // The scanner has a bound of its own (255 flow levels on one line), and meets it before the first event comes.
    if error.info().contains("recursion limit") {
        return too_deep(place);
    }
    Problem::new("syntax", format!("this is not YAML: {}", error.info()))
        .hint("look at this line and the one before: indentation, a missing colon or space after it, an open quote or bracket")
        .at(&Route::default(), place)
}

fn too_deep(span: Span) -> Problem {
    Problem::new(
        "too-deep",
        format!("more than {MAX_DEPTH} maps and lists inside one another"),
    )
    .hint("nothing in this format is nested that deep; was a template not expanded?")
    .at(&Route::default(), span)
}

#[derive(Default)]
struct Reader {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliases: usize,
    alias_nodes: usize,
    problems: Vec<Problem>,
}

/// A map or list whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { map: Map, key: Option<(String, Span)> },
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let kind = Kind::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                };
                self.close(Node { span, kind }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.begin(Open {
                    span,
                    anchor,
                    kind: OpenKind::List(Vec::new()),
                })
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let kind = OpenKind::Map {
                    map: Map::default(),
                    key: None,
                };
                self.begin(Open { span, anchor, kind })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let kind = match open.kind {
                    OpenKind::List(items) => Kind::List(items),
                    OpenKind::Map { map, .. } => Kind::Map(map),
                };
                self.close(Node { span: open.span, kind }, open.anchor)
            }
            Event::Alias(id) => self.alias(id, span),
            Event::DocumentStart(_) if self.root.is_some() => Err(Problem::new(
                "several-documents",
                "the file holds more than one YAML document",
            )
            .hint("take out the `---`")
            .at(&Route::default(), span)),
            Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {
                Ok(())
            }
        }
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            let problem =
                Problem::new("yaml-tag", "YAML tags (`!…`) are not used here").hint("write the value without its tag");
            self.problems.push(problem.at(&self.route(), span));
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), Problem> {
        self.check_depth(self.open.len() + 1, open.span)?;
        self.open.push(open);
        Ok(())
    }

    fn check_depth(&self, depth: usize, span: Span) -> Result<(), Problem> {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(too_deep(span))
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(Problem::new("syntax", "this alias stands inside its own anchor").at(&self.route(), span));
        };
        self.aliases += 1;
        self.alias_nodes += node.nodes();
        self.check_depth(self.open.len() + node.height(), span)?;
        if self.aliases > MAX_ALIASES || self.alias_nodes > MAX_ALIAS_NODES {
            let message = format!(
                "the aliases (`*…`) up to here stand for more than {MAX_ALIASES} places or {MAX_ALIAS_NODES} values"
            );
            return Err(Problem::new("too-many-aliases", message)
                .hint("share settings through `profiles` instead")
                .at(&self.route(), span));
        }
        let copy = Node {
            span,
            kind: node.kind.clone(),
        };
        self.close(copy, 0)
    }

    /// A finished node goes to its place: the key or value of the open map, the open list, or the top.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let span = node.span;
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { key: key @ None, .. }) => match key_text(node) {
                Ok(text) => *key = Some(text),
                Err(problem) => return Err((*problem).at(&self.route(), span)),
            },
            Some(OpenKind::Map { map, key }) => {
                let Some((text, key_span)) = key.as_ref() else {
                    return Ok(());
                };
                match map.find(text) {
                    Some(first) => {
                        let (first, key_span) = (first.key_span, *key_span);
                        let problem = Problem::new("duplicate-key", format!("`{}` is given twice", shown(text)));
                        // Built only for a problem: most nodes have none, and a route copies every key on the way.
                        let route = self.route();
                        let problem = problem.hint("keep one of the two").at(&route, key_span);
                        self.problems.push(problem.also("first given here", &route, first));
                        self.forget_key();
                    }
                    None => {
                        let Some((key, key_span)) = key.take() else {
                            return Ok(());
                        };
                        map.push(Entry {
                            key,
                            key_span,
                            value: node,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The next node of the open map is a key again.
    fn forget_key(&mut self) {
        if let Some(OpenKind::Map { key, .. }) = self.open.last_mut().map(|open| &mut open.kind) {
            *key = None;
        }
    }

    /// Where the reader stands: the keys and indices of everything open.
    fn route(&self) -> Route {
        let steps = self.open.iter().filter_map(|open| match &open.kind {
            OpenKind::List(items) => Some(Step::Index(items.len())),
            OpenKind::Map { key, .. } => key.as_ref().map(|(key, _)| Step::Key(key.as_str().into())),
        });
        Route(steps.collect())
    }
}

fn key_text(node: Node) -> Result<(String, Span), Box<Problem>> {
    match node.kind {
        Kind::Scalar { text, .. } => Ok((text, node.span)),
        Kind::List(_) | Kind::Map(_) => {
            let problem = Problem::new("key-not-text", "a key must be text, not a list or a map");
            Err(Box::new(
                problem.hint("does a template like `{{ name }}` stand here? Quote it"),
            ))
        }
    }
}
