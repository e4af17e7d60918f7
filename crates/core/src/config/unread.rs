//! Secrets that cannot be read, shown where the text refers to them.

use crate::yaml::diagnostic::{Problem, Route};
use crate::yaml::tree::{self, Kind, Node};
use lowtide_model::secret::SecretRef;
use std::fmt::Write as _;

/// A problem at every place of `text` that refers to one of the secrets. The reason is shown as given. A text that
/// cannot be parsed has no such places.
#[must_use]
pub fn secrets(text: &[u8], unreadable: &[(SecretRef, String)]) -> Vec<Problem> {
    if unreadable.is_empty() {
        return Vec::new();
    }
    let Some((root, _)) = std::str::from_utf8(text).ok().and_then(|text| tree::read(text).ok()) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    walk(&root, &Route::default(), unreadable, &mut problems);
    problems.sort_by_key(|problem| problem.span);
    problems
}

fn walk(node: &Node, here: &Route, unreadable: &[(SecretRef, String)], problems: &mut Vec<Problem>) {
    for entry in node.entries() {
        let route = here.key(&entry.key);
        if let Kind::Scalar { text, .. } = &entry.value.kind
            && let Some((secret, why)) = unreadable.iter().find(|(secret, _)| refers(&entry.key, text, secret))
        {
            let mut message = String::from("this secret cannot be read");
            // Writing to a String cannot fail.
            let _ = write!(message, ": {why}");
            let hint = hint(secret);
            problems.push(
                Problem::new("missing-secret", message)
                    .hint(hint)
                    .at(&route, entry.value.span),
            );
        }
        walk(&entry.value, &route, unreadable, problems);
    }
    if let Kind::List(items) = &node.kind {
        for (index, item) in items.iter().enumerate() {
            walk(item, &here.index(index), unreadable, problems);
        }
    }
}

fn hint(secret: &SecretRef) -> &'static str {
    match secret {
        SecretRef::Env(_) | SecretRef::File(_) => "set it where lowtide runs; `check --no-secrets` leaves secrets out",
        SecretRef::Age(_) => {
            "encrypt it for the recipients of `age.identities` (`age-keygen -y FILE` prints one); \
             `check --no-secrets` leaves secrets out"
        }
    }
}

fn refers(key: &str, text: &str, secret: &SecretRef) -> bool {
    match secret {
        SecretRef::Env(name) => key == "env" && text == name,
        SecretRef::File(path) => key == "file" && path.as_os_str() == text,
        SecretRef::Age(file) => key == "age" && text == file.path,
    }
}
