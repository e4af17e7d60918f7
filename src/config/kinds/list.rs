//! Which kind of target an entry of `rollout` is: exactly one of the keys that select something.

use crate::config::check::Check;
use crate::config::diagnostic::{Problem, Route};
use crate::config::raw;
use crate::config::scope::Scope;
use crate::kinds::list::TargetKind;
use crate::model::name::HostName;

/// What a target is, as far as its kind reads it.
pub(in crate::config) struct Chosen {
    pub(in crate::config) host: HostName,
    pub(in crate::config) kind: TargetKind,
    /// Its name unless the configuration gives one. `None`: nothing names it.
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) claims: Vec<Claim>,
}

/// Something that only one target may move.
pub(in crate::config) struct Claim {
    pub(in crate::config) id: String,
    /// For people.
    pub(in crate::config) words: String,
    pub(in crate::config) at: Route,
    pub(in crate::config) within: Within,
}

/// Where there is only one of it.
#[derive(Clone, Copy)]
pub(in crate::config) enum Within {
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

type IsGiven = fn(&raw::Target) -> bool;
type Read = fn(&mut Check<'_>, &Scope, &raw::Target) -> Option<Chosen>;

impl Check<'_> {
    pub(in crate::config) fn kind(&mut self, own: &Scope, raw: &raw::Target) -> Option<Chosen> {
        let mut given = KEYS.iter().filter(|(_, _, is_given)| is_given(raw));
        if let (Some((_, read, _)), None) = (given.next(), given.next()) {
            return read(self, own, raw);
        }
        if !KEYS.iter().any(|(key, _, _)| self.is_touched(own, &Route::keys(key))) {
            let keys = KEYS.map(|(key, _, _)| key);
            let message = format!("a target is exactly one of {}", crate::config::shape::list(&keys));
            let hint = "begin each target with a `- ` of its own: `- container: { name: web }`";
            self.report(own, &Route::default(), Problem::new("one-of", message).hint(hint));
        }
        None
    }

    /// Keys of a target that mean nothing to its kind, each with the reason.
    pub(in crate::config) fn not_for(
        &mut self,
        own: &Scope,
        code: &'static str,
        whom: &str,
        given: &[(&str, bool, &str)],
    ) {
        for (key, _, hint) in given.iter().filter(|(_, given, _)| *given) {
            let problem = Problem::new(code, format!("`{key}` has no meaning for {whom}"));
            self.report(own, &Route::keys(key), problem.hint(*hint));
        }
    }
}
