//! apk (apk(8) and the pages of its commands).

use super::lists::Runner;
use super::options::{Known, parse};
use super::record::{Asked, Sure, Version};
use super::values::Field;
use crate::model::package_state::Upgrades;

const APK: Known = Known {
    short: "qvfUihVsulaxrdRLc",
    short_valued: "tXp",
    long: &[
        "quiet",
        "verbose",
        "force",
        "update-cache",
        "update",
        "interactive",
        "help",
        "version",
        "simulate",
        "upgrade",
        "latest",
        "available",
        "no-cache",
        "no-network",
        "no-progress",
        "progress",
        "no-scripts",
        "no-self-upgrade",
        "ignore",
        "self-upgrade-only",
        "allow-untrusted",
        "clean-protected",
        "force-broken-world",
        "force-missing-repositories",
        "force-non-repository",
        "force-old-apk",
        "force-overwrite",
        "force-refresh",
        "force-binary-stdout",
        "no-interactive",
        "purge",
        "rdepends",
        "depends",
        "recursive",
        "cache-packages",
        "no-logfile",
        "no-commit-hooks",
        "overlay-from-stdin",
        "no-chown",
        "prune",
        "reinstall",
        "xattr",
        "directory-permissions",
        "usermode",
    ],
    long_valued: &[
        "virtual",
        "repository",
        "root",
        "repositories-file",
        "keys-dir",
        "arch",
        "cache-dir",
        "cache-max-age",
        "wait",
        "timeout",
        "progress-fd",
        "preupgrade-depends",
    ],
};
const IDLE: &[&str] = &["s", "simulate", "h", "help", "V", "version", "self-upgrade-only"];
const LESS: &[&str] = &[
    "ignore",
    "no-network",
    "force-broken-world",
    "force-missing-repositories",
    "i",
    "interactive",
];
/// Somewhere else, or with other repositories.
const ELSEWHERE: &[&str] = &[
    "p",
    "root",
    "repositories-file",
    "keys-dir",
    "arch",
    "X",
    "repository",
    "preupgrade-depends",
];
const QUIET: &[&str] = &[
    "update", "del", "info", "list", "search", "dot", "policy", "index", "fetch", "manifest", "verify", "audit",
    "stats", "version", "cache", "convdb", "extract", "query", "mkndx", "adbdump", "adbgen", "adbsign",
];

impl Runner<'_> {
    pub(super) fn apk(&mut self, words: &[Field], sure: Sure) {
        let parsed = parse(words, &APK);
        let elsewhere = parsed.values.iter().any(|(name, _)| ELSEWHERE.contains(&name.as_str()));
        let sure = if parsed.clear && !parsed.has(IDLE) && !parsed.has(LESS) && !elsewhere {
            sure
        } else {
            Sure::Perhaps
        };
        let also_upgrades = parsed.has(&["u", "upgrade", "l", "latest"]);
        match parsed.verb.as_deref() {
            // With names it is about them and what they need.
            Some("upgrade") if parsed.words.is_empty() => self.record.upgrade(Upgrades::All, sure),
            Some("upgrade") => self.apk_names(&parsed.words, true, sure),
            // What is there already stays as it is (apk-add(8)).
            Some("add") => self.apk_names(&parsed.words, also_upgrades, sure),
            Some("fix") => self.apk_names(&parsed.words, also_upgrades, Sure::Perhaps),
            Some(verb) if QUIET.contains(&verb) && !parsed.odd => return,
            None if parsed.clear => {}
            Some(_) | None => self.record.doubt("apk is called in a way that is not understood"),
        }
        if !parsed.clear {
            self.record.doubt("an option of apk is not understood");
        }
    }

    fn apk_names(&mut self, words: &[Field], newest: bool, sure: Sure) {
        for word in words {
            let text = word.text.as_str();
            if text.starts_with('!') && !word.open {
                continue;
            }
            let end = text.find(['=', '@', '~', '<', '>']).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            let file = name.contains('/') || std::path::Path::new(name).extension().is_some_and(|end| end == "apk");
            if name.is_empty() || word.open && rest.is_empty() || file || name.contains(':') {
                self.record.doubt("it is not known which packages are installed");
                continue;
            }
            self.record.install(
                Asked {
                    name: name.to_owned(),
                    version: apk_version(rest, word.open),
                    newest,
                },
                sure,
            );
        }
    }
}

/// `=version`, `~version` and `=~version`, which are a beginning (apk-world(5)). Bounds are kept in the image's world, whose
/// candidates keep to them.
fn apk_version(rest: &str, open: bool) -> Option<Version> {
    let rest = rest.split('@').next().unwrap_or_default();
    if rest.is_empty() || rest.starts_with(['<', '>']) {
        return None;
    }
    if open {
        return Some(Version::Unknown(rest.to_owned()));
    }
    let version = rest.trim_start_matches(['=', '~']);
    Some(Version::Known(if rest.contains('~') {
        format!("{version}*")
    } else {
        version.to_owned()
    }))
}
