//! The part of a compose file that a test needs (Compose Specification): other containers beside the one under test.
//! What is not understood is refused by field name, never ignored.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A compose file, read for one service under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    /// In starting order; the service under test is not among them.
    pub beside: Vec<(String, Service)>,
    pub under_test: Service,
    /// Named volumes, shared between the services of one test.
    pub volumes: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Empty for the service under test.
    pub image: String,
    pub environment: BTreeMap<String, String>,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub depends_on: BTreeMap<String, Condition>,
    pub healthcheck: Option<Healthcheck>,
    /// Path inside the container → named volume, or an anonymous one.
    pub volumes: BTreeMap<String, Option<String>>,
    /// The strictest condition another service sets on it.
    pub awaited: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Condition {
    #[default]
    Started,
    Healthy,
    Completed,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// As the engine wants it; empty: the image's.
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub retries: Option<u32>,
}

/// Every reason why a compose file cannot be used, one line each, starting with the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct ComposeRefused {
    pub problems: Vec<String>,
}

/// Reads the parsed YAML of a compose file; `service` is the one whose image is under test.
///
/// # Errors
/// Every problem at once.
pub fn parse(file: &Value, service: &str) -> Result<Compose, ComposeRefused> {
    let mut reader = Reader { problems: Vec::new() };
    let compose = reader.file(file, service);
    match compose {
        Some(compose) if reader.problems.is_empty() => Ok(compose),
        Some(_) | None => Err(ComposeRefused {
            problems: reader.problems,
        }),
    }
}

struct Reader {
    problems: Vec<String>,
}

impl Reader {
    fn refuse<T>(&mut self, field: &str, why: &str) -> Option<T> {
        self.problems.push(format!("{field}: {why}"));
        None
    }

    fn file(&mut self, file: &Value, under_test: &str) -> Option<Compose> {
        let Some(top) = file.as_object() else {
            return self.refuse("the file", "is not a mapping");
        };
        let mut volumes = BTreeSet::new();
        let mut services = BTreeMap::new();
        for (key, value) in top {
            match key.as_str() {
                "version" | "name" => {}
                "services" => services = self.services(value, under_test),
                "volumes" => volumes = self.named_volumes(value),
                other if other.starts_with("x-") => {}
                other => drop(self.refuse::<()>(other, "is not supported in a test")),
            }
        }
        for (name, service) in &services {
            for volume in service.volumes.values().flatten() {
                if !volumes.contains(volume) {
                    self.refuse::<()>(
                        &format!("services.{name}.volumes"),
                        &format!("{volume} is not under volumes"),
                    );
                }
            }
        }
        self.order(services, under_test, volumes)
    }

    fn services(&mut self, value: &Value, under_test: &str) -> BTreeMap<String, Service> {
        let mut services = BTreeMap::new();
        for (name, body) in value.as_object().into_iter().flatten() {
            let at = format!("services.{name}");
            if let Some(service) = self.service(&at, body, name == under_test) {
                services.insert(name.clone(), service);
            }
        }
        services
    }

    fn named_volumes(&mut self, value: &Value) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, body) in value.as_object().into_iter().flatten() {
            let plain = body.is_null() || body.as_object().is_some_and(Map::is_empty);
            if plain {
                names.insert(name.clone());
            } else {
                self.refuse::<()>(
                    &format!("volumes.{name}"),
                    "options of a volume are not supported in a test",
                );
            }
        }
        names
    }

    fn service(&mut self, at: &str, body: &Value, under_test: bool) -> Option<Service> {
        let Some(body) = body.as_object() else {
            return self.refuse(at, "is not a mapping");
        };
        let mut service = Service::default();
        for (key, value) in body {
            let at = format!("{at}.{key}");
            let nested = value.is_object() || value.is_array() || value.is_null();
            match key.as_str() {
                "environment" | "depends_on" | "healthcheck" | "volumes" if !nested => {
                    self.refuse::<()>(&at, "is neither a list nor a mapping");
                }
                // The host's view of a service: a test has none.
                "ports" | "expose" | "restart" => {}
                "image" | "build" if under_test => {}
                "image" => service.image = self.text(&at, value).unwrap_or_default(),
                "environment" => service.environment = self.environment(&at, value),
                "command" => service.command = self.words(&at, value),
                "entrypoint" => service.entrypoint = self.words(&at, value),
                "depends_on" => service.depends_on = self.depends_on(&at, value),
                "healthcheck" => service.healthcheck = self.healthcheck(&at, value),
                "volumes" => service.volumes = self.volumes(&at, value),
                other if other.starts_with("x-") => {}
                _ => drop(self.refuse::<()>(&at, "is not supported in a test")),
            }
        }
        if service.image.is_empty() && !under_test && !body.contains_key("build") {
            return self.refuse(at, "has no image");
        }
        Some(service)
    }

    fn environment(&mut self, at: &str, value: &Value) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for (key, value) in value.as_object().into_iter().flatten() {
            if let Some(text) = self.text(&format!("{at}.{key}"), value) {
                out.insert(key.clone(), text);
            }
        }
        for item in value.as_array().into_iter().flatten() {
            let Some(text) = self.text(at, item) else { continue };
            match text.split_once('=') {
                Some((key, value)) => drop(out.insert(key.to_owned(), value.to_owned())),
                None => drop(self.refuse::<()>(&format!("{at}.{text}"), "has no value here")),
            }
        }
        out
    }

    fn depends_on(&mut self, at: &str, value: &Value) -> BTreeMap<String, Condition> {
        let mut out = BTreeMap::new();
        for item in value.as_array().into_iter().flatten() {
            if let Some(name) = self.text(at, item) {
                out.insert(name, Condition::Started);
            }
        }
        for (name, body) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            let condition = match body["condition"].as_str() {
                Some("service_started") | None => Condition::Started,
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::Completed,
                Some(_) => self.refuse(&at, "has an unknown condition").unwrap_or_default(),
            };
            out.insert(name.clone(), condition);
        }
        out
    }

    fn healthcheck(&mut self, at: &str, value: &Value) -> Option<Healthcheck> {
        let mut out = Healthcheck::default();
        for (key, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "test" => {
                    out.test = match value {
                        Value::String(_) => vec!["CMD-SHELL".to_owned(), self.text(&at, value)?],
                        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                            self.words(&at, value)?
                        }
                    }
                }
                "disable" => {
                    if value.as_bool() == Some(true) {
                        out.test = vec!["NONE".to_owned()];
                    }
                }
                "interval" => out.interval = self.duration(&at, value),
                "timeout" => out.timeout = self.duration(&at, value),
                "start_period" => out.start_period = self.duration(&at, value),
                "retries" => out.retries = value.as_u64().and_then(|n| u32::try_from(n).ok()),
                _ => drop(self.refuse::<()>(&at, "is not supported in a test")),
            }
        }
        Some(out)
    }

    fn volumes(&mut self, at: &str, value: &Value) -> BTreeMap<String, Option<String>> {
        let mut out = BTreeMap::new();
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            let at = format!("{at}[{index}]");
            let Some(text) = item.as_str() else {
                self.refuse::<()>(&at, "only NAME:PATH and PATH are supported in a test");
                continue;
            };
            match text.split(':').collect::<Vec<_>>()[..] {
                [path] if path.starts_with('/') => drop(out.insert(path.to_owned(), None)),
                [name, path] if path.starts_with('/') && is_volume_name(name) => {
                    out.insert(path.to_owned(), Some(name.to_owned()));
                }
                [from, ..] if from.starts_with(['/', '.', '~']) => {
                    self.refuse::<()>(&at, "a bind mount is not supported: lowtide may run on another machine");
                }
                _ => drop(self.refuse::<()>(&at, "only NAME:PATH and PATH are supported in a test")),
            }
        }
        out
    }

    /// A string as a shell splits it, or a list as it is.
    fn words(&mut self, at: &str, value: &Value) -> Option<Vec<String>> {
        match value {
            Value::Null => None,
            Value::Array(items) => Some(items.iter().filter_map(|item| self.text(at, item)).collect()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                let text = self.text(at, value)?;
                match split_words(&text) {
                    Some(words) => Some(words),
                    None => self.refuse(at, "has an open quote"),
                }
            }
        }
    }

    /// A scalar, with `$$` and `${NAME:-default}` replaced; other variables have no value here.
    fn text(&mut self, at: &str, value: &Value) -> Option<String> {
        let raw = match value {
            Value::String(text) => text.clone(),
            Value::Number(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Null => return self.refuse(at, "has no value here"),
            Value::Array(_) | Value::Object(_) => return self.refuse(at, "is not a text"),
        };
        match interpolate(&raw) {
            Ok(text) => Some(text),
            Err(name) => self.refuse(at, &format!("the variable {name} has no value here; give it a default")),
        }
    }

    fn duration(&mut self, at: &str, value: &Value) -> Option<Duration> {
        match value.as_str().and_then(duration) {
            Some(duration) => Some(duration),
            None => self.refuse(at, "is not a duration such as 1m30s"),
        }
    }

    /// Dependencies first; each service learns the strictest condition set on it.
    fn order(
        &mut self,
        mut services: BTreeMap<String, Service>,
        under_test: &str,
        volumes: BTreeSet<String>,
    ) -> Option<Compose> {
        let mut awaited: BTreeMap<String, Condition> = BTreeMap::new();
        for (name, service) in &services {
            for (on, condition) in &service.depends_on {
                let at = format!("services.{name}.depends_on.{on}");
                if on == under_test {
                    self.refuse::<()>(&at, "nothing may depend on the service under test");
                } else if !services.contains_key(on) {
                    self.refuse::<()>(&at, "is not a service of this file");
                }
                let strictest = awaited.entry(on.clone()).or_default();
                *strictest = (*strictest).max(*condition);
            }
        }
        let Some(mut tested) = services.remove(under_test) else {
            return self.refuse(&format!("services.{under_test}"), "the service under test is not there");
        };
        tested.image.clear();
        let mut beside: Vec<(String, Service)> = Vec::new();
        while !services.is_empty() {
            let free = services.iter().find(|(_, s)| {
                let known = |on: &String| beside.iter().any(|(name, _)| name == on) || !services.contains_key(on);
                s.depends_on.keys().all(known)
            });
            let Some(name) = free.map(|(name, _)| name.clone()) else {
                let circle: Vec<&str> = services.keys().map(String::as_str).collect();
                return self.refuse("depends_on", &format!("{} wait for each other", circle.join(", ")));
            };
            if let Some(mut service) = services.remove(&name) {
                service.awaited = awaited.get(&name).copied().unwrap_or_default();
                beside.push((name, service));
            }
        }
        Some(Compose {
            beside,
            under_test: tested,
            volumes,
        })
    }
}

fn is_volume_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// The name of the variable that has no value.
fn interpolate(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((inside, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            let Some((name, default)) = inside.split_once('-') else {
                return Err(inside.to_owned());
            };
            if default.contains('$') {
                return Err(name.trim_end_matches(':').to_owned());
            }
            out.push_str(default);
            rest = after;
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            return Err(rest[..end].to_owned());
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Splits as a POSIX shell does, without expansions. `None`: a quote is open.
fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// `1h2m3s400ms`, as Go writes durations.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "us" => Duration::from_micros(1),
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = &rest[letters..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_usual_file_is_read() {
        let file = json!({
            "version": "3.9",
            "services": {
                "app": {"build": ".", "environment": {"DB": "db", "DEBUG": true, "N": 3}, "ports": ["80:80"],
                    "depends_on": {"db": {"condition": "service_healthy"}, "seed": {"condition": "service_completed_successfully"}}},
                "seed": {"image": "busybox", "command": "sh -c 'echo \"a b\" $$HOME'", "depends_on": ["db"]},
                "db": {"image": "mariadb:${TAG:-11}", "environment": ["A=b=c"], "volumes": ["data:/var/lib/mysql", "/tmp/x"],
                    "healthcheck": {"test": "mysqladmin ping", "interval": "1m30s", "retries": 5}},
            },
            "volumes": {"data": null},
        });
        let compose = parse(&file, "app").unwrap();
        let names: Vec<&str> = compose.beside.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["db", "seed"]);
        let [(_, db), (_, seed)] = &compose.beside[..] else {
            panic!("two services")
        };
        assert_eq!((db.awaited, seed.awaited), (Condition::Healthy, Condition::Completed));
        assert_eq!(db.image, "mariadb:11");
        assert_eq!(db.environment["A"], "b=c");
        assert_eq!(db.volumes["/tmp/x"], None);
        assert_eq!(db.volumes["/var/lib/mysql"].as_deref(), Some("data"));
        let check = db.healthcheck.as_ref().unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "mysqladmin ping"]);
        assert_eq!(
            (check.interval, check.retries),
            (Some(Duration::from_secs(90)), Some(5))
        );
        assert_eq!(seed.command.as_ref().unwrap(), &["sh", "-c", "echo \"a b\" $HOME"]);
        assert_eq!(compose.under_test.environment["DEBUG"], "true");
        assert_eq!(compose.under_test.environment["N"], "3");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let file = json!({
            "services": {
                "app": {"image": "x", "privileged": true, "volumes": ["./src:/src", {"type": "bind"}, "a:/b:ro"]},
                "db": {"build": ".", "image": "${TAG}", "environment": {"SECRET": null}, "depends_on": ["app", "ghost"]},
                "bare": {"command": "echo 'open", "healthcheck": {"interval": "soon"}},
                "odd": {"image": "x", "environment": "A=b"},
            },
            "networks": {"front": null},
            "volumes": {"big": {"driver": "nfs"}},
        });
        let refused = parse(&file, "app").unwrap_err();
        insta::assert_snapshot!(refused.problems.join("\n"), @r"
        services.app.privileged: is not supported in a test
        services.app.volumes[0]: a bind mount is not supported: lowtide may run on another machine
        services.app.volumes[1]: only NAME:PATH and PATH are supported in a test
        services.app.volumes[2]: only NAME:PATH and PATH are supported in a test
        services.db.build: is not supported in a test
        services.db.image: the variable TAG has no value here; give it a default
        services.db.environment.SECRET: has no value here
        services.bare.command: has an open quote
        services.bare.healthcheck.interval: is not a duration such as 1m30s
        services.bare: has no image
        services.odd.environment: is neither a list nor a mapping
        networks: is not supported in a test
        volumes.big: options of a volume are not supported in a test
        services.db.depends_on.app: nothing may depend on the service under test
        services.db.depends_on.ghost: is not a service of this file
        ");
    }

    #[test]
    fn circles_and_missing_services_are_reported() {
        let file = json!({"services": {"a": {"image": "x", "depends_on": ["b"]}, "b": {"image": "x", "depends_on": ["a"]}, "t": {}}});
        insta::assert_snapshot!(parse(&file, "t").unwrap_err(), @"depends_on: a, b wait for each other");
        insta::assert_snapshot!(parse(&json!({"services": {}}), "t").unwrap_err(), @"services.t: the service under test is not there");
        insta::assert_snapshot!(parse(&json!([]), "t").unwrap_err(), @"the file: is not a mapping");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,60}") {
            let _ = split_words(&text);
            let _ = interpolate(&text);
            let _ = duration(&text);
            let _ = parse(&json!({"services": {"t": {"command": text.clone(), "volumes": [text.clone()], "environment": [text]}}}), "t");
        }
    }
}
