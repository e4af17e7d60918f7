//! What is done to the containers of a test: its steps, its tester, and the sets of variables of its matrix.

use super::raw;
use crate::yaml::check::{Check, unknown};
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw as shared;
use crate::yaml::raw::TextOrSecret;
use crate::yaml::scope::Scope;
use jiff::SignedDuration;
use lowtide_model::defaults;
use lowtide_model::image::Reference;
use lowtide_model::name::AppName;
use lowtide_model::policy::{StepAction, TestPolicy, TestSetup, TestStep, Tester, TesterFrom};

impl Check<'_> {
    pub(super) fn steps(
        &mut self,
        scope: &Scope,
        app: &AppName,
        how: &TestSetup,
        raw: &[raw::TestStep],
    ) -> Vec<TestStep> {
        let step = |(n, step): (usize, &raw::TestStep)| {
            let here = Route::keys("test.steps").index(n);
            let step = self.step(scope, &here, step)?;
            Some(self.placed(scope, &here, app, how, step))
        };
        raw.iter().enumerate().filter_map(step).collect()
    }

    fn step(&mut self, scope: &Scope, rest: &Route, raw: &raw::TestStep) -> Option<TestStep> {
        let mut service = raw.service.as_ref().map(|service| service.0.clone());
        let action = match (&raw.exec, &raw.restart, &raw.http, &raw.wait, &raw.copy) {
            (Some(command), None, None, None, None) => StepAction::Exec {
                command: self.command(scope, &rest.key("exec"), command),
            },
            (None, Some(raw::Empty {}), None, None, None) => StepAction::Restart,
            (None, None, Some(http), None, None) => {
                let as_http = shared::Http {
                    port: http.port,
                    path: http.path.clone(),
                    url: None,
                };
                let (port, path) = self.http(scope, &rest.key("http"), &as_http);
                StepAction::Http {
                    port,
                    path,
                    status: http.status.unwrap_or(defaults::STEP_STATUS),
                }
            }
            (None, None, None, Some(ready), None) => {
                let here = rest.key("wait");
                StepAction::Wait(self.ready(scope, &here, Some(ready), defaults::READY_TIMEOUT))
            }
            (None, None, None, None, Some(copy)) => {
                let (action, of) = self.copy(scope, &rest.key("copy"), copy)?;
                if of.is_some() && service.is_some() {
                    self.exclusive(scope, &rest.key("service"), &rest.key("copy"));
                }
                service = of.or(service);
                action
            }
            _ if self.is_touched(scope, rest) => return None,
            _ => {
                let problem = Problem::new(
                    "one-of",
                    "a step is exactly one of `exec`, `restart`, `http`, `wait` and `copy`",
                );
                self.report(scope, rest, problem.hint("begin each step with a `- ` of its own"));
                return None;
            }
        };
        Some(TestStep {
            action,
            service,
            timeout: self.own_timeout(scope, &rest.key("timeout"), raw.timeout.as_ref()),
        })
    }

    fn own_timeout(&mut self, scope: &Scope, rest: &Route, raw: Option<&shared::Text>) -> Option<SignedDuration> {
        raw.map(|text| self.limit_at(scope, rest, Some(text), defaults::TEST_TIMEOUT))
    }

    /// One side is a container, `/path` or `service:/path`; the other is the repository or the artefacts. Which service it names.
    fn copy(&mut self, scope: &Scope, rest: &Route, raw: &raw::Copy) -> Option<(StepAction, Option<String>)> {
        let hint = "into a container: `{ from: fixtures/a.sql, to: /tmp/a.sql }`; out of one: `{ from: /var/log/app.log, to: app.log }`; \
                    of a sidecar: `db:/tmp/a.sql`";
        let (Some(from), Some(to)) = (&raw.from, &raw.to) else {
            self.missing(scope, &rest.key(if raw.from.is_none() { "from" } else { "to" }), hint);
            return None;
        };
        match (in_container(&from.0), in_container(&to.0)) {
            (None, Some((service, path))) => {
                self.inside(scope, &rest.key("from"), &from.0);
                let (from, to) = (from.0.trim_end_matches('/').to_owned(), path.to_owned());
                Some((StepAction::CopyIn { from, to }, service.map(ToOwned::to_owned)))
            }
            (Some((service, path)), None) => {
                if to.0.split('/').any(|part| part == "..") || to.0.contains(['\\', '\0', '\n']) {
                    let problem = Problem::new("bad-path", format!("`{}` leaves the artefacts", shown(&to.0)));
                    self.report(scope, &rest.key("to"), problem.hint("write a path without `..`"));
                }
                let (from, to) = (path.to_owned(), to.0.clone());
                Some((StepAction::CopyOut { from, to }, service.map(ToOwned::to_owned)))
            }
            (Some(_), Some(_)) | (None, None) => {
                let problem = Problem::new("one-of", format!("exactly one side of `{rest}` is in a container"));
                self.report(scope, rest, problem.hint(hint));
                None
            }
        }
    }

    /// A step whose service is the app itself has none. Services of a compose file are known once it is read.
    fn placed(&mut self, scope: &Scope, rest: &Route, app: &AppName, how: &TestSetup, mut step: TestStep) -> TestStep {
        match (how, &step.service) {
            (TestSetup::Sidecars(_), Some(name)) if name == app.as_str() => step.service = None,
            (TestSetup::Sidecars(sidecars), Some(name)) if !sidecars.contains_key(name) => {
                let names: Vec<&str> = sidecars.keys().map(String::as_str).collect();
                self.report(
                    scope,
                    &rest.key("service"),
                    unknown("unknown-sidecar", "sidecar", name, &names),
                );
            }
            (TestSetup::Sidecars(_) | TestSetup::Compose(_), _) => {}
        }
        step
    }

    pub(super) fn tester(&mut self, scope: &Scope, how: &TestSetup, raw: &raw::Tester) -> Option<Tester> {
        let here = Route::keys("test.tester");
        let from = match (&raw.image, &raw.service) {
            (Some(text), None) => {
                let image = self.image(scope, &here.key("image"), &text.0);
                self.note(scope, &here.key("image"), text.0.clone());
                image.map(TesterFrom::Image)
            }
            (None, Some(service)) => {
                self.note(scope, &here.key("service"), service.0.clone());
                if let TestSetup::Sidecars(_) = how {
                    let problem = Problem::new("one-of", "a tester that is a service needs a compose file");
                    let hint = "write `test.compose: {}`, or give the tester an `image`";
                    self.report(scope, &here.key("service"), problem.hint(hint));
                }
                Some(TesterFrom::Service(service.0.clone()))
            }
            (Some(_), Some(_)) => {
                self.exclusive(scope, &here.key("service"), &here.key("image"));
                None
            }
            (None, None) => {
                self.missing(
                    scope,
                    &here.key("image"),
                    "write `image: ghcr.io/owner/e2e:1`, or `service: e2e`",
                );
                None
            }
        };
        let command = raw.command.as_ref();
        let command = command.map(|command| self.command(scope, &here.key("command"), command));
        Some(Tester {
            command: command.unwrap_or_default(),
            env: self.env(scope, &here.key("env"), &raw.env),
            junit: self.junit(scope, &here.key("junit"), raw.junit.as_ref()),
            artefacts: self.artefacts(scope, &here.key("artefacts"), raw.artefacts.as_deref()),
            timeout: self.own_timeout(scope, &here.key("timeout"), raw.timeout.as_ref()),
            from: from?,
        })
    }

    /// The round itself, or one for each set of the matrix.
    pub(super) fn rounds(&mut self, scope: &Scope, raw: &raw::Test, test: TestPolicy) -> Vec<TestPolicy> {
        let here = Route::keys("test.matrix");
        let Some(sets) = &raw.matrix else { return vec![test] };
        if sets.is_empty() {
            let problem = Problem::new("empty-list", "`test.matrix` has no set");
            self.report(
                scope,
                &here,
                problem.hint("write `- { DB_VERSION: \"11\" }`, or take the key out"),
            );
        }
        let mut rounds = Vec::with_capacity(sets.len());
        for (n, set) in sets.iter().enumerate() {
            let mut round = test.clone();
            round.matrix = self.env(scope, &here.index(n), set);
            let matrix = || round.matrix.clone().into_iter();
            round.env.extend(matrix());
            if let Some(tester) = &mut round.tester {
                tester.env.extend(matrix());
            }
            match &mut round.how {
                TestSetup::Compose(compose) => compose.env.extend(matrix()),
                // The images of the first set are checked already.
                TestSetup::Sidecars(_) if n == 0 => {}
                TestSetup::Sidecars(sidecars) => {
                    for (name, sidecar) in sidecars {
                        let image = raw.sidecars.get(name).and_then(|raw| raw.image.as_ref());
                        let Some(image) = image.filter(|image| image.0.contains("${")) else {
                            continue;
                        };
                        let at = Route::keys("test.sidecars").key(name).key("image");
                        if let Some(image) = self.sidecar_image(scope, &at, &image.0, Some(set)) {
                            sidecar.image = image;
                        }
                    }
                }
            }
            rounds.push(round);
        }
        rounds
    }

    /// `set`: what stands for `${NAME}`.
    pub(super) fn sidecar_image(
        &mut self,
        scope: &Scope,
        rest: &Route,
        text: &str,
        set: Option<&shared::EnvMap>,
    ) -> Option<Reference> {
        match filled(text, set) {
            Ok(text) => self.image(scope, rest, &text),
            Err(name) => {
                let problem = Problem::new("unknown-variable", format!("`${{{}}}` has no value", shown(&name)));
                let hint = "each set of `test.matrix` gives it one, as a text: `- { DB_VERSION: \"11\" }`";
                self.report(scope, rest, problem.hint(hint));
                None
            }
        }
    }

    fn image(&mut self, scope: &Scope, rest: &Route, text: &str) -> Option<Reference> {
        match text.parse::<Reference>() {
            Ok(image) => Some(image),
            Err(why) => {
                let problem = Problem::new("bad-image", format!("`{}` is not an image: {}", shown(text), why.why));
                self.report(
                    scope,
                    rest,
                    problem.hint("write it like `mariadb:11` or `ghcr.io/owner/name:tag`"),
                );
                None
            }
        }
    }
}

/// `/path` or `service:/path` (as `docker compose cp` has it); `None`: a path that is in no container.
fn in_container(text: &str) -> Option<(Option<&str>, &str)> {
    if text.starts_with('/') {
        return Some((None, text));
    }
    let (service, path) = text.split_once(":/")?;
    Some((Some(service), &text[text.len() - path.len() - 1..]))
}

/// The text with the values of the set; else the name that has none there.
fn filled(text: &str, set: Option<&shared::EnvMap>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| after.to_owned())?;
        match set.and_then(|set| set.get(name)) {
            Some(TextOrSecret::Text(value)) => out.extend([before, &value.0]),
            Some(TextOrSecret::Secret(_)) | None => return Err(name.to_owned()),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
