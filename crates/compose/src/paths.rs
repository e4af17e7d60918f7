//! Paths of a compose file as paths of the repository. A path that leads out of it stays as it was written: it is a right of the host
//! (`rights.rs`).

use crate::load::{LoadError, join};
use crate::value::{Node, Value};

/// All paths of a project whose files are in `folder`.
///
/// # Errors
/// None yet; a path that leads out is kept.
pub(crate) fn resolve(root: &mut Node, folder: &str) -> Result<(), LoadError> {
    let Value::Map(top) = &mut root.value else {
        return Ok(());
    };
    if let Some(Value::Map(services)) = top.get_mut("services").map(|node| &mut node.value) {
        for (_, node) in &mut services.0 {
            service(node, folder)?;
        }
    }
    for section in ["configs", "secrets"] {
        if let Some(Value::Map(map)) = top.get_mut(section).map(|node| &mut node.value) {
            for (_, node) in &mut map.0 {
                part(node, "file", folder);
            }
        }
    }
    Ok(())
}

/// The paths of one service.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn service(node: &mut Node, folder: &str) -> Result<(), LoadError> {
    let Value::Map(map) = &mut node.value else {
        return Ok(());
    };
    for (key, value) in &mut map.0 {
        match key.as_str() {
            "build" => {
                part(value, "context", folder);
                if let Value::Map(build) = &mut value.value
                    && let Some(Value::Map(contexts)) = build.get_mut("additional_contexts").map(|node| &mut node.value)
                {
                    for (_, context) in &mut contexts.0 {
                        path(context, folder);
                    }
                }
            }
            "env_file" => each(value, |item| part(item, "path", folder)),
            "label_file" => each(value, |item| path(item, folder)),
            "volumes" => each(value, |item| {
                let is_bind = item.as_map().and_then(|map| map.get("type")).and_then(Node::scalar);
                if is_bind.as_deref() == Some("bind") {
                    part(item, "source", folder);
                }
            }),
            _ => {}
        }
    }
    Ok(())
}

fn each(node: &mut Node, each: impl FnMut(&mut Node)) {
    if let Value::List(items) = &mut node.value {
        items.iter_mut().for_each(each);
    }
}

fn part(node: &mut Node, key: &str, folder: &str) {
    if let Value::Map(map) = &mut node.value
        && let Some(value) = map.get_mut(key)
    {
        path(value, folder);
    }
}

fn path(node: &mut Node, folder: &str) {
    let Value::Text(text) = &node.value else { return };
    let is_elsewhere = text.starts_with(['/', '~']) || text.contains("://") || text.starts_with("git@");
    if is_elsewhere {
        return;
    }
    if let Ok(inside) = join(folder, text) {
        node.value = Value::Path(inside);
    }
}
