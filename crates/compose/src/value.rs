//! A value of a compose file, and where it was written.

use std::sync::Arc;

/// Where a value was written; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the file was named: a path inside the repository.
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub place: Place,
    pub value: Value,
    pub mark: Mark,
}

/// What a YAML tag says about the merge with what earlier files have in this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    #[default]
    None,
    /// `!reset`: the place is empty afterwards.
    Reset,
    /// `!override`: it replaces what was there.
    Override,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A path that was found to be inside the repository, from its root; empty for the root.
    Path(String),
    List(Vec<Node>),
    Map(Map),
}

/// In the order of the file. Small: lookups are linear.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map(pub Vec<(String, Node)>);

impl Map {
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Replaces the value of a key in its place, or adds the key at the end.
    pub fn set(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(old) => *old = node,
            None => self.0.push((key.to_owned(), node)),
        }
    }

    pub fn take(&mut self, key: &str) -> Option<Node> {
        self.take_in_place(key).map(|(_, node)| node)
    }

    /// With the position it had.
    pub(crate) fn take_in_place(&mut self, key: &str) -> Option<(usize, Node)> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some((at, self.0.remove(at).1))
    }
}

impl Node {
    #[must_use]
    pub fn new(place: Place, value: Value) -> Self {
        Self {
            place,
            value,
            mark: Mark::None,
        }
    }

    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Path(_)
            | Value::List(_) => None,
        }
    }

    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Path(_)
            | Value::Map(_) => None,
        }
    }

    /// A path inside the repository.
    #[must_use]
    pub fn as_path(&self) -> Option<&str> {
        match &self.value {
            Value::Path(path) => Some(path),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => None,
        }
    }

    /// `true`, and nothing else.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.value == Value::Bool(true)
    }

    /// A scalar as text; `None` for `null`, lists and maps.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Bool(it) => Some(it.to_string()),
            Value::Int(it) => Some(it.to_string()),
            Value::Float(it) => Some(it.to_string()),
            Value::Text(it) => Some(it.clone()),
            Value::Path(it) => Some(format!("./{it}")),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// As JSON, without places.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(it) => Json::Bool(*it),
            Value::Int(it) => Json::from(*it),
            Value::Float(it) => Json::from(*it),
            Value::Text(it) => Json::String(it.clone()),
            Value::Path(it) => Json::String(format!("./{it}")),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(map) => Json::Object(map.0.iter().map(|(key, node)| (key.clone(), node.to_json())).collect()),
        }
    }
}
