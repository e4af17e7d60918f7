//! What the variables of a stage hold, instruction by instruction: ARG and ENV.

use super::expand::expand;
use super::platform::AUTOMATIC;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Longer values are not followed.
const LENGTH: usize = 16 * 1024;

/// Variables whose value is known. One that is not here may still be set, by the base for example.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    known: BTreeMap<String, String>,
    /// Set by ENV, which counts more than ARG wherever that stands.
    lasting: BTreeMap<String, ()>,
}

impl Scope {
    pub(super) fn known(&self) -> &BTreeMap<String, String> {
        &self.known
    }

    /// `given`: the build's arguments; `globals`: those declared before the first FROM.
    pub(super) fn arg(
        &mut self,
        name: &str,
        default: Option<&str>,
        escape: char,
        given: &BTreeMap<String, String>,
        globals: &BTreeMap<String, String>,
    ) {
        if self.lasting.contains_key(name) {
            return;
        }
        // Arguments that the builder sets itself are global, so a default in the stage overrides them.
        let automatic = AUTOMATIC.contains(&name);
        let value = match (given.get(name), default) {
            (Some(value), None) => Some(value.clone()),
            (Some(value), Some(_)) if !automatic => Some(value.clone()),
            (_, Some(default)) => self.filled(default, escape),
            (None, None) => globals.get(name).cloned(),
        };
        self.set(name, value);
    }

    pub(super) fn env(&mut self, name: &str, value: &str, escape: char) {
        let value = self.filled(value, escape);
        self.set(name, value);
        self.lasting.insert(name.to_owned(), ());
    }

    fn set(&mut self, name: &str, value: Option<String>) {
        match value.filter(|value| value.len() <= LENGTH) {
            Some(value) => self.known.insert(name.to_owned(), value),
            None => self.known.remove(name),
        };
    }

    /// `None` where a variable in it is not known.
    fn filled(&self, text: &str, escape: char) -> Option<String> {
        let unknown = Cell::new(false);
        let value = |name: &str| {
            let value = self.known.get(name).cloned();
            unknown.set(unknown.get() || value.is_none());
            value
        };
        let filled = expand(text, escape, &value).ok()?;
        (!unknown.get()).then_some(filled)
    }
}
