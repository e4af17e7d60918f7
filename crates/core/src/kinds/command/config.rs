//! A command as a target.

use super::keys::CommandTarget;
use crate::kinds::chosen::Chosen;
use crate::kinds::command::policy::{CommandPolicy, CommandRequest, Probe};
use crate::kinds::list::TargetKind;
use crate::kinds::raw as keys;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw;
use crate::yaml::ready::strings;
use crate::yaml::scope::Scope;
use crate::yaml::url::url_problem;
use lowtide_model::defaults;
use lowtide_model::secret::SecretRef;
use std::collections::BTreeMap;

/// Variables that lowtide itself sets.
const OURS: &str = "LOWTIDE_";

impl Check<'_> {
    pub(in crate::kinds) fn command_target(&mut self, own: &Scope, raw: &keys::Target) -> Option<Chosen> {
        let command = raw.command.as_ref()?;
        self.not_for_commands(own, raw);
        let base = Route::keys("command");
        let timeout = self.limit_at(
            own,
            &base.key("timeout"),
            command.timeout.as_ref(),
            defaults::COMMAND_TIMEOUT,
        );
        self.env(own, &base.key("env"), &command.env);
        for name in command.env.keys().chain(command.secrets.keys()) {
            self.not_ours(own, &base, name, command);
        }
        let secrets = self.secrets(own, &base.key("secrets"), &command.secrets);
        let probe = raw.ready.as_ref().and_then(|ready| self.probe(own, ready));
        let back = self.program(own, &base.key("back"), command.back.as_ref());
        let Some(run) = &command.run else {
            self.missing(own, &base.key("run"), "write `command: { run: [program, argument] }`");
            return None;
        };
        let run = self.program(own, &base.key("run"), Some(run));
        let policy = CommandPolicy {
            run,
            back,
            timeout,
            env: strings(&command.env),
            secrets,
            probe,
        };
        Some(Chosen {
            host: self.first_host.clone(),
            kind: TargetKind::Command(Box::new(policy)),
            name: None,
            // One program may move many things: its environment says which.
            claims: Vec::new(),
        })
    }

    fn program(&mut self, own: &Scope, rest: &Route, raw: Option<&raw::Command>) -> Vec<String> {
        let Some(raw) = raw else { return Vec::new() };
        let command = self.command(own, rest, raw);
        self.note(own, rest, command.join(" "));
        // The directory in which lowtide was started says nothing about where the programs are.
        if command
            .first()
            .is_some_and(|program| program.contains('/') && !program.starts_with('/'))
        {
            let problem = Problem::new("bad-path", format!("`{}` is not an absolute path", shown(&command[0])));
            let hint = "write the program's absolute path, or its name alone to look for it in PATH";
            self.report(own, rest, problem.hint(hint));
        }
        command
    }

    fn not_ours(&mut self, own: &Scope, base: &Route, name: &str, command: &CommandTarget) {
        let twice = command.env.contains_key(name) && command.secrets.contains_key(name);
        let place = base.key(if command.secrets.contains_key(name) {
            "secrets"
        } else {
            "env"
        });
        if name.starts_with(OURS) {
            let problem = Problem::new("bad-name", format!("`{}` is set by lowtide itself", shown(name)));
            self.report(own, &place.key(name), problem.hint("take another name"));
        } else if twice {
            let problem = Problem::new("one-of", format!("`{}` is in `env` and in `secrets`", shown(name)));
            self.report(own, &place.key(name), problem.hint("keep one of the two"));
        }
    }

    fn secrets(
        &mut self,
        own: &Scope,
        rest: &Route,
        raw: &BTreeMap<String, raw::Secret>,
    ) -> BTreeMap<String, SecretRef> {
        let mut found = BTreeMap::new();
        for (name, secret) in raw {
            let place = rest.key(name);
            if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
                let problem = Problem::new(
                    "bad-name",
                    format!("`{}` cannot be the name of an environment variable", shown(name)),
                );
                self.report(
                    own,
                    &place,
                    problem.hint("write a map, `NAME: { file: /run/secrets/name }`"),
                );
            }
            if let Some(secret) = self.secret(own, &place, Some(secret)) {
                found.insert(name.clone(), secret);
            }
        }
        found
    }

    /// The `ready` of a command target. Nothing of it is inherited, since an app's `ready` is checked inside a
    /// container.
    fn probe(&mut self, own: &Scope, raw: &raw::Ready) -> Option<Probe> {
        let base = Route::keys("ready");
        let timeout = self.limit_at(own, &base.key("timeout"), raw.timeout.as_ref(), defaults::READY_TIMEOUT);
        let request = match (&raw.http, &raw.exec) {
            (Some(_), Some(_)) => {
                self.exclusive(own, &base.key("http"), &base.key("exec"));
                None
            }
            (Some(http), None) => self.url(own, &base.key("http"), http),
            (None, Some(exec)) => Some(CommandRequest::Exec {
                command: self.program(own, &base.key("exec"), Some(exec)),
            }),
            (None, None) => {
                if !self.is_touched(own, &base) {
                    let problem = Problem::new("one-of", "`ready` of a command needs `http` or `exec`");
                    let hint = "write `ready: { http: { url: \"https://…\" } }`, or take it out: the exit code alone decides then";
                    self.report(own, &base, problem.hint(hint));
                }
                None
            }
        };
        Some(Probe { ask: request?, timeout })
    }

    fn url(&mut self, own: &Scope, rest: &Route, raw: &raw::Http) -> Option<CommandRequest> {
        let hint = "write `http: { url: \"https://edge.example.org/healthz\" }`";
        for (key, _) in [("port", raw.port.is_some()), ("path", raw.path.is_some())]
            .into_iter()
            .filter(|(_, given)| *given)
        {
            let problem = Problem::new(
                "not-for-commands",
                format!("`{rest}.{key}` is for a request inside a container"),
            );
            self.report(own, &rest.key(key), problem.hint(hint));
        }
        let place = rest.key("url");
        let Some(url) = &raw.url else {
            self.missing(own, &place, hint);
            return None;
        };
        let problem = match url.0.split_once("://") {
            Some((scheme, tail)) => url_problem(scheme, tail, &["http", "https"]),
            None => Some(Problem::new(
                "bad-url",
                format!("`{}` is not an address", shown(&url.0)),
            )),
        };
        let spaced = || {
            url.0
                .contains(|c: char| c.is_whitespace() || c.is_control())
                .then(|| Problem::new("bad-url", format!("`{}` holds spaces", shown(&url.0))))
        };
        if let Some(problem) = problem.or_else(spaced) {
            self.report(own, &place, problem.hint(hint));
            return None;
        }
        self.note(own, &place, url.0.clone());
        Some(CommandRequest::Http { url: url.0.clone() })
    }

    fn not_for_commands(&mut self, own: &Scope, raw: &keys::Target) {
        let inside = "a command has no container to run it in: do it in the command itself";
        let ready = raw.ready.as_ref();
        let probe = "ask by `http: { url: … }` or `exec`, or leave it to the exit code";
        let given = [
            ("before", raw.before.is_some(), inside),
            ("after", raw.after.is_some(), inside),
            (
                "stop_timeout",
                raw.stop_timeout.is_some(),
                "its own limit is `command.timeout`",
            ),
            (
                "unhealthy",
                raw.unhealthy.is_some(),
                "no health check runs before the command",
            ),
            (
                "order",
                raw.order.is_some(),
                "what runs first is the command's own affair",
            ),
            ("router", raw.router.is_some(), "a command notifies its own router"),
            (
                "preflight",
                raw.preflight.is_some(),
                "a command has no container to try out",
            ),
            (
                "ready.healthcheck",
                ready.is_some_and(|ready| ready.healthcheck.is_some()),
                probe,
            ),
            ("ready.log", ready.is_some_and(|ready| ready.log.is_some()), probe),
            ("ready.exit", ready.is_some_and(|ready| ready.exit.is_some()), probe),
            (
                "ready.stay_up",
                ready.is_some_and(|ready| ready.stay_up.is_some()),
                probe,
            ),
        ];
        self.not_for(own, "not-for-commands", "a command", &given);
    }
}
