//! Which kind of target an entry of `rollout` is: exactly one of the keys that select something.

use crate::kinds::list::TargetKind;
use crate::kinds::raw as keys;
use crate::model::name::HostName;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw::Text;
use crate::yaml::scope::Scope;

/// What a target is, as far as its kind reads it.
pub(crate) struct Chosen {
    pub(crate) host: HostName,
    pub(crate) kind: TargetKind,
    /// Its name unless the configuration gives one. `None`: nothing names it.
    pub(crate) name: Option<String>,
    pub(crate) claims: Vec<Claim>,
}

/// Something that only one target may move.
pub(crate) struct Claim {
    pub(crate) id: String,
    /// For people.
    pub(crate) words: String,
    pub(crate) at: Route,
    pub(crate) within: Within,
}

/// Where there is only one of it.
#[derive(Clone, Copy)]
pub(crate) enum Within {
    Engine,
    Fleet,
}

/// The keys that select something, and the kind each belongs to.
const KEYS: [(&str, Read, IsGiven); 7] = [
    (
        "container",
        |check, own, raw| check.containers(own, raw),
        |raw| raw.container.is_some(),
    ),
    (
        "label",
        |check, own, raw| check.containers(own, raw),
        |raw| raw.label.is_some(),
    ),
    (
        "compose",
        |check, own, raw| check.containers(own, raw),
        |raw| raw.compose.is_some(),
    ),
    (
        "service",
        |check, own, raw| check.services(own, raw),
        |raw| raw.service.is_some(),
    ),
    (
        "stack",
        |check, own, raw| check.services(own, raw),
        |raw| raw.stack.is_some(),
    ),
    (
        "command",
        |check, own, raw| check.command_target(own, raw),
        |raw| raw.command.is_some(),
    ),
    (
        "self",
        |check, own, raw| check.own_container(own, raw),
        |raw| raw.own.is_some(),
    ),
];

type IsGiven = fn(&keys::Target) -> bool;
type Read = fn(&mut Check<'_>, &Scope, &keys::Target) -> Option<Chosen>;

impl Check<'_> {
    pub(crate) fn kind(&mut self, own: &Scope, raw: &keys::Target) -> Option<Chosen> {
        let mut given = KEYS.iter().filter(|(_, _, is_given)| is_given(raw));
        if let (Some((_, read, _)), None) = (given.next(), given.next()) {
            return read(self, own, raw);
        }
        if !KEYS.iter().any(|(key, _, _)| self.is_touched(own, &Route::keys(key))) {
            let keys = KEYS.map(|(key, _, _)| key);
            let message = format!("a target is exactly one of {}", crate::yaml::words::list(&keys));
            let hint = "begin each target with a `- ` of its own: `- container: { name: web }`";
            self.report(own, &Route::default(), Problem::new("one-of", message).hint(hint));
        }
        None
    }

    /// Keys of a target that mean nothing to its kind, each with the reason.
    pub(crate) fn not_for(&mut self, own: &Scope, code: &'static str, whom: &str, given: &[(&str, bool, &str)]) {
        for (key, _, hint) in given.iter().filter(|(_, given, _)| *given) {
            let problem = Problem::new(code, format!("`{key}` has no meaning for {whom}"));
            self.report(own, &Route::keys(key), problem.hint(*hint));
        }
    }

    /// A name of something on a target's host.
    pub(super) fn target_word(
        &mut self,
        own: &Scope,
        kind: &str,
        key: &str,
        raw: Option<&Text>,
        hint: &str,
    ) -> Option<String> {
        let rest = Route::keys(kind).key(key);
        let Some(text) = raw else {
            self.missing(own, &rest, hint);
            return None;
        };
        if text.0.is_empty() || text.0.contains(char::is_whitespace) {
            let problem = Problem::new("bad-name", format!("`{}` is not a {kind} {key}", shown(&text.0)));
            self.report(own, &rest, problem.hint(hint));
            return None;
        }
        self.note(own, &rest, text.0.clone());
        Some(text.0.clone())
    }
}
