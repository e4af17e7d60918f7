//! How an image is tested, and how a container proves that it serves.

use super::merge::Over;
use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw as shared;
use crate::yaml::ready::strings;
use crate::yaml::scope::Scope;
use lowtide_model::defaults;
use lowtide_model::image::Reference;
use lowtide_model::policy::{
    ContainerLimits, Ready, ReadyCheck, Sidecar, TestNetwork, TestPolicy, TestSetup, TestStep,
};

impl Check<'_> {
    /// `None`: nothing under `test` configures a test; limits and time-outs alone do not.
    pub(super) fn test(
        &mut self,
        scope: &Scope,
        raw: Option<&raw::Test>,
        app_ready: Option<&shared::Ready>,
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
        let checks = app_ready.map(|ready| shared::Ready {
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
        let is_configured = raw.steps.is_some() || raw.ready.is_some() || raw.compose.is_some() || junit.is_some();
        let is_configured = is_configured || !raw.sidecars.is_empty() || !raw.env.is_empty() || !artefacts.is_empty();
        if !is_configured {
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

    fn test_ready(&mut self, scope: &Scope, raw: Option<&shared::Ready>) -> Ready {
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
        let mut word = |key: &str, raw: Option<&shared::Text>| {
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
                let as_http = shared::Http {
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
