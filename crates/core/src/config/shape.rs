//! The tree compared with the JSON Schema of the raw structs: unknown keys, wrong types, values out of range. One source
//! for what editors suggest and what is accepted here.

use crate::channels::list as channels;
use crate::yaml::diagnostic::{Problem, Route, Span, Step, shown};
use crate::yaml::tree::{Kind, Node};
use crate::yaml::words::{closest, list};
use serde_json::Value;
use std::collections::BTreeSet;

/// Keys that other tools or later versions have. They are refused with these words, never ignored.
/// (struct of the schema, key, what it would be)
const UNSUPPORTED: &[(&str, &str, &str)] = &[
    ("Host", "swarm", "Docker Swarm hosts"),
    ("Host", "kubernetes", "Kubernetes hosts"),
    ("Host", "ssh", "hosts reached by ssh"),
    ("Host", "tls", "hosts reached by TCP and TLS"),
    ("File", "include", "including other files"),
    ("File", "kpis", "KPIs"),
    ("Source", "verify", "checking commit signatures"),
    ("Source", "lfs", "choosing about Git LFS"),
    ("Build", "platform", "choosing a platform"),
    ("Build", "platforms", "images for several platforms"),
    ("Build", "cache_from", "cache sources"),
    ("Build", "cache_to", "cache exports"),
    ("Build", "network", "choosing the build network"),
    ("BuildLimits", "pids", "limiting the processes of a build"),
    ("BuildLimits", "disk", "limiting the disk of a build"),
    ("Test", "gpus", "GPUs in tests"),
    ("Test", "kpis", "KPIs of tests"),
    ("Ready", "tcp", "readiness by TCP connection"),
    ("Target", "kubernetes", "Kubernetes workloads as targets"),
    ("Target", "canary", "canary steps"),
    ("Target", "soak", "soaking through the next peak"),
    ("Target", "kpi", "KPI gates"),
    ("Target", "kpis", "KPI gates"),
    ("Publish", "sign", "signing images"),
    ("Publish", "sbom", "publishing SBOMs"),
];
/// The same for everything that [`super::raw::App`], profiles and defaults share.
const UNSUPPORTED_SETTINGS: &[(&str, &str)] = &[
    ("kpi", "KPI gates"),
    ("kpis", "KPI gates"),
    ("platform", "choosing a platform"),
    ("platforms", "images for several platforms"),
    ("scan", "vulnerability scans"),
    ("sbom", "publishing SBOMs"),
    ("sign", "signing images"),
    ("soak", "soaking through the next peak"),
    ("parents", "naming parents by hand"),
];

/// What an editor's user knows under another word.
const TYPE_HINTS: &[(&str, &str)] = &[
    ("Command", "a command is a list: `[sh, -c, \"first && second\"]`"),
    ("Empty", "write `{}`"),
    ("ContainerTarget", "write `container: { name: NAME }`"),
    ("Http", "write `http: { port: 80, path: / }`"),
    ("StepHttp", "write `http: { port: 80, path: / }`"),
    ("Nightly", "write `nightly: { between: \"22:00-02:30\" }`"),
    ("Source", "write `source: { repo: https://… }`"),
    ("Host", "write `{ docker: unix:///var/run/docker.sock }`"),
    (
        "Router",
        "write `router: { container: edge, join: [program, argument] }`",
    ),
    ("Hook", "write `- exec: [program, argument]`"),
    ("CommandTarget", "write `command: { run: [program, argument] }`"),
    ("Target", "write `- container: { name: NAME }`"),
    ("Halt", "write `halt: { require: countermeasure }`"),
    ("Window", "write `window: { from: \"03:00\", to: \"05:00\" }`"),
    ("Deny", "write `- { days: [fri], from: \"16:00\", to: \"24:00\" }`"),
    (
        "Blackout",
        "write `- { from: 2026-12-20, to: 2027-01-04, why: \"year end\" }`",
    ),
];

/// What was found, and the routes that must not be read any further.
pub(super) struct Shape {
    pub(super) problems: Vec<Problem>,
    pub(super) broken: BTreeSet<Route>,
}

pub(super) fn compare(root: &Node, schema: &Value) -> Shape {
    let mut walk = Walk {
        schema,
        here: Vec::new(),
        shape: Shape {
            problems: Vec::new(),
            broken: BTreeSet::new(),
        },
    };
    let title = schema["title"].as_str().unwrap_or_default();
    walk.node(root, schema, title, root.span);
    walk.shape
}

struct Walk<'a> {
    schema: &'a Value,
    /// The current position of the walk. A route is built from it only for a problem, since most nodes have none.
    here: Vec<At<'a>>,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum At<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Walk<'a> {
    /// `key`: where the key that leads here stands; what a map or list is shown by.
    fn node(&mut self, node: &'a Node, schema: &'a Value, name: &'a str, key: Span) {
        let (schema, name, optional) = self.resolve(schema, name, node);
        let is = |wanted| types(schema).any(|t| t == wanted);
        if node.is_null() {
            let container = (is("object") || is("array")) && name != "Empty";
            if !(optional && container || name == "File") {
                let problem = Problem::new("no-value", format!("{} has no value", self.subject()));
                self.refuse(with_hint(problem, name, "give it a value, or take the key out"), key);
            }
            return;
        }
        match &node.kind {
            Kind::Map(_) if is("object") => self.map(node, schema, name),
            Kind::List(items) if is("array") => {
                for (n, item) in items.iter().enumerate() {
                    self.inside(At::Index(n), item, &schema["items"], item.span);
                }
            }
            Kind::Scalar { text, plain } if !is("object") && !is("array") => {
                self.scalar(text, *plain, schema, node.span);
            }
            Kind::Scalar { .. } if name == "Secret" => {
                let problem = Problem::new("literal-secret", format!("{} is written out here", self.subject()))
                    .hint("secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`; this one is in git now, so change it");
                self.refuse(problem, node.span);
            }
            Kind::Scalar { .. } => self.wrong_type(node, schema, name, node.span),
            Kind::List(_) | Kind::Map(_) => self.wrong_type(node, schema, name, key),
        }
    }

    fn inside(&mut self, at: At<'a>, node: &'a Node, schema: &'a Value, key: Span) {
        self.here.push(at);
        self.node(node, schema, "", key);
        self.here.pop();
    }

    fn map(&mut self, node: &'a Node, schema: &'a Value, name: &'a str) {
        let properties = schema["properties"].as_object();
        for entry in node.entries() {
            let (at, others) = (At::Key(&entry.key), &schema["additionalProperties"]);
            if let Some(schema) = properties.and_then(|p| p.get(&entry.key)) {
                self.inside(at, &entry.value, schema, entry.key_span);
            } else if others.is_object() {
                self.inside(at, &entry.value, others, entry.key_span);
            } else {
                let known: Vec<&str> = properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
                let problem = self.unknown(&entry.key, name, &known);
                self.here.push(at);
                self.refuse(problem, entry.key_span);
                self.here.pop();
            }
        }
    }

    fn route(&self) -> Route {
        let steps = self.here.iter().map(|at| match at {
            At::Key(key) => Step::Key((*key).into()),
            At::Index(index) => Step::Index(*index),
        });
        Route(steps.collect())
    }

    fn subject(&self) -> String {
        if self.here.is_empty() {
            "the configuration".to_owned()
        } else {
            format!("`{}`", self.route())
        }
    }

    fn unknown(&self, key: &str, name: &str, known: &[&str]) -> Problem {
        let settings = ["App", "Profile", "Defaults"].contains(&name);
        let channels = channels::NOT_YET.iter().map(|(key, words)| ("Notify", *key, *words));
        let unsupported = UNSUPPORTED
            .iter()
            .copied()
            .chain(channels)
            .find(|(on, k, _)| *on == name && *k == key)
            .map(|(_, _, words)| words);
        let shared = || {
            UNSUPPORTED_SETTINGS
                .iter()
                .find(|(k, _)| settings && *k == key)
                .map(|(_, words)| *words)
        };
        if let Some(words) = unsupported.or_else(shared) {
            return Problem::new(
                "not-supported",
                format!("`{key}` is not supported by this version: it would be for {words}"),
            )
            .hint("take the key out; it would have no effect");
        }
        if key == "<<" {
            return Problem::new("merge-key", "merge keys (`<<`) are not used here")
                .hint("share settings through `profiles`");
        }
        let inside = if self.here.is_empty() {
            "at the top level".to_owned()
        } else {
            format!("in `{}`", self.route())
        };
        let problem = Problem::new("unknown-key", format!("there is no key `{}` {inside}", shown(key)));
        if let Some(close) = closest(key, known.iter().copied()) {
            return problem.hint(format!("did you mean `{close}`?"));
        }
        match self.elsewhere(key, name) {
            Some(place) => problem.hint(format!("`{key}` belongs under {place}")),
            None => problem.hint(format!("the keys here are {}", list(known))),
        }
    }

    /// Where a key that is unknown here is known.
    fn elsewhere(&self, key: &str, here: &str) -> Option<String> {
        let places: &[(&str, &str)] = &[
            ("App", "an app"),
            ("Source", "`source`"),
            ("Build", "`build`"),
            ("Test", "`test`"),
            ("Publish", "`publish`"),
            ("Target", "an entry of `rollout`"),
            ("Email", "`notify.email`"),
            ("File", "the top level"),
            ("Window", "`window`"),
            ("ContainerLimits", "`test.limits`"),
            ("Ready", "`ready`"),
            ("Limits", "the top-level `limits`"),
            ("Notify", "`notify`"),
        ];
        let has = |name: &str| {
            let schema = if name == "File" {
                self.schema
            } else {
                &self.schema["$defs"][name]
            };
            name != here && schema["properties"].get(key).is_some()
        };
        places
            .iter()
            .find(|(name, _)| has(name))
            .map(|(_, words)| (*words).to_owned())
    }

    fn scalar(&mut self, text: &str, plain: bool, schema: &Value, span: Span) {
        let is = |wanted| types(schema).any(|t| t == wanted);
        if let Some(words) = words_of(schema) {
            if !words.contains(&text) {
                let problem = Problem::new(
                    "unknown-value",
                    format!("{} cannot be `{}`", self.subject(), shown(text)),
                );
                let hint = closest(text, words.iter().copied()).map_or_else(
                    || format!("use one of {}", list(&words)),
                    |close| format!("did you mean `{close}`?"),
                );
                self.refuse(problem.hint(hint), span);
            }
            return;
        }
        if is("string") {
            return;
        }
        let digits = |t: &str| !t.is_empty() && t.len() < 19 && t.bytes().all(|b| b.is_ascii_digit());
        let number = match text.split_once('.') {
            _ if !plain => None,
            None if digits(text) => text.parse::<f64>().ok(),
            Some((whole, part)) if is("number") && digits(whole) && digits(part) => text.parse::<f64>().ok(),
            None | Some(_) => None,
        };
        let good = if is("boolean") {
            plain && matches!(text, "true" | "false")
        } else {
            number.is_some()
        };
        if !good {
            let problem = Problem::new(
                "wrong-type",
                format!(
                    "{} must be {}, not {}`{}`",
                    self.subject(),
                    kind_words(schema),
                    if plain { "" } else { "the text " },
                    shown(text)
                ),
            );
            let hint = if plain { None } else { Some("write it without quotes") };
            let problem = match (is("boolean"), hint) {
                (_, Some(hint)) => problem.hint(hint),
                (true, None) => problem.hint("write `true` or `false`"),
                (false, None) => problem,
            };
            self.refuse(problem, span);
            return;
        }
        let bound = |key: &str| schema[key].as_f64();
        let (Some(number), min, max) = (number, bound("minimum"), bound("maximum")) else {
            return;
        };
        if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
            let range = match (min, max) {
                (Some(min), Some(max)) => format!("between {min} and {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, max) => format!("at most {}", max.unwrap_or_default()),
            };
            let problem = Problem::new(
                "out-of-range",
                format!("{} must be {range}, not {}", self.subject(), shown(text)),
            );
            self.refuse(problem, span);
        }
    }

    fn wrong_type(&mut self, node: &Node, schema: &Value, name: &str, span: Span) {
        let found = match &node.kind {
            Kind::Map(_) => "a map of keys",
            Kind::List(_) => "a list",
            Kind::Scalar { .. } => "a single value",
        };
        let wanted = if words_of(schema).is_some() {
            "a single word"
        } else {
            kind_words(schema)
        };
        let problem = Problem::new(
            "wrong-type",
            format!("{} must be {wanted}, not {found}", self.subject()),
        );
        let general = match (&node.kind, types(schema).any(|t| t == "array")) {
            (Kind::Scalar { .. }, true) => "put it in brackets: `[…]`",
            (Kind::Map(_), true) => "begin each entry with `- `",
            (Kind::Map(_), false) => map_hint(node),
            (Kind::List(_), _) => "take the `- ` off: keys stand by themselves",
            (Kind::Scalar { .. }, false) => "",
        };
        self.refuse(with_hint(problem, name, general), span);
    }

    fn refuse(&mut self, problem: Problem, span: Span) {
        let mut route = self.route();
        self.shape.problems.push(problem.at(&route, span));
        // A list cannot be read with a hole in it.
        while matches!(route.0.last(), Some(Step::Index(_))) {
            route.0.pop();
        }
        self.shape.broken.insert(route);
    }

    /// Follows references and takes the `null` of optional fields away. Of a text or a secret it is what `node` looks like.
    fn resolve(&self, mut schema: &'a Value, mut name: &'a str, node: &Node) -> (&'a Value, &'a str, bool) {
        let is_secret = matches!(node.kind, Kind::Map(_)) && !is_template(node);
        let mut optional = types(schema).any(|t| t == "null");
        // References form no cycle and are two deep at most.
        for _ in 0..4 {
            if let Some(target) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
                (schema, name) = (&self.schema["$defs"][target], target);
            } else if name == "TextOrSecret" && schema["anyOf"].is_array() {
                (schema, name) = (&schema["anyOf"][usize::from(is_secret)], "");
            } else if let Some(some) = schema["anyOf"]
                .as_array()
                .and_then(|all| all.iter().find(|s| s["type"] != "null"))
            {
                (schema, optional) = (some, true);
            }
        }
        (schema, name, optional)
    }
}

/// `{date}` and the like: a text that YAML takes for a map.
fn is_template(node: &Node) -> bool {
    let entries = node.entries();
    !entries.is_empty() && entries.iter().all(|entry| entry.value.is_null())
}

/// Why a map may stand where a single value is wanted.
fn map_hint(node: &Node) -> &'static str {
    let entries = node.entries();
    if is_template(node) {
        "`{` begins a map of keys: put the text in quotes"
    } else if entries
        .iter()
        .all(|entry| ["env", "file", "age"].contains(&entry.key.as_str()))
    {
        "a secret cannot stand here: variables in `env` and the ids in `build.secrets` can refer to one"
    } else {
        ""
    }
}

fn with_hint(problem: Problem, name: &str, general: &str) -> Problem {
    let special = TYPE_HINTS.iter().find(|(on, _)| *on == name).map(|(_, hint)| *hint);
    match special.unwrap_or(general) {
        "" => problem,
        hint => problem.hint(hint),
    }
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let types = &schema["type"];
    let all = types.as_array().map(Vec::as_slice).unwrap_or_default();
    types.as_str().into_iter().chain(all.iter().filter_map(Value::as_str))
}

/// The words of an enumeration.
fn words_of(schema: &Value) -> Option<Vec<&str>> {
    schema["enum"]
        .as_array()
        .map(|words| words.iter().filter_map(Value::as_str).collect())
}

fn kind_words(schema: &Value) -> &'static str {
    match types(schema).find(|t| *t != "null") {
        Some("object") => "a map of keys",
        Some("array") => "a list",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => "`true` or `false`",
        Some(_) | None => "text",
    }
}
