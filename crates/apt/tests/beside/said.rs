//! What apt says, and what we say, in one form.

use lowtide_apt::pending::{Pending, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// One line for each package that would change.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Said {
    pub(crate) actions: BTreeSet<String>,
    pub(crate) kept_back: BTreeSet<String>,
    pub(crate) refused: bool,
}

impl Said {
    /// From the output of `apt-get --simulate dist-upgrade`.
    pub(crate) fn by_apt(text: &str) -> Self {
        let mut said = Self::default();
        let mut in_kept_back = false;
        let mut removed = BTreeMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("Inst ") {
                // What goes for a moment, to make room, and comes back is an upgrade.
                removed.remove(rest.split_whitespace().next().unwrap_or_default());
                said.actions.insert(inst(rest));
            } else if let Some(rest) = line.strip_prefix("Remv ") {
                let mut words = rest.split_whitespace();
                let (name, version) = (words.next().unwrap(), words.next().unwrap_or_default());
                removed.insert(name, format!("remove {name} {version}"));
            }
            if line.starts_with("The following packages have been kept back:") {
                in_kept_back = true;
            } else if in_kept_back && line.starts_with(' ') {
                said.kept_back.extend(line.split_whitespace().map(ToOwned::to_owned));
            } else {
                in_kept_back = false;
            }
            said.refused |= line.starts_with("E: ");
        }
        said.actions.extend(removed.into_values());
        said
    }

    pub(crate) fn by_us(result: &Result<Pending, Refusal>, native: &str) -> Self {
        let mut said = Self::default();
        let Ok(pending) = result else {
            said.refused = true;
            return said;
        };
        let full = |name: &str, architecture: &str| {
            if architecture == native || architecture == "all" {
                name.to_owned()
            } else {
                format!("{name}:{architecture}")
            }
        };
        for it in &pending.upgrades {
            let name = full(&it.package, &it.architecture);
            said.actions.insert(format!(
                "install {name} [{}] {} {}",
                it.installed, it.candidate, it.origin
            ));
        }
        for it in &pending.new {
            let name = full(&it.package, &it.architecture);
            said.actions
                .insert(format!("install {name} [] {} {}", it.candidate, it.origin));
        }
        for it in &pending.removals {
            let name = full(&it.package, &it.architecture);
            said.actions.insert(format!("remove {name} [{}]", it.installed));
        }
        for it in &pending.kept_back {
            said.kept_back.insert(full(&it.package, &it.architecture));
        }
        said
    }

    /// Lines that only one of the two says.
    pub(crate) fn differences(&self, ours: &Self) -> Vec<String> {
        let mut found = Vec::new();
        // What apt did before it gave up does not count.
        if self.refused && ours.refused {
            return found;
        }
        if self.refused != ours.refused {
            found.push(format!("refused: apt {}, we {}", self.refused, ours.refused));
        }
        found.extend(
            self.actions
                .difference(&ours.actions)
                .map(|line| format!("only apt: {line}")),
        );
        found.extend(
            ours.actions
                .difference(&self.actions)
                .map(|line| format!("only we:  {line}")),
        );
        found
    }
}

/// `name [old] (new Origin:12/suite, Other [arch]) […]`
fn inst(rest: &str) -> String {
    let (name, rest) = rest.split_once(' ').unwrap();
    let (old, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("] ").unwrap(),
        None => ("", rest),
    };
    let inner = rest.strip_prefix('(').unwrap();
    let end = inner.find(" [").unwrap();
    let (new, origin) = inner[..end].split_once(' ').unwrap_or((&inner[..end], ""));
    format!("install {name} [{old}] {new} {origin}")
}
