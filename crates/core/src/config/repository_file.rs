//! `.lowtide.yml`: what an app's own repository says about its build and tests. The fleet's configuration says what it may say, and lies
//! below it. A file gives no rights: no host, no target, no secret, no host right of a stack.

use super::merge::Over;
use super::raw::{self, OwnFile};
use super::shape;
use super::validate::{disagree, in_order};
use crate::fleet::app::{App, RepositoryFile};
use crate::yaml::age::{self, Encrypted};
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, Step, shown};
use crate::yaml::raw::{EnvMap, TextOrSecret};
use crate::yaml::scope::{Origin, Scope};
use crate::yaml::words::{closest, list};
use crate::yaml::{from_tree, limits, second, tree};
use lowtide_model::defaults;
use lowtide_model::policy::{BuildPolicy, OwnSettings};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where it is in a repository, if nothing else is configured.
pub const PATH: &str = ".lowtide.yml";

/// A file that sets nothing.
pub const NOTHING: &[u8] = b"version: 1\n";

const CODE: &str = "not-for-repositories";

/// How a key comes to be the repository's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grant {
    /// With its section, or by its own name.
    Section,
    /// By its own name only: it costs the fleet time or memory, or reaches out of the test.
    Name,
}

/// Every key that a repository can be allowed to set. What is not here is the fleet's.
const OWNABLE: &[(&str, Grant)] = &[
    ("build", Grant::Section),
    ("build.args", Grant::Section),
    ("build.ignore_paths", Grant::Section),
    ("build.label_schema", Grant::Section),
    ("build.labels", Grant::Section),
    ("build.limits", Grant::Name),
    ("build.max_age", Grant::Section),
    ("build.target", Grant::Section),
    ("build.timeout", Grant::Name),
    ("build.upgrade", Grant::Section),
    ("env", Grant::Section),
    ("ready", Grant::Section),
    ("test", Grant::Section),
    ("test.artefacts", Grant::Section),
    ("test.compose", Grant::Section),
    ("test.env", Grant::Section),
    ("test.junit", Grant::Section),
    ("test.limits", Grant::Name),
    ("test.matrix", Grant::Section),
    ("test.network", Grant::Name),
    ("test.ready", Grant::Section),
    ("test.sidecars", Grant::Section),
    ("test.steps", Grant::Section),
    ("test.tester", Grant::Section),
    ("test.timeout", Grant::Name),
];

/// Every key that can be allowed: what a file is held against where no fleet says less.
pub fn everything() -> impl Iterator<Item = &'static str> {
    OWNABLE.iter().map(|(key, _)| *key)
}

/// The app's settings with this file over them.
///
/// # Errors
/// Every problem of the file, in the order of their places.
pub fn own_settings(app: &App, file: &RepositoryFile, bytes: &[u8]) -> Result<OwnSettings, Vec<Problem>> {
    let text = limits::text(bytes).map_err(|problem| vec![problem])?;
    let (tree, mut problems) = tree::read(text).map_err(|problem| vec![problem])?;
    let shape = shape::compare(&tree, &raw::own_file_schema());
    problems.extend(shape.problems.into_iter().map(of_the_fleet));
    let Ok(own) = from_tree::read::<OwnFile>(&tree, &shape.broken) else {
        problems.push(disagree(None));
        return Err(in_order(problems));
    };
    if problems.is_empty() {
        match second::read::<OwnFile>(text) {
            Ok(other) if other == own => {}
            Ok(_) => return Err(vec![disagree(None)]),
            Err(unread) => return Err(vec![disagree(unread.place)]),
        }
    }
    let Ok(below) = serde_json::from_value::<OwnFile>(file.below.clone()) else {
        return Err(vec![Problem::new(
            "syntax",
            "the fleet's settings of this app were written by another version",
        )]);
    };
    let mut check = Check {
        tree: &tree,
        broken: &shape.broken,
        problems,
        hosts: BTreeMap::new(),
        first_host: app.host().clone(),
        targets: BTreeMap::new(),
        settings: Vec::new(),
        tracing: false,
        good_crons: BTreeSet::new(),
        encrypted: Encrypted::Known(&file.encrypted),
    };
    let settings = check.own_file(app, file, own, below);
    if check.problems.is_empty() {
        Ok(settings)
    } else {
        Err(in_order(check.problems))
    }
}

/// A key that the fleet's configuration knows is no typing mistake.
fn of_the_fleet(problem: Problem) -> Problem {
    let fleet = raw::schema();
    let is_known = |key: &str| fleet["$defs"]["App"]["properties"].get(key).is_some();
    match (problem.code, problem.route.0.as_slice()) {
        ("unknown-key", [Step::Key(key)]) if is_known(key) => Problem {
            code: CODE,
            message: format!("`{key}` is the fleet's to set"),
            hint: Some("take it out: the configuration of lowtide says it for each app".to_owned()),
            ..problem
        },
        _ => problem,
    }
}

impl Check<'_> {
    /// The `repository_file` of an app: what its file may set, and what lies below it.
    pub(super) fn repository_file(&mut self, scope: &Scope, raw: &raw::App) -> Option<RepositoryFile> {
        let given = raw.repository_file.as_ref()?;
        let at = |key: &str| Route::keys("repository_file").key(key);
        let path = given.path.as_ref().map_or(PATH, |text| text.0.as_str()).to_owned();
        self.inside(scope, &at("path"), &path);
        self.note(scope, &at("path"), path.clone());
        let hint = "name what the file may set: `[build.args, test, ready]`";
        match &given.allow {
            None => self.missing(scope, &at("allow"), hint),
            Some(allow) if allow.is_empty() => {
                let problem = Problem::new(
                    "empty-list",
                    "`repository_file.allow` is empty, so the file could say nothing",
                );
                self.report(scope, &at("allow"), problem.hint(hint));
            }
            Some(_) => {}
        }
        let mut allow = Vec::new();
        for (place, key) in given.allow.iter().flatten().enumerate() {
            if !everything().any(|known| known == key.0) {
                let problem = Problem::new(CODE, format!("no repository can set `{}`", shown(&key.0)));
                let hint = closest(&key.0, everything()).map_or_else(
                    || format!("what can be allowed is {}", list(&everything().collect::<Vec<_>>())),
                    |close| format!("did you mean `{close}`?"),
                );
                self.report(scope, &at("allow").index(place), problem.hint(hint));
            }
            allow.push(key.0.clone());
        }
        self.note(scope, &at("allow"), allow.join(", "));
        let below = OwnFile {
            version: None,
            build: raw.build.clone(),
            env: raw.env.clone(),
            test: raw.test.clone(),
            ready: raw.ready.clone(),
        };
        // Maps of texts: this cannot fail.
        let below = serde_json::to_value(below).map(pruned).unwrap_or_default();
        let mut named = BTreeSet::new();
        age::named_in(&below, &mut named);
        Some(RepositoryFile {
            path,
            allow,
            below,
            // One that cannot be found is reported where it is used.
            encrypted: named.iter().filter_map(|path| self.encrypted.find(path).ok()).collect(),
        })
    }

    fn own_file(&mut self, app: &App, file: &RepositoryFile, own: OwnFile, below: OwnFile) -> OwnSettings {
        let scope = Scope::new(vec![(Origin::App, Route::default())]);
        match own.version {
            Some(1) => {}
            Some(other) => {
                let problem = Problem::new("bad-version", format!("this version reads format 1, not {other}"));
                self.report(&scope, &Route::keys("version"), problem.hint("write `version: 1`"));
            }
            None => self.missing(&scope, &Route::keys("version"), "begin the file with `version: 1`"),
        }
        self.rights(&scope, file);
        self.references(&scope, &own);
        let merged = own.over(below);
        let build = self.build(
            &scope,
            &raw::Build {
                host: None,
                ..merged.build.unwrap_or_default()
            },
        );
        OwnSettings {
            build: BuildPolicy {
                host: app.host().clone(),
                ..build
            },
            env: self.env(&scope, &Route::keys("env"), &merged.env),
            tests: self.tests(&scope, &app.name, merged.test.as_ref(), merged.ready.as_ref()),
            ready: self.ready(
                &scope,
                &Route::keys("ready"),
                merged.ready.as_ref(),
                defaults::READY_TIMEOUT,
            ),
        }
    }

    /// Does the file set only what it may?
    fn rights(&mut self, scope: &Scope, file: &RepositoryFile) {
        let mut keys = Vec::new();
        for entry in self.tree.entries() {
            match entry.key.as_str() {
                "version" => {}
                section @ ("build" | "test") => {
                    keys.extend(
                        entry
                            .value
                            .entries()
                            .iter()
                            .map(|inner| format!("{section}.{}", inner.key)),
                    );
                }
                other => keys.push(other.to_owned()),
            }
        }
        if self.tree.place(&Route::keys("test.compose.allow")).is_some() {
            keys.push("test.compose.allow".to_owned());
        }
        for key in keys.iter().filter(|key| !is_granted(&file.allow, key)) {
            // What no schema knows is reported as that.
            if self.is_broken(&Route::keys(key)) {
                continue;
            }
            let can_be = everything().any(|known| known == key);
            let (message, hint) = if can_be {
                (
                    format!("`{key}` is not allowed in this file"),
                    format!(
                        "the configuration of lowtide allows {}; its `repository_file.allow` would have to name `{key}`",
                        list(&file.allow.iter().map(String::as_str).collect::<Vec<_>>())
                    ),
                )
            } else {
                (
                    format!("`{key}` is the fleet's to set"),
                    "take it out: the configuration of lowtide says it for each app".to_owned(),
                )
            };
            self.report(scope, &Route::keys(key), Problem::new(CODE, message).hint(hint));
        }
    }

    /// The file comes from the repository: a reference in it would name a secret of the machine that lowtide runs on.
    fn references(&mut self, scope: &Scope, own: &OwnFile) {
        for (place, env) in environments(own) {
            for (name, value) in env {
                let TextOrSecret::Secret(_) = value else { continue };
                let at = place.key(name);
                let problem = Problem::new(CODE, format!("`{at}` refers to a secret"));
                let hint = format!("secrets are the fleet's: the configuration of lowtide can set `{at}` for this app");
                self.report(scope, &at, problem.hint(hint));
            }
        }
    }
}

/// With the section's name, or its own.
fn is_granted(allow: &[String], key: &str) -> bool {
    let is_allowed = |key: &str| allow.iter().any(|allowed| allowed == key);
    let section = key.split('.').next().unwrap_or(key);
    is_allowed(key)
        || OWNABLE
            .iter()
            .any(|(known, grant)| *known == key && *grant == Grant::Section && is_allowed(section))
}

/// Every map of variables in the file. The structs are taken apart, so that a new one cannot be forgotten here.
fn environments(own: &OwnFile) -> Vec<(Route, &EnvMap)> {
    let mut out = vec![(Route::keys("env"), &own.env)];
    let Some(raw::Test {
        sidecars,
        compose,
        env,
        matrix,
        tester,
        network: _,
        ready: _,
        steps: _,
        junit: _,
        artefacts: _,
        limits: _,
        timeout: _,
    }) = &own.test
    else {
        return out;
    };
    out.push((Route::keys("test.env"), env));
    for (name, sidecar) in sidecars {
        out.push((Route::keys("test.sidecars").key(name).key("env"), &sidecar.env));
    }
    out.extend(
        compose
            .as_ref()
            .map(|compose| (Route::keys("test.compose.env"), &compose.env)),
    );
    out.extend(
        tester
            .as_ref()
            .map(|tester| (Route::keys("test.tester.env"), &tester.env)),
    );
    for (place, set) in matrix.iter().flatten().enumerate() {
        out.push((Route::keys("test.matrix").index(place), set));
    }
    out
}

/// Without what is not set.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries = map.into_iter().map(|(key, value)| (key, pruned(value)));
            let is_set = |value: &Value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty());
            Value::Object(entries.filter(|(_, value)| is_set(value)).collect())
        }
        // An entry of a list keeps its place, and `restart: {}` is a step.
        other @ (Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[cfg(test)]
mod tests;
