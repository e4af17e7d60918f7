//! Which kind of target an entry of `rollout` is: exactly one of the keys that select something.

use crate::kinds::list::TargetKind;
use crate::kinds::raw as keys;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw::Text;
use crate::yaml::scope::Scope;
use crate::yaml::words::list;
use lowtide_model::name::HostName;

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

/// What the app's `ready` is to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is inherited, and new containers have to pass it.
    Awaited,
    /// It is inherited but not used: the orchestrator decides when the release serves.
    Unused,
    /// The kind reads a `ready` of its own.
    Own,
}

/// A key that selects something.
pub(crate) struct Key {
    name: &'static str,
    is_given: fn(&keys::Target) -> bool,
    read: fn(&mut Check<'_>, &Scope, &keys::Target) -> Option<Chosen>,
    readiness: Readiness,
}

/// All of them. A target has exactly one.
static KEYS: [Key; 7] = [
    Key {
        name: "container",
        is_given: |raw| raw.container.is_some(),
        read: |check, own, raw| check.containers(own, raw),
        readiness: Readiness::Awaited,
    },
    Key {
        name: "label",
        is_given: |raw| raw.label.is_some(),
        read: |check, own, raw| check.containers(own, raw),
        readiness: Readiness::Awaited,
    },
    Key {
        name: "compose",
        is_given: |raw| raw.compose.is_some(),
        read: |check, own, raw| check.containers(own, raw),
        readiness: Readiness::Awaited,
    },
    Key {
        name: "service",
        is_given: |raw| raw.service.is_some(),
        read: |check, own, raw| check.services(own, raw),
        readiness: Readiness::Unused,
    },
    Key {
        name: "stack",
        is_given: |raw| raw.stack.is_some(),
        read: |check, own, raw| check.services(own, raw),
        readiness: Readiness::Unused,
    },
    Key {
        name: "command",
        is_given: |raw| raw.command.is_some(),
        read: |check, own, raw| check.command_target(own, raw),
        readiness: Readiness::Own,
    },
    Key {
        name: "self",
        is_given: |raw| raw.own.is_some(),
        read: |check, own, raw| check.own_container(own, raw),
        readiness: Readiness::Unused,
    },
];

impl Key {
    /// `None`: none is given, or more than one.
    fn of(raw: &keys::Target) -> Option<&'static Key> {
        let mut given = KEYS.iter().filter(|key| (key.is_given)(raw));
        given.next().filter(|_| given.next().is_none())
    }
}

/// What the app's `ready` is to this target.
pub(crate) fn readiness(raw: &keys::Target) -> Readiness {
    Key::of(raw).map_or(Readiness::Awaited, |key| key.readiness)
}

impl Check<'_> {
    pub(crate) fn kind(&mut self, own: &Scope, raw: &keys::Target) -> Option<Chosen> {
        if let Some(key) = Key::of(raw) {
            return (key.read)(self, own, raw);
        }
        let names = KEYS.each_ref().map(|key| key.name);
        if !names.iter().any(|name| self.is_touched(own, &Route::keys(name))) {
            let message = format!("a target is exactly one of {}", list(&names));
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
