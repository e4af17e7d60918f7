//! A project from its files: interpolation, `include`, `extends`, and one file over the other.

use crate::canonical;
use crate::dotenv::{self, DotenvError};
use crate::merge::{self, MergeError};
use crate::normal;
use crate::paths;
use crate::template::{self, TemplateError};
use crate::value::{Map, Node, Place, Value};
use crate::yaml::{self, YamlError};
use std::collections::BTreeMap;

/// Files that one project may read: the bound that ends a cycle which no other check finds.
const MAX_FILES: usize = 100;

/// What a path inside the repository holds; `None`: nothing is there. The path has no `.` and no `..`.
pub type Files<'a> = &'a dyn Fn(&str) -> Result<Option<Vec<u8>>, String>;

/// What is to be read.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Paths inside the repository: the first one is the base, the others are laid over it.
    pub files: Vec<String>,
    /// The project's name, whatever the files call it.
    pub project: String,
    /// Values for variables; they count more than the project's `.env`.
    pub env: BTreeMap<String, String>,
}

/// A project before its values get their types.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    pub root: Node,
    /// The values of variables: those that were handed in, and the project's `.env`.
    pub env: BTreeMap<String, String>,
    /// Variables that had no value and were read as empty.
    pub unset: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("{0}: there is no such file")]
    Missing(String),
    #[error("{path} leads out of the repository")]
    Outside { path: String },
    #[error("{path} cannot be read: {why}")]
    Unreadable { path: String, why: String },
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("{path}: {error}")]
    Dotenv { path: String, error: DotenvError },
    #[error("{place}: {path}: {error}")]
    Template {
        place: Place,
        path: String,
        error: TemplateError,
    },
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("{place}: {path} is not {expected}")]
    Shape {
        place: Place,
        path: String,
        expected: &'static str,
    },
    #[error("{place}: {what} is on another machine; only files of the repository are read")]
    Remote { place: Place, what: String },
    #[error("{place}: service {service} extends {base}, which {file} does not have")]
    NoBase {
        place: Place,
        service: String,
        base: String,
        file: String,
    },
    #[error("{place}: {chain} is a cycle")]
    Cycle { place: Place, chain: String },
    #[error("{place}: {path}: {problem}")]
    Canonical {
        place: Place,
        path: String,
        problem: String,
    },
    #[error("more than {MAX_FILES} files")]
    TooMany,
}

/// Reads a project.
///
/// # Errors
/// The first thing that keeps the files from being one project.
pub fn load(request: &Request, files: Files<'_>) -> Result<Project, LoadError> {
    let folder = request.files.first().map_or("", |file| parent(file)).to_owned();
    let mut loader = Loader {
        files,
        reads: 0,
        unset: Vec::new(),
        given: &request.env,
    };
    let mut given = request.env.clone();
    // As `docker compose --project-name` does.
    given.insert("COMPOSE_PROJECT_NAME".to_owned(), request.project.clone());
    let mut env = loader.dotenv(&join(&folder, ".env")?, &given)?;
    env.extend(given);
    let paths: Result<Vec<String>, LoadError> = request.files.iter().map(|file| join("", file)).collect();
    let mut root = loader.project(&paths?, &folder, &env, &mut Vec::new())?;
    let (files, reads) = (loader.files, loader.reads);
    let mut service_files = Loader {
        files,
        reads,
        unset: Vec::new(),
        given: &request.env,
    };
    normal::complete(&mut root, &request.project, &env, &mut |path, env, required| {
        service_files.service_env(path, env, required)
    })?;
    Ok(Project {
        root,
        env,
        unset: loader.unset,
    })
}

pub(crate) struct Loader<'a> {
    files: Files<'a>,
    reads: usize,
    unset: Vec<String>,
    given: &'a Env,
}

pub(crate) type Env = BTreeMap<String, String>;

impl Loader<'_> {
    /// One file and those over it, with paths seen from `folder`. `above`: the files that include this one.
    fn project(
        &mut self,
        paths: &[String],
        folder: &str,
        env: &Env,
        above: &mut Vec<String>,
    ) -> Result<Node, LoadError> {
        let mut merged: Option<Node> = None;
        for path in paths {
            for document in self.documents(path)? {
                let mut document = self.interpolated(document, env)?;
                above.push(path.clone());
                self.include(&mut document, path, env, above)?;
                above.pop();
                self.extend_all(&mut document, path, env)?;
                let earlier = merged.take().unwrap_or_else(|| empty(&document.place));
                let mut both = merge::files(earlier, document)?;
                canonical::rewrite(&mut both)?;
                merged = Some(both);
            }
        }
        let nothing = Place {
            file: paths.first().map_or("", String::as_str).into(),
            line: 1,
            column: 1,
        };
        let mut merged = merged.unwrap_or_else(|| empty(&nothing));
        paths::resolve(&mut merged, folder)?;
        Ok(merged)
    }

    fn bytes(&mut self, path: &str) -> Result<Option<Vec<u8>>, LoadError> {
        self.reads += 1;
        if self.reads > MAX_FILES {
            return Err(LoadError::TooMany);
        }
        (self.files)(path).map_err(|why| LoadError::Unreadable {
            path: path.to_owned(),
            why,
        })
    }

    pub(crate) fn documents(&mut self, path: &str) -> Result<Vec<Node>, LoadError> {
        let bytes = self.bytes(path)?.ok_or_else(|| LoadError::Missing(path.to_owned()))?;
        let documents = yaml::read(path, &bytes)?;
        for document in &documents {
            if document.as_map().is_none() && document.value != Value::Null {
                return Err(shape(document, "the file", "a map"));
            }
        }
        Ok(documents)
    }

    /// The variables of an environment file that need not be there; values already in `env` can be used.
    fn dotenv(&mut self, path: &str, env: &Env) -> Result<Env, LoadError> {
        let Some(bytes) = self.bytes(path)? else {
            return Ok(Env::new());
        };
        let found = dotenv::read(&bytes, &|name| env.get(name).cloned());
        let found = found.map_err(|error| LoadError::Dotenv {
            path: path.to_owned(),
            error,
        })?;
        Ok(found.into_iter().collect())
    }

    /// The variables of a service's file, in order; `None`: it is not there. A required file that git ignores is on no
    /// machine but the developer's: what was handed in takes its place.
    fn service_env(
        &mut self,
        path: &str,
        env: &Env,
        required: bool,
    ) -> Result<Option<Vec<(String, String)>>, LoadError> {
        let Some(bytes) = self.bytes(path)? else {
            let given = self.given.iter().map(|(name, value)| (name.clone(), value.clone()));
            return Ok((required && !self.given.is_empty()).then(|| given.collect()));
        };
        let found = dotenv::read(&bytes, &|name| env.get(name).cloned());
        found.map(Some).map_err(|error| LoadError::Dotenv {
            path: path.to_owned(),
            error,
        })
    }

    pub(crate) fn interpolated(&mut self, mut node: Node, env: &Env) -> Result<Node, LoadError> {
        self.interpolate(&mut node, env, &mut Vec::new())?;
        Ok(node)
    }

    fn interpolate(&mut self, node: &mut Node, env: &Env, path: &mut Vec<String>) -> Result<(), LoadError> {
        match &mut node.value {
            Value::Text(text) if text.contains('$') => {
                let lookup = |name: &str| env.get(name).cloned();
                *text = template::interpolate(text, &lookup, &mut self.unset).map_err(|error| LoadError::Template {
                    place: node.place.clone(),
                    path: path.join("."),
                    error,
                })?;
            }
            Value::List(items) => {
                for item in items {
                    self.interpolate(item, env, path)?;
                }
            }
            Value::Map(map) => {
                for (key, value) in &mut map.0 {
                    path.push(key.clone());
                    self.interpolate(value, env, path)?;
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Path(_) => {}
        }
        Ok(())
    }

    /// Projects of other files become part of this one; what this file says of the same thing counts more.
    fn include(
        &mut self,
        document: &mut Node,
        path: &str,
        env: &Env,
        above: &mut Vec<String>,
    ) -> Result<(), LoadError> {
        let Value::Map(top) = &mut document.value else {
            return Ok(());
        };
        let Some(includes) = top.take("include") else {
            return Ok(());
        };
        let Some(includes) = includes.as_list() else {
            return Err(shape(&includes, "include", "a list"));
        };
        for include in includes {
            let part = |key: &str| include.as_map().and_then(|map| map.get(key));
            let paths = match part("path") {
                Some(paths) => texts(paths),
                None => include.scalar().into_iter().collect(),
            };
            let Some(first) = paths.first() else {
                return Err(shape(include, "include", "a path, or a map with `path`"));
            };
            if let Some(what) = paths.iter().find(|path| is_remote(path)) {
                let (place, what) = (include.place.clone(), what.clone());
                return Err(LoadError::Remote { place, what });
            }
            let here = parent(path);
            let paths: Result<Vec<String>, LoadError> = paths.iter().map(|path| join(here, path)).collect();
            let paths = paths?;
            if let Some(known) = paths.iter().find(|path| above.contains(path)) {
                let chain = above.iter().chain([known]).cloned().collect::<Vec<_>>().join(" → ");
                let place = include.place.clone();
                return Err(LoadError::Cycle { place, chain });
            }
            let folder = match part("project_directory").and_then(Node::scalar) {
                Some(folder) => join(here, &folder)?,
                None => parent(&join(here, first)?).to_owned(),
            };
            let files = match part("env_file") {
                Some(files) => texts(files)
                    .iter()
                    .map(|file| join(here, file))
                    .collect::<Result<_, _>>()?,
                None => vec![join(&folder, ".env")?],
            };
            let mut own = env.clone();
            for file in files {
                for (name, value) in self.dotenv(&file, &own)? {
                    own.entry(name).or_insert(value);
                }
            }
            let included = self.project(&paths, &folder, &own, above)?;
            adopt(top, included)?;
        }
        Ok(())
    }
}

/// The parts of an included project that its includer has not are added; what both have is merged.
fn adopt(top: &mut Map, included: Node) -> Result<(), LoadError> {
    let Value::Map(included) = included.value else {
        return Ok(());
    };
    for (section, node) in included.0 {
        if !["services", "volumes", "networks", "secrets", "configs"].contains(&section.as_str()) {
            continue;
        }
        let (place, Value::Map(resources)) = (node.place.clone(), node.value) else {
            continue;
        };
        if top.get(&section).is_none_or(|node| node.value == Value::Null) {
            top.set(&section, Node::new(place, Value::Map(Map::default())));
        }
        let Some(Value::Map(own)) = top.get_mut(&section).map(|node| &mut node.value) else {
            continue;
        };
        for (name, resource) in resources.0 {
            let merged = match own.take_in_place(&name) {
                Some((_, later)) if section == "services" => merge::services(&name, resource, later)?,
                Some((_, later)) if later.value != Value::Null => later,
                Some(_) | None => resource,
            };
            own.set(&name, merged);
        }
    }
    Ok(())
}

pub(crate) fn shape(node: &Node, path: &str, expected: &'static str) -> LoadError {
    LoadError::Shape {
        place: node.place.clone(),
        path: path.to_owned(),
        expected,
    }
}

fn empty(place: &Place) -> Node {
    Node::new(place.clone(), Value::Map(Map::default()))
}

fn texts(node: &Node) -> Vec<String> {
    match node.as_list() {
        Some(items) => items.iter().filter_map(Node::scalar).collect(),
        None => node.scalar().into_iter().collect(),
    }
}

pub(crate) fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("oci:") || path.starts_with("git@") || path.starts_with("github.com/")
}

pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `path` seen from `folder`, without `.` and `..`.
pub(crate) fn join(folder: &str, path: &str) -> Result<String, LoadError> {
    let outside = || LoadError::Outside { path: path.to_owned() };
    if path.starts_with(['/', '~']) {
        return Err(outside());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(outside)?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(files: &[(&str, &str)]) -> String {
        let read = |path: &str| {
            let found = files.iter().find(|(name, _)| *name == path);
            Ok(found.map(|(_, text)| text.as_bytes().to_vec()))
        };
        let names = files.iter().map(|(name, _)| (*name).to_owned());
        let request = Request {
            files: names.filter(|name| name.starts_with("compose")).collect(),
            project: "shop".to_owned(),
            env: BTreeMap::from([("GIVEN".to_owned(), "given".to_owned())]),
        };
        match load(&request, &read) {
            Ok(project) => serde_json::to_string_pretty(&project.root.to_json()).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn files_over_files_with_includes_and_bases() {
        insta::assert_snapshot!(shown(&[
            (
                "compose.yml",
                "include: [db/stack.yml]\nservices:\n  web:\n    extends: { file: common/base.yml, service: app }\n    image: \"shop:${TAG}\"\n    depends_on: [db]\n  db: { environment: { MODE: \"${GIVEN}\" } }\n"
            ),
            (
                "compose.override.yml",
                "services: { web: { environment: [DEBUG=1], ports: !reset [] } }\n"
            ),
            (".env", "TAG=1-${GIVEN}\nGIVEN=file\n"),
            ("db/.env", "VERSION=11\nTAG=other\n"),
            (
                "db/stack.yml",
                "services: { db: { image: \"mariadb:${VERSION}-${TAG}\", environment: [MODE=x] } }\nvolumes: { data: {} }\n"
            ),
            (
                "common/base.yml",
                "services:\n  app: { extends: root, ports: [\"80:80\"], depends_on: [gone], environment: { A: 1 } }\n  root: { restart: always, environment: { A: 0, B: 2 } }\n"
            ),
        ]), @r#"
        {
          "services": {
            "web": {
              "restart": "always",
              "depends_on": {
                "gone": {
                  "condition": "service_started",
                  "required": true
                },
                "db": {
                  "condition": "service_started",
                  "required": true
                }
              },
              "image": "shop:1-given",
              "networks": {
                "default": null
              },
              "environment": {
                "A": "1",
                "B": "2",
                "DEBUG": "1"
              }
            },
            "db": {
              "image": "mariadb:11-1-given",
              "networks": {
                "default": null
              },
              "environment": {
                "MODE": "given"
              }
            }
          },
          "volumes": {
            "data": {
              "name": "shop_data"
            }
          },
          "networks": {
            "default": {
              "name": "shop_default"
            }
          }
        }
        "#);
    }

    #[test]
    fn what_is_no_project_is_named() {
        let table: Vec<String> = [
            vec![("compose.yml", "include: [a.yml]"), ("a.yml", "include: [compose.yml]")],
            vec![("compose.yml", "include: [\"https://example.org/c.yml\"]")],
            vec![("compose.yml", "include: [../c.yml]")],
            vec![("compose.yml", "services: { a: { extends: b }, b: { extends: a } }")],
            vec![("compose.yml", "services: { a: { extends: b } }")],
            vec![
                (
                    "compose.yml",
                    "services: { a: { extends: { file: c.yml, service: b } } }",
                ),
                ("c.yml", "services: {}"),
            ],
            vec![("compose.yml", "services: { a: { image: \"${X:?give it}\" } }")],
            vec![("compose.yml", "services: [a]")],
            vec![("compose.yml", "[a]")],
            vec![("compose.yml", "include: a")],
            vec![("compose.yml", "include: [gone.yml]")],
            vec![("compose.yml", "a: b"), (".env", "A B=1")],
        ]
        .iter()
        .map(|files| shown(files))
        .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        a.yml:1: compose.yml → a.yml → compose.yml is a cycle
        compose.yml:1: https://example.org/c.yml is on another machine; only files of the repository are read
        ../c.yml leads out of the repository
        compose.yml:1: a in compose.yml → b in compose.yml → a in compose.yml is a cycle
        compose.yml:1: service a extends b, which compose.yml does not have
        compose.yml:1: service a extends b, which c.yml does not have
        compose.yml:1: services.a.image: the variable X is required: give it
        compose.yml:1: services is not a map
        compose.yml:1: the file is not a map
        compose.yml:1: include is not a list
        gone.yml: there is no such file
        .env: line 1: `A B=1` is not the name of a variable
        ");
    }
}
