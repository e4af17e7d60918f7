//! YAML text as a tree with places: anchors are followed, merge keys (`<<`) are merged, `!reset` and `!override` are kept as marks.

use crate::value::{Map, Mark, Node, Place, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of one file.
pub const MAX_SIZE: usize = 1 << 20;
/// Maps and lists inside one another.
const MAX_DEPTH: usize = 64;
/// Values of one file with its aliases followed, as in Compose.
const MAX_NODES: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct YamlError {
    pub file: Arc<str>,
    pub line: usize,
    pub problem: YamlProblem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlProblem {
    #[error("the file is larger than {MAX_SIZE} bytes")]
    TooLarge,
    #[error("the file is not text (UTF-8)")]
    NotText,
    #[error("this is not YAML: {0}")]
    Syntax(String),
    #[error("more than {MAX_DEPTH} maps and lists inside one another")]
    TooDeep,
    #[error("more than {MAX_NODES} values, with aliases followed")]
    TooMany,
    #[error("`{0}` is given twice")]
    Duplicate(String),
    #[error("a key is a map or a list")]
    Key,
    #[error("this alias has no finished anchor above it")]
    Alias,
    #[error("`<<` merges maps, and this is none")]
    Merge,
}

/// The documents of a file: each one after the first is merged over those before it, as if it were a file of its own. Unknown tags
/// are ignored, as Compose does.
///
/// # Errors
/// The first problem of the text.
pub fn read(file: &str, bytes: &[u8]) -> Result<Vec<Node>, YamlError> {
    let file: Arc<str> = file.into();
    let at = |line, problem| YamlError {
        file: Arc::clone(&file),
        line,
        problem,
    };
    if bytes.len() > MAX_SIZE {
        return Err(at(1, YamlProblem::TooLarge));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| at(1, YamlProblem::NotText))?;
    let mut text = std::borrow::Cow::Borrowed(text);
    for _ in 0..MAX_REPAIRS {
        match documents(&file, &text) {
            Err(YamlError {
                line,
                problem: YamlProblem::Syntax(what),
                ..
            }) if OUTDENTED.contains(&what.as_str()) => text = indented(&text, line).into(),
            done => return done,
        }
    }
    documents(&file, &text)
}

/// What the parser says of a line that is indented less than the `[` or `{` it is in wants (YAML 1.2.2, 7.4). Compose's parser takes such
/// lines, and people end a list so: spaces mean nothing in there, so the line is given some.
const OUTDENTED: [&str; 2] = ["invalid indentation", "invalid indentation in flow construct"];
/// Lines of one file that are indented so; each one costs another reading.
const MAX_REPAIRS: usize = 64;

fn indented(text: &str, line: usize) -> String {
    let mut out = String::with_capacity(text.len() + MAX_DEPTH);
    for (n, part) in text.split_inclusive('\n').enumerate() {
        if n + 1 == line {
            out.extend(std::iter::repeat_n(' ', MAX_DEPTH));
        }
        out.push_str(part);
    }
    out
}

fn documents(file: &Arc<str>, text: &str) -> Result<Vec<Node>, YamlError> {
    let at = |line, problem| YamlError {
        file: Arc::clone(file),
        line,
        problem,
    };
    let mut reader = Reader {
        documents: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
    };
    // Events are pulled one by one: the parser's own `load` recurses, and depth is checked here before it can grow.
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| {
            let deep = e.info().contains("recursion limit");
            let problem = if deep {
                YamlProblem::TooDeep
            } else {
                YamlProblem::Syntax(e.info().to_owned())
            };
            at(e.marker().line(), problem)
        })?;
        if matches!(event, Event::StreamEnd) {
            break;
        }
        let place = Place {
            file: Arc::clone(file),
            line: span.start.line(),
            column: span.start.col() + 1,
        };
        let line = place.line;
        reader.take(event, place).map_err(|problem| at(line, problem))?;
    }
    Ok(reader.documents)
}

struct Reader {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    nodes: usize,
}

/// Values in a subtree, and how deep it is.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    depth: usize,
}

/// A map or list whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    mark: Mark,
    size: Size,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map {
        map: Map,
        /// Of `<<`: they yield to the map's own keys.
        merged: Vec<Map>,
        key: Option<String>,
    },
}

impl Reader {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), YamlProblem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (mark, is_text) = marks(tag.as_deref());
                let value = if style == ScalarStyle::Plain && !is_text {
                    plain(&text)
                } else {
                    Value::Text(text.into_owned())
                };
                let node = Node { place, value, mark };
                self.close(node, anchor, Size { nodes: 1, depth: 0 })
            }
            Event::SequenceStart(anchor, tag) => self.begin(place, anchor, tag.as_deref(), OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                let kind = OpenKind::Map {
                    map: Map::default(),
                    merged: Vec::new(),
                    key: None,
                };
                self.begin(place, anchor, tag.as_deref(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let value = match open.kind {
                    OpenKind::List(items) => Value::List(items),
                    OpenKind::Map { map, merged, .. } => Value::Map(with_merged(map, merged)),
                };
                let (place, mark) = (open.place, open.mark);
                self.close(Node { place, value, mark }, open.anchor, open.size)
            }
            Event::Alias(id) => {
                let (node, size) = self.anchors.get(&id).ok_or(YamlProblem::Alias)?.clone();
                if self.open.len() + size.depth > MAX_DEPTH {
                    return Err(YamlProblem::TooDeep);
                }
                self.close(Node { place, ..node }, 0, size)
            }
            // Anchors end with their document (YAML 1.2, 7.1).
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => Ok(()),
        }
    }

    fn begin(&mut self, place: Place, anchor: usize, tag: Option<&Tag>, kind: OpenKind) -> Result<(), YamlProblem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlProblem::TooDeep);
        }
        let (mark, _) = marks(tag);
        let size = Size { nodes: 1, depth: 1 };
        self.open.push(Open {
            place,
            anchor,
            mark,
            size,
            kind,
        });
        Ok(())
    }

    /// A finished node goes to its place: the key or value of the open map, the open list, or the top.
    fn close(&mut self, node: Node, anchor: usize, size: Size) -> Result<(), YamlProblem> {
        // Counted where it ends up, so an alias counts with all it stands for.
        self.nodes += if anchor > 0 { 0 } else { size.nodes };
        if self.nodes > MAX_NODES || size.nodes > MAX_NODES {
            return Err(YamlProblem::TooMany);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.size.nodes += size.nodes;
        open.size.depth = open.size.depth.max(size.depth + 1);
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { key: key @ None, .. } => {
                *key = Some(node.scalar().or_else(|| null_key(&node)).ok_or(YamlProblem::Key)?)
            }
            OpenKind::Map { map, merged, key } => {
                let name = key.take().unwrap_or_default();
                if name == "<<" {
                    merged.extend(maps(node)?);
                } else if map.get(&name).is_some() {
                    return Err(YamlProblem::Duplicate(name));
                } else {
                    map.0.push((name, node));
                }
            }
        }
        Ok(())
    }
}

fn null_key(node: &Node) -> Option<String> {
    (node.value == Value::Null).then(|| "null".to_owned())
}

/// What `<<` brings: a map, or several.
fn maps(node: Node) -> Result<Vec<Map>, YamlProblem> {
    match node.value {
        Value::Map(map) => Ok(vec![map]),
        Value::List(items) => {
            let maps = items.into_iter().map(|item| match item.value {
                Value::Map(map) => Ok(map),
                Value::Null
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Text(_)
                | Value::Path(_)
                | Value::List(_) => Err(YamlProblem::Merge),
            });
            maps.collect()
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Path(_) => {
            Err(YamlProblem::Merge)
        }
    }
}

/// A map's own keys, then those of its merges; the first one that has a key counts (YAML merge key, type repository 1.1).
fn with_merged(mut map: Map, merged: Vec<Map>) -> Map {
    for (key, node) in merged.into_iter().flat_map(|map| map.0) {
        if map.get(&key).is_none() {
            map.0.push((key, node));
        }
    }
    map
}

/// What a tag says of the merge, and whether the scalar is text whatever it looks like.
fn marks(tag: Option<&Tag>) -> (Mark, bool) {
    match tag.map(|tag| (tag.handle.as_ref(), tag.suffix.as_ref())) {
        Some(("!", "reset")) => (Mark::Reset, false),
        Some(("!", "override")) => (Mark::Override, false),
        Some(("tag:yaml.org,2002:", "str")) => (Mark::None, true),
        Some(_) | None => (Mark::None, false),
    }
}

/// A plain scalar by the YAML 1.2 core schema, with the octal and binary numbers that Compose's reader also knows.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Value::Int(number);
    }
    let looks = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let begins = digits
        .trim_start_matches(['+', '-'])
        .starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if begins
        && digits.chars().any(|c| c.is_ascii_digit())
        && digits.chars().all(looks)
        && let Ok(number) = digits.parse::<f64>()
    {
        return Value::Float(number);
    }
    Value::Text(text.to_owned())
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        // YAML 1.1: modes are written as 0644.
        Some(two) if two.starts_with('0') && digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) => (8, digits),
        Some(_) | None => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match read("compose.yml", text.as_bytes()) {
            Ok(documents) => {
                let documents: Vec<String> = documents.iter().map(|node| node.to_json().to_string()).collect();
                documents.join(" --- ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn scalars_as_compose_reads_them() {
        let text = "[a, 'b', ~, , yes, on, true, False, 12, -3, 0644, 0x1f, 0o17, 1.5, 1e3, 22:22, 1_000, \"7\", !!str 8, 3.10, .5, 08, 1.2.3]";
        insta::assert_snapshot!(shown(&text.replace(", ,", ", null,")), @r#"["a","b",null,null,"yes","on",true,false,12,-3,420,31,15,1.5,1000.0,"22:22",1000,"7","8",3.1,0.5,8,"1.2.3"]"#);
    }

    /// As Compose takes them.
    #[test]
    fn a_list_that_ends_under_its_key() {
        let text = "a:\n  test: [\n      \"x\",\n  ]\n  more: {\n  b: 1,\n}\nc: [1,\n2\n]\n";
        insta::assert_snapshot!(shown(text), @r#"{"a":{"test":["x"],"more":{"b":1}},"c":[1,2]}"#);
    }

    #[test]
    fn anchors_and_merges() {
        let text = "
x-base: &base {image: a, restart: always}
x-env: &env {A: 1}
one: {<<: *base, image: b}
two:
  <<: [*env, *base, {A: 2, B: 3}]
three: *env
";
        insta::assert_snapshot!(shown(text), @r#"{"x-base":{"image":"a","restart":"always"},"x-env":{"A":1},"one":{"image":"b","restart":"always"},"two":{"A":1,"image":"a","restart":"always","B":3},"three":{"A":1}}"#);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let deep = "[".repeat(70);
        let laughs: String = (0..10)
            .map(|n| match n {
                0 => "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
                n => format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")),
            })
            .collect();
        let table: Vec<String> = [
            "a: 1\nb: 2\na: 3",
            "a: [",
            "\n\n? [x]\n: y",
            "a: &a [*a]",
            "a:\n  <<: 3",
            deep.as_str(),
            laughs.as_str(),
        ]
        .iter()
        .map(|text| shown(text))
        .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        compose.yml:3: `a` is given twice
        compose.yml:2: this is not YAML: while parsing a node, did not find expected node content
        compose.yml:3: a key is a map or a list
        compose.yml:1: this alias has no finished anchor above it
        compose.yml:2: `<<` merges maps, and this is none
        compose.yml:1: more than 64 maps and lists inside one another
        compose.yml:5: more than 100000 values, with aliases followed
        ");
        let error = read("f", &vec![b' '; MAX_SIZE + 1]).unwrap_err();
        assert_eq!(error.problem, YamlProblem::TooLarge);
        assert_eq!(read("f", b"a: \xff").unwrap_err().problem, YamlProblem::NotText);
    }

    #[test]
    fn documents_and_unknown_tags() {
        assert_eq!(shown("a: 1\n---\nb: !vault 2\n"), "{\"a\":1} --- {\"b\":2}");
        assert_eq!(shown(""), "");
        assert_eq!(
            shown("a: &a 1\n---\nb: *a\n"),
            "compose.yml:3: this alias has no finished anchor above it"
        );
    }

    #[test]
    fn marks_and_places_stay() {
        let documents = read("f.yml", b"a: !reset null\nb: !override\n  - x\nc: &c\n  d: 1\ne: *c\n").unwrap();
        let map = documents[0].as_map().unwrap();
        assert_eq!(map.get("a").unwrap().mark, Mark::Reset);
        let list = map.get("b").unwrap();
        assert_eq!(
            (list.mark, list.as_list().unwrap()[0].place.to_string()),
            (Mark::Override, "f.yml:3".to_owned())
        );
        // An alias is where it is written; what is inside it, where that was written.
        let alias = map.get("e").unwrap();
        assert_eq!(alias.place.to_string(), "f.yml:6");
        assert_eq!(alias.as_map().unwrap().get("d").unwrap().place.to_string(), "f.yml:5");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-c:&*<!~\\[\\]{}, \n'\"-]{0,60}") {
            let _ = shown(&text);
        }
    }
}
