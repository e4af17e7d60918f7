//! GitHub's published OpenAPI description, and whether a request keeps to it. Only what its schemas use is understood:
//! a keyword that is not would have to be added here.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

pub(crate) struct Description(Value);

/// A request as it came over the wire.
pub(crate) struct ApiRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(String, String)],
    pub(crate) body: Option<&'a Value>,
}

/// Read once: it is 13 MB.
pub(crate) fn description() -> &'static Description {
    static READ: OnceLock<Description> = OnceLock::new();
    READ.get_or_init(|| {
        let path = std::env::var("LOWTIDE_TEST_GITHUB_DESCRIPTION").expect(
            "LOWTIDE_TEST_GITHUB_DESCRIPTION names no file: run `scripts/test it`, which fetches GitHub's description, \
             or set it to generated/api.github.com.json of the npm package @octokit/openapi",
        );
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        Description(serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path}: {e}")))
    })
}

impl Description {
    /// What is wrong with a request; empty when the description allows it.
    pub(crate) fn problems(&self, request: &ApiRequest<'_>) -> Vec<String> {
        let Some((operation, places)) = self.operation(request) else {
            return vec![format!("no such operation: {} {}", request.method, request.path)];
        };
        let mut problems = Vec::new();
        let parameters: Vec<&Value> = operation["parameters"]
            .as_array()
            .map(|list| list.iter().map(|p| self.resolved(p)).collect())
            .unwrap_or_default();
        for parameter in &parameters {
            let name = parameter["name"].as_str().unwrap();
            let found = match parameter["in"].as_str() {
                Some("path") => places.get(name).map(String::as_str),
                Some("query") => request.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()),
                _ => continue,
            };
            match found {
                Some(text) => self.check(
                    &as_value(text, &parameter["schema"]),
                    &parameter["schema"],
                    name,
                    &mut problems,
                ),
                None if parameter["required"] == true => problems.push(format!("{name}: missing")),
                None => {}
            }
        }
        for (name, _) in request.query {
            if !parameters
                .iter()
                .any(|p| p["in"] == "query" && p["name"] == name.as_str())
            {
                problems.push(format!("{name}: no such parameter"));
            }
        }
        let described = &operation["requestBody"];
        match request.body {
            Some(_) if described.is_null() => problems.push("a body where none belongs".to_owned()),
            Some(body) => self.check(
                body,
                &described["content"]["application/json"]["schema"],
                "body",
                &mut problems,
            ),
            None if described["required"] == true => problems.push("no body".to_owned()),
            None => {}
        }
        problems
    }

    /// A published example by its name, to make answers of.
    pub(crate) fn example(&self, name: &str) -> Value {
        let example = &self.0["components"]["examples"][name]["value"];
        assert!(!example.is_null(), "no example {name}");
        example.clone()
    }

    /// The operation with the most literal path, and what stands in the places of its path.
    fn operation(&self, request: &ApiRequest<'_>) -> Option<(&Value, BTreeMap<String, String>)> {
        let segments: Vec<&str> = request.path.split('/').collect();
        let mut best: Option<(usize, &Value, BTreeMap<String, String>)> = None;
        for (template, operations) in self.0["paths"].as_object().unwrap() {
            let parts: Vec<&str> = template.split('/').collect();
            if parts.len() != segments.len() || operations[request.method.to_lowercase()].is_null() {
                continue;
            }
            let mut places = BTreeMap::new();
            let fits = parts.iter().zip(&segments).all(|(part, segment)| {
                let name = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
                if let Some(name) = name {
                    places.insert(name.to_owned(), (*segment).to_owned());
                }
                name.map_or(part == segment, |_| !segment.is_empty())
            });
            if fits && best.as_ref().is_none_or(|(fewest, ..)| places.len() < *fewest) {
                best = Some((places.len(), &operations[request.method.to_lowercase()], places));
            }
        }
        best.map(|(_, operation, places)| (operation, places))
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(pointer) => self.0.pointer(pointer.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn check(&self, value: &Value, schema: &Value, at: &str, problems: &mut Vec<String>) {
        let schema = self.resolved(schema);
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        for (word, least) in [("oneOf", 1), ("anyOf", 1), ("allOf", usize::MAX)] {
            let Some(choices) = schema[word].as_array() else {
                continue;
            };
            let fitting = choices.iter().filter(|choice| {
                let mut inner = Vec::new();
                self.check(value, choice, at, &mut inner);
                inner.is_empty()
            });
            if fitting.count() < least.min(choices.len()) {
                problems.push(format!("{at}: fits {word} not"));
            }
        }
        let right = match schema["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => true,
        };
        if !right {
            problems.push(format!("{at}: {value} is no {}", schema["type"]));
        }
        if schema["enum"]
            .as_array()
            .is_some_and(|allowed| !allowed.contains(value))
        {
            problems.push(format!("{at}: {value} is none of {}", schema["enum"]));
        }
        if let (Some(text), Some("date-time")) = (value.as_str(), schema["format"].as_str())
            && text.parse::<jiff::Timestamp>().is_err()
        {
            problems.push(format!("{at}: {value} is no date-time"));
        }
        for entry in value.as_array().into_iter().flatten() {
            self.check(entry, &schema["items"], &format!("{at}[]"), problems);
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if value.is_object() && value[name.as_str().unwrap()].is_null() {
                problems.push(format!("{at}.{}: missing", name.as_str().unwrap()));
            }
        }
        let Some(properties) = schema["properties"].as_object() else {
            return;
        };
        for (name, inner) in value.as_object().into_iter().flatten() {
            match properties.get(name) {
                Some(schema) => self.check(inner, schema, &format!("{at}.{name}"), problems),
                None if schema["additionalProperties"] == true => {}
                // GitHub ignores what it does not know: a misspelt field would never be noticed.
                None => problems.push(format!("{at}.{name}: no such field")),
            }
        }
    }
}

/// A parameter's text as its schema means it.
fn as_value(text: &str, schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("integer") => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    }
}
