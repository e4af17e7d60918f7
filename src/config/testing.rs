//! How an image is tested, and how a container proves that it serves.

use super::check::Check;
use super::defaults;
use super::diagnostic::{Problem, Route, shown};
use super::merge::Over;
use super::raw;
use super::scope::Scope;
use crate::model::image::Reference;
use crate::model::policy::{ContainerLimits, Ready, ReadyCheck, Sidecar, TestNetwork, TestPolicy, TestSetup, TestStep};
use jiff::SignedDuration;
use std::collections::BTreeMap;

impl Check<'_> {
    /// `None`: nothing under `test` asks for a test; limits and time-outs alone do not.
    pub(super) fn test(
        &mut self,
        scope: &Scope,
        raw: Option<&raw::Test>,
        app_ready: Option<&raw::Ready>,
    ) -> Option<TestPolicy> {
        let raw = raw?;
        let at = |key: &str| Route::keys("test").key(key);
        let limits = self.test_limits(scope, raw.limits.as_ref());
        let timeout = self.limit(scope, "test.timeout", raw.timeout.as_ref(), defaults::TEST_TIMEOUT);
        let network = match raw.network {
            Some(raw::Network::None) => TestNetwork::None,
            Some(raw::Network::Egress) | None => TestNetwork::Egress,
        };
        let how = self.setup(scope, raw);
        // The app's `ready` check also applies with the testing tools on; only its timeout is longer.
        let checks = app_ready.map(|ready| raw::Ready {
            timeout: None,
            ..ready.clone()
        });
        let ready = raw.ready.clone().over(checks);
        let ready = self.test_ready(scope, ready.as_ref());
        let raw_steps: &[raw::TestStep] = raw.steps.as_deref().unwrap_or_default();
        let steps = raw_steps
            .iter()
            .enumerate()
            .filter_map(|(n, step)| self.step(scope, &at("steps").index(n), step))
            .collect();
        if let (ReadyCheck::Exit { .. }, [_, ..]) = (&ready.check, raw_steps) {
            let problem = Problem::new(
                "one-of",
                "`test.steps` need a container that runs, and `exit` waits for its end",
            );
            let hint = "leave out the steps: the exit code of the image's own command is the test; or give `test.ready` another check";
            self.report(scope, &at("steps"), problem.hint(hint));
        }
        let junit = raw.junit.as_ref().map(|text| text.0.clone());
        if let Some(pattern) = &junit {
            if globset::Glob::new(pattern).is_err() || !pattern.starts_with('/') {
                let problem = Problem::new("bad-pattern", format!("`{}` is not an absolute glob", shown(pattern)));
                self.report(scope, &at("junit"), problem.hint("write it like `/results/*.xml`"));
            }
            self.note(scope, &at("junit"), pattern.clone());
        }
        let artefacts: Vec<String> = raw.artefacts.iter().flatten().map(|text| text.0.clone()).collect();
        for (n, path) in artefacts.iter().enumerate().filter(|(_, path)| !path.starts_with('/')) {
            let problem = Problem::new("bad-path", format!("`{}` is not an absolute path", shown(path)));
            self.report(
                scope,
                &at("artefacts").index(n),
                problem.hint("write the path inside the container, from `/`"),
            );
        }
        self.env(scope, &at("env"), &raw.env);
        let asked = raw.steps.is_some() || raw.ready.is_some() || raw.compose.is_some() || junit.is_some();
        let asked = asked || !raw.sidecars.is_empty() || !raw.env.is_empty() || !artefacts.is_empty();
        if !asked {
            return None;
        }
        self.note(
            scope,
            &at("network"),
            if network == TestNetwork::None { "none" } else { "egress" },
        );
        Some(TestPolicy {
            how,
            env: strings(&raw.env),
            network,
            ready,
            steps,
            junit,
            artefacts,
            limits,
            timeout,
        })
    }

    fn test_ready(&mut self, scope: &Scope, raw: Option<&raw::Ready>) -> Ready {
        let raw = raw.cloned().unwrap_or_default();
        let timeout = self.limit(
            scope,
            "test.ready.timeout",
            raw.timeout.as_ref(),
            defaults::TEST_READY_TIMEOUT,
        );
        let check = self.ready_check(&scope.within("test"), &Route::keys("ready"), &raw);
        Ready { check, timeout }
    }

    fn test_limits(&mut self, scope: &Scope, raw: Option<&raw::ContainerLimits>) -> ContainerLimits {
        let raw = raw.cloned().unwrap_or_default();
        let default = defaults::TEST_LIMITS;
        let limits = ContainerLimits {
            memory: self.size(scope, "test.limits.memory", raw.memory.as_ref(), default.memory),
            cpus: raw.cpus.unwrap_or(default.cpus),
            pids: raw.pids.unwrap_or(default.pids),
            output: self.size(scope, "test.limits.output", raw.output.as_ref(), default.output),
            disk: self.size(scope, "test.limits.disk", raw.disk.as_ref(), default.disk),
        };
        // Engines refuse less (moby: 6 MiB), with a message that names no app.
        if limits.memory < 6 << 20 {
            let problem = Problem::new("out-of-range", "`test.limits.memory` must be at least 6MiB");
            self.report(scope, &Route::keys("test.limits.memory"), problem);
        }
        self.note(scope, &Route::keys("test.limits.cpus"), limits.cpus.to_string());
        self.note(scope, &Route::keys("test.limits.pids"), limits.pids.to_string());
        limits
    }

    fn setup(&mut self, scope: &Scope, raw: &raw::Test) -> TestSetup {
        let at = |key: &str| Route::keys("test").key(key);
        let Some(compose) = &raw.compose else {
            let sidecars = raw.sidecars.iter().filter_map(|(name, sidecar)| {
                let sidecar = self.sidecar(scope, &at("sidecars").key(name), name, sidecar)?;
                Some((name.clone(), sidecar))
            });
            return TestSetup::Sidecars(sidecars.collect());
        };
        if !raw.sidecars.is_empty() {
            self.exclusive(scope, &at("sidecars"), &at("compose"));
        }
        let mut word = |key: &str, raw: Option<&raw::Text>| {
            let rest = at("compose").key(key);
            match raw {
                Some(text) => self.note(scope, &rest, text.0.clone()),
                None => self.missing(scope, &rest, "write `compose: { file: compose.yml, service: web }`"),
            }
            raw.map(|text| text.0.clone()).unwrap_or_default()
        };
        let (file, service) = (
            word("file", compose.file.as_ref()),
            word("service", compose.service.as_ref()),
        );
        self.inside(scope, &at("compose").key("file"), &file);
        TestSetup::Compose { file, service }
    }

    fn sidecar(&mut self, scope: &Scope, rest: &Route, name: &str, raw: &raw::Sidecar) -> Option<Sidecar> {
        let dns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_' || c == '.';
        if name.is_empty() || name.len() > 63 || !name.chars().all(dns) || name.starts_with(['-', '.', '_']) {
            let problem = Problem::new(
                "bad-name",
                format!("`{}` cannot be a host name on the test's network", shown(name)),
            );
            self.report(scope, rest, problem.hint("use a-z, 0-9 and `-`"));
        }
        let ready = self.ready(scope, &rest.key("ready"), raw.ready.as_ref(), defaults::READY_TIMEOUT);
        self.env(scope, &rest.key("env"), &raw.env);
        let Some(text) = &raw.image else {
            self.missing(scope, &rest.key("image"), "write `image: \"mariadb:11\"`");
            return None;
        };
        match text.0.parse::<Reference>() {
            Ok(image) => {
                self.note(scope, &rest.key("image"), text.0.clone());
                let command = raw
                    .command
                    .as_ref()
                    .map(|command| self.command(scope, &rest.key("command"), command));
                Some(Sidecar {
                    image,
                    env: strings(&raw.env),
                    command: command.unwrap_or_default(),
                    ready,
                })
            }
            Err(why) => {
                let problem = Problem::new(
                    "bad-image",
                    format!("`{}` is not an image: {}", shown(&text.0), why.why),
                );
                self.report(
                    scope,
                    &rest.key("image"),
                    problem.hint("write it like `mariadb:11` or `ghcr.io/owner/name:tag`"),
                );
                None
            }
        }
    }

    fn step(&mut self, scope: &Scope, rest: &Route, raw: &raw::TestStep) -> Option<TestStep> {
        match (&raw.exec, &raw.restart, &raw.http) {
            (Some(command), None, None) => Some(TestStep::Exec {
                command: self.command(scope, &rest.key("exec"), command),
            }),
            (None, Some(raw::Empty {}), None) => Some(TestStep::Restart),
            (None, None, Some(http)) => {
                let as_http = raw::Http {
                    port: http.port,
                    path: http.path.clone(),
                    url: None,
                };
                let (port, path) = self.http(scope, &rest.key("http"), &as_http);
                Some(TestStep::Http {
                    port,
                    path,
                    status: http.status.unwrap_or(defaults::STEP_STATUS),
                })
            }
            _ if self.is_touched(scope, rest) => None,
            _ => {
                let problem = Problem::new("one-of", "a step is exactly one of `exec`, `restart` and `http`");
                self.report(scope, rest, problem.hint("begin each step with a `- ` of its own"));
                None
            }
        }
    }

    fn http(&mut self, scope: &Scope, rest: &Route, raw: &raw::Http) -> (u16, String) {
        let path = raw.path.as_ref().map_or("/", |text| text.0.as_str()).to_owned();
        if raw.url.is_some() {
            let problem = Problem::new(
                "not-for-containers",
                format!("`{rest}.url` has no meaning for a container"),
            );
            let hint = "it is asked from beside the container: write `http: { port: 80, path: / }`";
            self.report(scope, &rest.key("url"), problem.hint(hint));
        } else if raw.port.is_none() {
            self.missing(scope, &rest.key("port"), "write `http: { port: 80, path: / }`");
        }
        if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let problem = Problem::new("bad-path", format!("`{}` is not a path to ask for", shown(&path)));
            self.report(
                scope,
                &rest.key("path"),
                problem.hint("it begins with `/` and holds no spaces"),
            );
        }
        (raw.port.unwrap_or_default(), path)
    }

    pub(super) fn ready(
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

    fn ready_check(&mut self, scope: &Scope, rest: &Route, raw: &raw::Ready) -> ReadyCheck {
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

    /// Environment names that a container cannot have.
    pub(super) fn env(&mut self, scope: &Scope, rest: &Route, raw: &raw::TextMap) {
        for (name, value) in raw {
            if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
                let problem = Problem::new(
                    "bad-name",
                    format!("`{}` cannot be the name of an environment variable", shown(name)),
                );
                self.report(scope, &rest.key(name), problem.hint("write a map, `NAME: value`"));
            }
            let hidden = super::mask::is_secret_name(name);
            self.note(
                scope,
                &rest.key(name),
                if hidden { "(hidden)".to_owned() } else { value.0.clone() },
            );
        }
    }
}

fn ready_text(check: &ReadyCheck) -> String {
    match check {
        ReadyCheck::Healthcheck => "true".to_owned(),
        ReadyCheck::Http { port, path } => format!("port {port} path {path}"),
        ReadyCheck::Log { pattern } => pattern.clone(),
        ReadyCheck::Exec { command } => command.join(" "),
        ReadyCheck::Exit { code } => code.to_string(),
        ReadyCheck::Steady { stay_up } => super::quantity::duration_text(*stay_up),
    }
}

pub(super) fn strings(raw: &raw::TextMap) -> BTreeMap<String, String> {
    raw.iter().map(|(key, text)| (key.clone(), text.0.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::validate;

    /// The codes of what is wrong with a sidecar of this name.
    fn codes(name: &str) -> Vec<&'static str> {
        let text = format!(
            "version: 1\napps: {{ web: {{ source: {{ repo: \"https://git.example.org/web.git\" }}, \
             test: {{ sidecars: {{ \"{name}\": {{ image: \"mariadb:11\" }} }} }} }} }}\n"
        );
        match validate::fleet(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(|problem| problem.code).collect(),
        }
    }

    #[test]
    fn a_sidecar_is_found_by_its_name() {
        let label = "a".repeat(63);
        for name in ["db", "db-1", "my_db", "db.internal", label.as_str()] {
            assert_eq!(codes(name), Vec::<&str>::new(), "{name}");
        }
        let long = format!("{label}a");
        for name in ["", "DB", "d b", "-db", ".db", "_db", "d\u{e4}", long.as_str()] {
            assert_eq!(codes(name), ["bad-name"], "{name}");
        }
    }
}
