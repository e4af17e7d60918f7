//! How a container proves that it serves, and what it finds in its environment.

use super::check::Check;
use super::diagnostic::{Problem, Route, shown};
use super::raw;
use super::scope::Scope;
use super::{mask, quantity};
use jiff::SignedDuration;
use lowtide_model::defaults;
use lowtide_model::policy::{Ready, ReadyCheck};
use lowtide_model::secret::EnvValue;
use std::collections::BTreeMap;

impl Check<'_> {
    pub(crate) fn http(&mut self, scope: &Scope, rest: &Route, raw: &raw::Http) -> (u16, String) {
        let path = raw.path.as_ref().map_or("/", |text| text.0.as_str()).to_owned();
        if raw.url.is_some() {
            let problem = Problem::new(
                "not-for-containers",
                format!("`{rest}.url` has no meaning for a container"),
            );
            let hint = "the request comes from beside the container: write `http: { port: 80, path: / }`";
            self.report(scope, &rest.key("url"), problem.hint(hint));
        } else if raw.port.is_none() {
            self.missing(scope, &rest.key("port"), "write `http: { port: 80, path: / }`");
        }
        if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let problem = Problem::new("bad-path", format!("`{}` is not a path to request", shown(&path)));
            self.report(
                scope,
                &rest.key("path"),
                problem.hint("it begins with `/` and holds no spaces"),
            );
        }
        (raw.port.unwrap_or_default(), path)
    }

    pub(crate) fn ready(
        &mut self,
        scope: &Scope,
        rest: &Route,
        raw: Option<&raw::Ready>,
        timeout: SignedDuration,
    ) -> Ready {
        let raw = raw.cloned().unwrap_or_default();
        let timeout = self.limit_at(scope, &rest.key("timeout"), raw.timeout.as_ref(), timeout);
        Ready {
            check: self.ready_check(scope, rest, &raw),
            timeout,
        }
    }

    pub(crate) fn ready_check(&mut self, scope: &Scope, rest: &Route, raw: &raw::Ready) -> ReadyCheck {
        let given = [
            ("healthcheck", raw.healthcheck.is_some()),
            ("http", raw.http.is_some()),
            ("log", raw.log.is_some()),
            ("exec", raw.exec.is_some()),
            ("exit", raw.exit.is_some()),
            ("stay_up", raw.stay_up.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            self.exclusive(scope, &rest.key(one), &rest.key(other));
        }
        let key = |key: &str| format!("{rest}.{key}");
        if raw.healthcheck == Some(false) {
            let problem = Problem::new("one-of", format!("`{}` can only be `true`", key("healthcheck")));
            self.report(
                scope,
                &rest.key("healthcheck"),
                problem.hint("to wait without the HEALTHCHECK, give `http`, `log` or `exec`"),
            );
        }
        let (word, check) = if raw.healthcheck.is_some() {
            ("healthcheck", ReadyCheck::Healthcheck)
        } else if let Some(http) = &raw.http {
            let (port, path) = self.http(scope, &rest.key("http"), http);
            ("http", ReadyCheck::Http { port, path })
        } else if let Some(log) = &raw.log {
            if let Err(e) = regex::Regex::new(&log.0) {
                let why = e
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned();
                let problem = Problem::new(
                    "bad-pattern",
                    format!("`{}` is not a regular expression: {}", shown(&log.0), shown(&why)),
                );
                self.report(
                    scope,
                    &rest.key("log"),
                    problem.hint("the syntax is that of the Rust `regex` crate; put it in single quotes"),
                );
            }
            ("log", ReadyCheck::Log { pattern: log.0.clone() })
        } else if let Some(exec) = &raw.exec {
            (
                "exec",
                ReadyCheck::Exec {
                    command: self.command(scope, &rest.key("exec"), exec),
                },
            )
        } else if let Some(code) = raw.exit {
            // The shape says that it is no more than 255.
            let code = u8::try_from(code).unwrap_or(u8::MAX);
            ("exit", ReadyCheck::Exit { code })
        } else {
            let stay_up = self.limit_at(scope, &rest.key("stay_up"), raw.stay_up.as_ref(), defaults::STAY_UP);
            return ReadyCheck::Steady { stay_up };
        };
        self.note(scope, &rest.key(word), ready_text(&check));
        check
    }

    /// The variables of an environment. Names that a container cannot have are reported.
    pub(crate) fn env(&mut self, scope: &Scope, rest: &Route, raw: &raw::EnvMap) -> BTreeMap<String, EnvValue> {
        let mut env = BTreeMap::new();
        for (name, value) in raw {
            if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
                let problem = Problem::new(
                    "bad-name",
                    format!("`{}` cannot be the name of an environment variable", shown(name)),
                );
                self.report(scope, &rest.key(name), problem.hint("write a map, `NAME: value`"));
            }
            let value = match value {
                raw::TextOrSecret::Text(text) => {
                    let hidden = mask::is_secret_name(name);
                    let shown = if hidden { "(hidden)".to_owned() } else { text.0.clone() };
                    self.note(scope, &rest.key(name), shown);
                    Some(EnvValue::Text(text.0.clone()))
                }
                raw::TextOrSecret::Secret(secret) => {
                    let secret = self.secret(scope, &rest.key(name), Some(secret));
                    secret.map(EnvValue::Secret)
                }
            };
            env.extend(value.map(|value| (name.clone(), value)));
        }
        env
    }
}

fn ready_text(check: &ReadyCheck) -> String {
    match check {
        ReadyCheck::Healthcheck => "true".to_owned(),
        ReadyCheck::Http { port, path } => format!("port {port} path {path}"),
        ReadyCheck::Log { pattern } => pattern.clone(),
        ReadyCheck::Exec { command } => command.join(" "),
        ReadyCheck::Exit { code } => code.to_string(),
        ReadyCheck::Steady { stay_up } => quantity::duration_text(*stay_up),
    }
}

pub(crate) fn strings(raw: &raw::TextMap) -> BTreeMap<String, String> {
    raw.iter().map(|(key, text)| (key.clone(), text.0.clone())).collect()
}
