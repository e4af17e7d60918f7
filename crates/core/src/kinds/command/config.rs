//! A command as a target.

use crate::kinds::chosen::Chosen;
use crate::kinds::command::policy::{CommandPolicy, CommandRequest, Probe};
use crate::kinds::list::TargetKind;
use crate::kinds::raw as keys;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw;
use crate::yaml::scope::Scope;
use crate::yaml::url::url_problem;
use lowtide_model::defaults;

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
        let env = self.env(own, &base.key("env"), &command.env);
        for name in command.env.keys() {
            self.not_ours(own, &base.key("env"), name);
        }
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
            env,
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

    fn not_ours(&mut self, own: &Scope, env: &Route, name: &str) {
        if name.starts_with(OURS) {
            let problem = Problem::new("bad-name", format!("`{}` is set by lowtide itself", shown(name)));
            self.report(own, &env.key(name), problem.hint("take another name"));
        }
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
