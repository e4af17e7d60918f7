//! The second reader. The only file that names its crate.

use serde::de::DeserializeOwned;

/// Why the second reader stopped, and where (line and column, from 1). The reader's own message is dropped: it quotes values.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) place: Option<(usize, usize)>,
}

/// # Errors
/// Where it stopped.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Unread> {
    serde_yaml::from_str(text).map_err(|e| Unread {
        place: e.location().map(|l| (l.line(), l.column())),
    })
}

/// Any YAML as a tree of plain values: the compose files of repositories. Repeated anchors are bounded by the reader.
///
/// # Errors
/// The reader's message, with line and column.
pub fn yaml_value(text: &str) -> Result<serde_json::Value, String> {
    serde_yaml::from_str(text).map_err(|e| e.to_string())
}
