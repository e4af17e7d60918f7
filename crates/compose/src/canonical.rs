//! One way to write each thing: what a compose file may write short is written long (Compose Specification, *short syntax*).

use crate::load::LoadError;
use crate::value::{Map, Node, Value};

/// Rewrites a whole file.
///
/// # Errors
/// A short form that cannot be read.
pub(crate) fn rewrite(root: &mut Node) -> Result<(), LoadError> {
    let Value::Map(top) = &mut root.value else {
        return Ok(());
    };
    if let Some(Value::Map(services)) = top.get_mut("services").map(|node| &mut node.value) {
        for (name, node) in &mut services.0 {
            service(node, name)?;
        }
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        if let Some(Value::Map(map)) = top.get_mut(section).map(|node| &mut node.value) {
            for (_, node) in &mut map.0 {
                maybe_external(node);
            }
        }
    }
    Ok(())
}

/// Rewrites one service.
///
/// # Errors
/// A short form that cannot be read.
pub(crate) fn service(node: &mut Node, name: &str) -> Result<(), LoadError> {
    let Value::Map(map) = &mut node.value else {
        return Ok(());
    };
    for (key, value) in &mut map.0 {
        match key.as_str() {
            "environment" | "sysctls" => key_values(value),
            "labels" | "annotations" => {
                key_values(value);
                blanks(value);
            }
            "privileged" | "read_only" | "tty" | "stdin_open" | "init" | "oom_kill_disable" => boolean(value),
            "extra_hosts" => hosts(value),
            "depends_on" => named(value, &|item| depends(item)),
            "networks" => named(value, &|_| Value::Null),
            "build" => build(value),
            "env_file" => items(value, |item| {
                let required = Node::new(item.place.clone(), Value::Bool(true));
                wrap(item, "path");
                if let Value::Map(map) = &mut item.value
                    && map.get("required").is_none()
                {
                    map.set("required", required);
                }
            }),
            "label_file" | "dns" | "dns_search" | "dns_opt" | "tmpfs" => items(value, |_| ()),
            "secrets" | "configs" => items(value, |item| wrap(item, "source")),
            "volumes" => {
                let mut failed = None;
                items(value, |item| {
                    if let Err(problem) = volume(item) {
                        failed.get_or_insert((item.place.clone(), problem));
                    }
                });
                if let Some((place, problem)) = failed {
                    let path = format!("services.{name}.volumes");
                    return Err(LoadError::Canonical { place, path, problem });
                }
            }
            "command" | "entrypoint" => {
                if let Value::Text(text) = &value.value {
                    let Some(words) = words(text) else {
                        return Err(LoadError::Canonical {
                            place: value.place.clone(),
                            path: format!("services.{name}.{key}"),
                            problem: "a quote is not closed".to_owned(),
                        });
                    };
                    let place = &value.place;
                    let words = words
                        .into_iter()
                        .map(|word| Node::new(place.clone(), Value::Text(word)));
                    value.value = Value::List(words.collect());
                }
            }
            "healthcheck" => health(value),
            _ => {}
        }
    }
    Ok(())
}

/// `[A=1, B]` or `{A: 1, B: }` as a map of texts; a name alone is `null`.
fn key_values(node: &mut Node) {
    let mut out = Map::default();
    match std::mem::replace(&mut node.value, Value::Null) {
        Value::Map(map) => {
            for (key, mut value) in map.0 {
                if let Some(text) = value.scalar() {
                    value.value = Value::Text(text);
                }
                out.set(&key, value);
            }
        }
        Value::List(list) => {
            for item in list {
                let Some(text) = item.scalar() else { continue };
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key, Value::Text(value.to_owned())),
                    None => (text.as_str(), Value::Null),
                };
                out.set(key, Node::new(item.place, value));
            }
        }
        other @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Path(_)) => {
            node.value = other;
            return;
        }
    }
    node.value = Value::Map(out);
}

/// A label without a value has an empty one.
fn blanks(node: &mut Node) {
    if let Value::Map(map) = &mut node.value {
        for (_, value) in &mut map.0 {
            if value.value == Value::Null {
                value.value = Value::Text(String::new());
            }
        }
    }
}

/// What a variable brought is text, also where a yes or no belongs (the words are those of Compose).
fn boolean(node: &mut Node) {
    if let Value::Text(text) = &node.value {
        match text.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" | "1" => node.value = Value::Bool(true),
            "false" | "n" | "no" | "off" | "0" => node.value = Value::Bool(false),
            _ => {}
        }
    }
}

/// `HOST:IP` and maps as a list of `HOST=IP`: an address of IPv6 has colons of its own.
fn hosts(node: &mut Node) {
    if let Value::Map(map) = &node.value {
        let list = map.0.iter().flat_map(|(host, value)| {
            let values = value.as_list().map_or_else(|| vec![value.clone()], <[Node]>::to_vec);
            values.into_iter().map(move |value| {
                let text = format!("{host}={}", value.scalar().unwrap_or_default());
                Node::new(value.place, Value::Text(text))
            })
        });
        node.value = Value::List(list.collect());
    } else if let Value::List(items) = &mut node.value {
        for item in items {
            if let Value::Text(text) = &mut item.value
                && !text.contains('=')
            {
                *text = text.replacen(':', "=", 1);
            }
        }
    }
}

/// A list of names as a map.
fn named(node: &mut Node, value_of: &dyn Fn(&Node) -> Value) {
    if let Value::List(items) = &node.value {
        let mut map = Map::default();
        for item in items {
            if let Some(name) = item.scalar() {
                map.set(&name, Node::new(item.place.clone(), value_of(item)));
            }
        }
        node.value = Value::Map(map);
    }
    if let Value::Map(map) = &mut node.value {
        for (_, value) in &mut map.0 {
            let default = value_of(value);
            if let (Value::Map(own), Value::Map(default)) = (&mut value.value, default) {
                for (key, node) in default.0 {
                    if own.get(&key).is_none() {
                        own.set(&key, node);
                    }
                }
            }
        }
    }
}

fn depends(item: &Node) -> Value {
    let node = |value| Node::new(item.place.clone(), value);
    Value::Map(Map(vec![
        ("condition".to_owned(), node(Value::Text("service_started".to_owned()))),
        ("required".to_owned(), node(Value::Bool(true))),
    ]))
}

fn build(node: &mut Node) {
    wrap(node, "context");
    let place = node.place.clone();
    let Value::Map(map) = &mut node.value else { return };
    if map.get("context").is_none() {
        map.set("context", Node::new(place.clone(), Value::Text(".".to_owned())));
    }
    if map.get("dockerfile").is_none() && map.get("dockerfile_inline").is_none() {
        map.set("dockerfile", Node::new(place, Value::Text("Dockerfile".to_owned())));
    }
    for (key, value) in &mut map.0 {
        match key.as_str() {
            "args" | "labels" | "additional_contexts" => key_values(value),
            "secrets" => items(value, |item| wrap(item, "source")),
            "extra_hosts" => hosts(value),
            _ => {}
        }
    }
}

fn health(node: &mut Node) {
    let Value::Map(map) = &mut node.value else { return };
    if let Some(test) = map.get_mut("test")
        && let Value::Text(text) = &test.value
    {
        let words = ["CMD-SHELL".to_owned(), text.clone()];
        let place = &test.place;
        test.value = Value::List(words.map(|word| Node::new(place.clone(), Value::Text(word))).to_vec());
    }
}

/// A scalar as a list of one; then each item.
fn items(node: &mut Node, mut each: impl FnMut(&mut Node)) {
    if node.scalar().is_some() {
        let item = node.clone();
        node.value = Value::List(vec![item]);
    }
    if node.as_map().is_some() {
        let item = node.clone();
        node.value = Value::List(vec![item]);
    }
    if let Value::List(list) = &mut node.value {
        list.iter_mut().for_each(&mut each);
    }
}

/// A text as a map with one key.
fn wrap(node: &mut Node, key: &str) {
    if let Some(text) = node.scalar() {
        let inner = Node::new(node.place.clone(), Value::Text(text));
        node.value = Value::Map(Map(vec![(key.to_owned(), inner)]));
    }
}

/// `external: { name: x }` is the old way to write `external: true` and `name: x`.
fn maybe_external(node: &mut Node) {
    let Value::Map(map) = &mut node.value else { return };
    let Some(external) = map.get_mut("external") else {
        return;
    };
    if let Value::Map(old) = &mut external.value {
        let name = old.take("name");
        external.value = Value::Bool(true);
        if let Some(name) = name
            && map.get("name").is_none()
        {
            map.set("name", name);
        }
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
fn volume(node: &mut Node) -> Result<(), String> {
    let Some(text) = node.scalar() else { return Ok(()) };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] if target.starts_with('/') => (Some(source), target, ""),
        [target, options] => (None, target, options),
        [source, target, options] => (Some(source), target, options),
        _ => return Err(format!("`{text}` has too many colons")),
    };
    if target.is_empty() || source == Some("") {
        return Err(format!("`{text}` has an empty part"));
    }
    let place = node.place.clone();
    let new = |value| Node::new(place.clone(), value);
    let text = |text: &str| new(Value::Text(text.to_owned()));
    let is_bind = source.is_some_and(|source| source.starts_with(['.', '/', '~']));
    let mut map = Map(vec![("type".to_owned(), text(if is_bind { "bind" } else { "volume" }))]);
    if let Some(source) = source {
        map.set("source", text(source));
    }
    map.set("target", text(clean(target)));
    let (mut bind, mut volume) = (Map::default(), Map::default());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => map.set("read_only", new(Value::Bool(true))),
            "nocopy" if !is_bind => volume.set("nocopy", new(Value::Bool(true))),
            // Compose puts it there for volumes, too.
            "z" | "Z" => bind.set("selinux", text(option)),
            "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate" if is_bind => {
                bind.set("propagation", text(option));
            }
            // `rw` is what it is anyway; Compose ignores `cached` and the like, and what it does not know.
            _ => {}
        }
    }
    if is_bind {
        bind.set("create_host_path", new(Value::Bool(true)));
    }
    for (key, options) in [("bind", bind), ("volume", volume)] {
        if !options.0.is_empty() || (key == "bind") == is_bind {
            map.set(key, new(Value::Map(options)));
        }
    }
    node.value = Value::Map(map);
    Ok(())
}

/// Without slashes at its end: `/data/` and `/data` are one mount point.
fn clean(target: &str) -> &str {
    match target.trim_end_matches('/') {
        "" => "/",
        target => target,
    }
}

/// Words as a shell splits them; `None`: a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            c if c.is_whitespace() => out.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => match characters.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => {
                                word.push('\\');
                                word.push(c);
                            }
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(characters.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    Some(out)
}
