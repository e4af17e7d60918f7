//! A tree written out again as plain YAML, without the parts that are already known to be wrong. This is what the second
//! reader gets when the text itself cannot be given to it.

use super::diagnostic::Route;
use super::tree::{Kind, Node};
use std::collections::BTreeSet;

/// `broken`: routes of keys left out. A list with a wrong entry is itself in it.
pub(super) fn text(root: &Node, broken: &BTreeSet<Route>) -> String {
    let mut out = String::new();
    write(root, &Route::default(), broken, &mut out);
    out.push('\n');
    out
}

fn write(node: &Node, route: &Route, broken: &BTreeSet<Route>, out: &mut String) {
    match &node.kind {
        Kind::Scalar { text, plain: true } if is_bare(text) => out.push_str(text),
        Kind::Scalar { .. } if node.is_null() => out.push_str("null"),
        Kind::Scalar { text, .. } => quote(text, out),
        Kind::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                write(item, &route.index(n), broken, out);
                out.push(',');
            }
            out.push(']');
        }
        Kind::Map(_) => {
            out.push('{');
            for entry in node.entries() {
                let route = route.key(&entry.key);
                if !broken.contains(&route) {
                    quote(&entry.key, out);
                    out.push_str(": ");
                    write(&entry.value, &route, broken, out);
                    out.push_str(",\n");
                }
            }
            out.push('}');
        }
    }
}

/// Numbers and booleans go as they are; every other text is quoted.
fn is_bare(text: &str) -> bool {
    let number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    matches!(text, "true" | "false")
        || text
            .split_once('.')
            .map_or_else(|| number(text), |(a, b)| number(a) && number(b))
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            // Every other character by its number: what may stand raw differs between YAML 1.1 and 1.2.
            _ => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
}
