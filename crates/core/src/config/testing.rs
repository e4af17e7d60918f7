//! How an image is tested, and how a container proves that it serves.

use super::merge::Over;
use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw as shared;
use crate::yaml::scope::Scope;
use lowtide_model::defaults;
use lowtide_model::name::AppName;
use lowtide_model::policy::{
    ComposeTest, ContainerLimits, Ready, ReadyCheck, Sidecar, TestNetwork, TestPolicy, TestSetup,
};
use std::collections::BTreeMap;

impl Check<'_> {
    /// The app's rounds of tests; none where nothing under `test` configures one.
    pub(super) fn tests(
        &mut self,
        scope: &Scope,
        app: &AppName,
        raw: Option<&raw::Test>,
        app_ready: Option<&shared::Ready>,
    ) -> Vec<TestPolicy> {
        let Some(raw) = raw else { return Vec::new() };
        let test = self.test(scope, app, raw, app_ready);
        test.map_or_else(Vec::new, |test| self.rounds(scope, raw, test))
    }

    /// `None`: limits and time-outs alone configure no test.
    fn test(
        &mut self,
        scope: &Scope,
        app: &AppName,
        raw: &raw::Test,
        app_ready: Option<&shared::Ready>,
    ) -> Option<TestPolicy> {
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
        let steps = self.steps(scope, app, &how, raw_steps);
        let tester = raw.tester.as_ref().and_then(|tester| self.tester(scope, &how, tester));
        if let (ReadyCheck::Exit { .. }, [_, ..]) = (&ready.check, raw_steps) {
            let problem = Problem::new(
                "one-of",
                "`test.steps` need a container that runs, and `exit` waits for its end",
            );
            let hint = "leave out the steps: the exit code of the image's own command is the test; or give `test.ready` another check";
            self.report(scope, &at("steps"), problem.hint(hint));
        }
        let junit = self.junit(scope, &at("junit"), raw.junit.as_ref());
        let artefacts = self.artefacts(scope, &at("artefacts"), raw.artefacts.as_deref());
        let env = self.env(scope, &at("env"), &raw.env);
        let is_configured = raw.steps.is_some() || raw.ready.is_some() || raw.compose.is_some() || junit.is_some();
        let is_configured = is_configured || raw.tester.is_some() || raw.matrix.is_some();
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
            env,
            matrix: BTreeMap::new(),
            network,
            ready,
            steps,
            tester,
            junit,
            artefacts,
            limits,
            timeout,
        })
    }

    pub(super) fn junit(&mut self, scope: &Scope, rest: &Route, raw: Option<&shared::Text>) -> Option<String> {
        let pattern = raw?.0.clone();
        if globset::Glob::new(&pattern).is_err() || !pattern.starts_with('/') {
            let problem = Problem::new("bad-pattern", format!("`{}` is not an absolute glob", shown(&pattern)));
            self.report(scope, rest, problem.hint("write it like `/results/*.xml`"));
        }
        self.note(scope, rest, pattern.clone());
        Some(pattern)
    }

    pub(super) fn artefacts(&mut self, scope: &Scope, rest: &Route, raw: Option<&[shared::Text]>) -> Vec<String> {
        let artefacts: Vec<String> = raw.iter().copied().flatten().map(|text| text.0.clone()).collect();
        for (n, path) in artefacts.iter().enumerate().filter(|(_, path)| !path.starts_with('/')) {
            let problem = Problem::new("bad-path", format!("`{}` is not an absolute path", shown(path)));
            let hint = "write the path inside the container, from `/`";
            self.report(scope, &rest.index(n), problem.hint(hint));
        }
        artefacts
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
                let first = raw.matrix.as_ref().and_then(|sets| sets.first());
                let sidecar = self.sidecar(scope, &at("sidecars").key(name), name, sidecar, first)?;
                Some((name.clone(), sidecar))
            });
            return TestSetup::Sidecars(sidecars.collect());
        };
        if !raw.sidecars.is_empty() {
            self.exclusive(scope, &at("sidecars"), &at("compose"));
        }
        TestSetup::Compose(self.compose(scope, &at("compose"), compose))
    }

    fn compose(&mut self, scope: &Scope, rest: &Route, raw: &raw::TestCompose) -> ComposeTest {
        let files: Vec<(Route, String)> = match (&raw.file, &raw.files) {
            (Some(file), _) => vec![(rest.key("file"), file.0.clone())],
            (None, Some(files)) => {
                let at = |n| rest.key("files").index(n);
                files
                    .iter()
                    .enumerate()
                    .map(|(n, file)| (at(n), file.0.clone()))
                    .collect()
            }
            (None, None) => Vec::new(),
        };
        if raw.file.is_some() && raw.files.is_some() {
            self.exclusive(scope, &rest.key("files"), &rest.key("file"));
        }
        for (at, file) in &files {
            self.inside(scope, at, file);
            self.note(scope, at, file.clone());
        }
        if let Some(service) = &raw.service {
            self.note(scope, &rest.key("service"), service.0.clone());
        }
        let env = self.env(scope, &rest.key("env"), &raw.env);
        let list = |texts: &Option<Vec<shared::Text>>| -> Vec<String> {
            texts.iter().flatten().map(|text| text.0.clone()).collect()
        };
        let profiles = list(&raw.profiles);
        for (n, profile) in profiles.iter().enumerate() {
            self.note(scope, &rest.key("profiles").index(n), profile.clone());
        }
        let allow = list(&raw.allow);
        for (n, right) in allow.iter().enumerate() {
            let at = rest.key("allow").index(n);
            if is_host_right(right) {
                self.note(scope, &at, right.clone());
            } else {
                let problem = Problem::new("bad-right", format!("`{}` is no right of the host", shown(right)));
                self.report(scope, &at, problem.hint(HOST_RIGHTS));
            }
        }
        ComposeTest {
            files: files.into_iter().map(|(_, file)| file).collect(),
            service: raw.service.as_ref().map(|service| service.0.clone()),
            profiles,
            env,
            allow: allow.into_iter().collect(),
        }
    }

    /// `set`: the first of the matrix, which stands for `${NAME}` in the image.
    fn sidecar(
        &mut self,
        scope: &Scope,
        rest: &Route,
        name: &str,
        raw: &raw::Sidecar,
        set: Option<&shared::EnvMap>,
    ) -> Option<Sidecar> {
        let dns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_' || c == '.';
        if name.is_empty() || name.len() > 63 || !name.chars().all(dns) || name.starts_with(['-', '.', '_']) {
            let problem = Problem::new(
                "bad-name",
                format!("`{}` cannot be a host name on the test's network", shown(name)),
            );
            self.report(scope, rest, problem.hint("use a-z, 0-9 and `-`"));
        }
        let ready = self.ready(scope, &rest.key("ready"), raw.ready.as_ref(), defaults::READY_TIMEOUT);
        let env = self.env(scope, &rest.key("env"), &raw.env);
        let Some(text) = &raw.image else {
            self.missing(scope, &rest.key("image"), "write `image: \"mariadb:11\"`");
            return None;
        };
        let image = self.sidecar_image(scope, &rest.key("image"), &text.0, set)?;
        self.note(scope, &rest.key("image"), text.0.clone());
        let command = raw
            .command
            .as_ref()
            .map(|command| self.command(scope, &rest.key("command"), command));
        Some(Sidecar {
            image,
            env,
            command: command.unwrap_or_default(),
            ready,
        })
    }
}

const HOST_RIGHTS: &str = "rights are `privileged`, `engine-socket`, and `capability:`, `device:`, `namespace:`, `path:`, `security-opt:`, \
                           `volume:`, `network:`, `container:` or `runtime:` with a name, as the refusal of the stack says";

/// As a refusal of a stack names it (`lowtide_compose::rights::HostRight::key`; a test of the root package compares both).
fn is_host_right(text: &str) -> bool {
    const NAMED: [&str; 9] = [
        "capability",
        "container",
        "device",
        "namespace",
        "network",
        "path",
        "runtime",
        "security-opt",
        "volume",
    ];
    match text.split_once(':') {
        Some((kind, name)) => NAMED.contains(&kind) && !name.is_empty(),
        None => ["privileged", "engine-socket"].contains(&text),
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

    #[test]
    fn a_stack_is_inside_the_repository_and_its_rights_are_named() {
        let codes = |compose: &str| {
            let text = format!(
                "version: 1\napps: {{ web: {{ source: {{ repo: \"https://git.example.org/web.git\" }}, \
                 test: {{ compose: {{ {compose} }} }} }} }}\n"
            );
            match validate::fleet(text.as_bytes()) {
                Ok(_) => Vec::new(),
                Err(problems) => problems.iter().map(|problem| problem.code).collect(),
            }
        };
        for good in [
            "",
            "file: compose.yml",
            "files: [a.yml, deep/b.yml], service: web, profiles: [test], env: { A: 1 }",
            "allow: [privileged, engine-socket, \"path:/etc/localtime\", \"capability:NET_ADMIN\", \"security-opt:seccomp=unconfined\"]",
        ] {
            assert_eq!(codes(good), Vec::<&str>::new(), "{good}");
        }
        for (bad, code) in [
            ("file: ../x.yml", "bad-path"),
            ("files: [a.yml, /x.yml]", "bad-path"),
            ("file: a.yml, files: [b.yml]", "one-of"),
            ("allow: [root]", "bad-right"),
            ("allow: [\"capability:\"]", "bad-right"),
            ("allow: [gpu]", "bad-right"),
        ] {
            assert_eq!(codes(bad), [code], "{bad}");
        }
    }
}
