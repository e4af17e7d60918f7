//! What every part of the validation shares: the tree for places, and the list of problems.

use super::age::Encrypted;
use super::diagnostic::{Problem, Route, Span, shown};
use super::quantity;
use super::raw::{Command, Text};
use super::scope::{Scope, Setting};
use super::tree::Node;
use super::url::url_problem;
use super::words::{closest, list};
use jiff::civil::Time;
use lowtide_model::image::{Reference, Repository};
use lowtide_model::name::HostName;
use lowtide_model::policy::EngineAddress;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

pub(crate) struct Check<'a> {
    pub(crate) tree: &'a Node,
    pub(crate) broken: &'a BTreeSet<Route>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) hosts: BTreeMap<HostName, EngineAddress>,
    /// The host that is meant when none is named.
    pub(crate) first_host: HostName,
    /// What some target already selects, and where the text says so.
    pub(crate) targets: BTreeMap<String, (Route, Span)>,
    pub(crate) settings: Vec<Setting>,
    /// Record each setting of the current app with its origin.
    pub(crate) tracing: bool,
    /// Cron expressions that are known to fire at some time. Apps often share one.
    pub(crate) good_crons: BTreeSet<String>,
    pub(crate) encrypted: Encrypted<'a>,
}

impl Check<'_> {
    /// Is a problem already known at this place, around it or inside it? Then problems that follow from it are not
    /// reported.
    pub(crate) fn is_broken(&self, route: &Route) -> bool {
        let inside = self
            .broken
            .range(route..)
            .next()
            .is_some_and(|b| b.0.starts_with(&route.0));
        inside || (0..route.0.len()).any(|n| self.broken.contains(&Route(route.0[..n].to_vec())))
    }

    pub(crate) fn name<N: FromStr>(&mut self, scope: &Scope, rest: &Route, text: &str) -> Option<N> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let problem = Problem::new("bad-name", format!("`{}` is not a valid name", shown(text)));
            let hint = "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit";
            self.report(scope, rest, problem.hint(hint));
        }
        parsed
    }

    /// A host by name; the first one when none is named.
    pub(crate) fn host(&mut self, scope: &Scope, rest: &Route, raw: Option<&Text>) -> HostName {
        let Some(text) = raw else {
            self.note(scope, rest, self.first_host.to_string());
            return self.first_host.clone();
        };
        if let Some(host) = text.0.parse().ok().filter(|name| self.hosts.contains_key(name)) {
            self.note(scope, rest, text.0.clone());
            return host;
        }
        // A host whose own entry is wrong is reported there.
        if !self.is_broken(&Route::keys("hosts").key(&text.0)) {
            let names: Vec<&str> = self.hosts.keys().map(HostName::as_str).collect();
            let problem = unknown("unknown-host", "host", &text.0, &names);
            self.report(scope, rest, problem);
        }
        self.first_host.clone()
    }

    pub(crate) fn repository(&mut self, scope: &Scope, rest: &Route, text: &str) -> Option<Repository> {
        match text.parse::<Repository>() {
            Ok(repository) => Some(repository),
            Err(why) => {
                let tagged = text.parse::<Reference>().is_ok();
                let hint = if tagged {
                    "take the tag off; tags are made from `publish.tag`"
                } else {
                    "write it like `ghcr.io/owner/name`"
                };
                let problem = Problem::new(
                    "bad-image",
                    format!("`{}` is not an image repository: {}", shown(text), why.why),
                );
                self.report(scope, rest, problem.hint(hint));
                None
            }
        }
    }

    pub(crate) fn addresses(&mut self, scope: &Scope, rest: &Route, raw: Option<&Vec<Text>>) -> Vec<String> {
        let raw: &[Text] = raw.map_or(&[], Vec::as_slice);
        for (n, text) in raw.iter().enumerate() {
            self.address(scope, &rest.index(n), &text.0);
        }
        raw.iter().map(|text| text.0.clone()).collect()
    }

    pub(crate) fn address(&mut self, scope: &Scope, rest: &Route, text: &str) {
        // The mail library's own rule, so that nothing is accepted here that cannot be sent later.
        let plain = text.trim() == text
            && text.is_ascii()
            && text.contains('@')
            && !text.contains(['\n', ',', '<', '>', ' ', '"']);
        let good = plain
            && text.split_once('@').is_some_and(|(user, domain)| {
                let labels = |part: &str| part.split('.').all(|label| !label.is_empty());
                labels(user)
                    && labels(domain)
                    && domain
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
            });
        if !good {
            let problem = Problem::new("bad-email", format!("`{}` is not a mail address", shown(text)));
            self.report(scope, rest, problem.hint("write the bare address: `name@example.org`"));
        }
    }

    pub(crate) fn command(&mut self, scope: &Scope, rest: &Route, raw: &Command) -> Vec<String> {
        if raw.0.first().is_none_or(|program| program.0.is_empty()) {
            let problem = Problem::new("empty-list", format!("`{rest}` names no program"));
            self.report(scope, rest, problem.hint("write `[program, argument]`"));
        }
        raw.0.iter().map(|word| word.0.clone()).collect()
    }

    /// Two keys that exclude each other stand in one layer; both places are shown.
    pub(crate) fn exclusive(&mut self, scope: &Scope, one: &Route, other: &Route) {
        let (Some((_, a, a_span)), Some((_, b, b_span))) = (self.locate(scope, one), self.locate(scope, other)) else {
            return;
        };
        let (a_span, b_span) = (
            self.tree.key_place(&a).unwrap_or(a_span),
            self.tree.key_place(&b).unwrap_or(b_span),
        );
        let problem =
            Problem::new("one-of", format!("`{one}` and `{other}` exclude each other")).hint("keep one of the two");
        self.problems.push(problem.at(&b, b_span).also("and here", &a, a_span));
    }

    /// Every element must be there: a list with holes means that something was left out by mistake.
    pub(crate) fn words(&mut self, scope: &Scope, rest: &Route, raw: &[Text]) -> Vec<String> {
        if raw.iter().any(|word| word.0.is_empty()) || raw.is_empty() {
            let problem = Problem::new("empty-list", format!("`{rest}` holds nothing"));
            self.report(scope, rest, problem.hint("name at least one, or take the key out"));
        }
        raw.iter().map(|word| word.0.clone()).collect()
    }

    /// A user name and a password come together.
    pub(crate) fn both(&mut self, top: &Scope, rest: &Route, username: bool, password: bool) {
        let (given, lacking) = match (username, password) {
            (true, false) => ("username", "password"),
            (false, true) => ("password", "username"),
            (true, true) | (false, false) => return,
        };
        if !self.is_broken(&rest.key(lacking)) {
            let problem = Problem::new("missing-key", format!("`{rest}` has a `{given}` and no `{lacking}`"));
            let hint = if password {
                "add `username: NAME`"
            } else {
                "add `password: { env: NAME }` or `password: { file: PATH }`"
            };
            self.report(top, &rest.key(given), problem.hint(hint));
        }
    }

    /// The base URL of a web API: https, or http on loopback.
    pub(crate) fn https(&mut self, scope: &Scope, rest: &Route, text: &str) {
        let problem = match text.split_once("://") {
            Some((scheme, tail)) => url_problem(scheme, tail, &["https"]),
            None => Some(
                Problem::new("bad-url", format!("`{}` is not a URL", shown(text))).hint("it begins with `https://`"),
            ),
        };
        if let Some(problem) = problem {
            self.report(scope, rest, problem);
        }
    }

    pub(crate) fn time(&mut self, scope: &Scope, rest: &Route, text: &str) -> Option<Time> {
        let time = quantity::time(text);
        if time.is_none() {
            let problem = Problem::new("bad-time", format!("`{}` is not a time of day", shown(text)));
            self.report(
                scope,
                rest,
                problem.hint("write `HH:MM` from `00:00` to `23:59`, in quotes"),
            );
        }
        time
    }
}

/// A name that refers to nothing.
pub(crate) fn unknown(code: &'static str, what: &str, name: &str, known: &[&str]) -> Problem {
    let problem = Problem::new(code, format!("there is no {what} `{}`", shown(name)));
    if let Some(close) = closest(name, known.iter().copied()) {
        return problem.hint(format!("did you mean `{close}`?"));
    }
    if known.is_empty() {
        return problem.hint(format!("no {what} is defined"));
    }
    let listed = list(&known[..known.len().min(12)]);
    problem.hint(if known.len() == 1 {
        format!("the only {what} is {listed}")
    } else {
        format!("the {what}s are {listed}")
    })
}
