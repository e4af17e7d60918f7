//! What the calls of apk in a build do to packages (apk(8) and the pages of its commands).

use crate::dockerfile::refresh::options::{Known, parse};
use crate::dockerfile::refresh::program::Call;
use crate::dockerfile::refresh::record::{PackageRequest, Record, Sure, Version};
use crate::dockerfile::refresh::values::Field;
use lowtide_model::package_state::Upgrades;

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

pub(super) fn apk(call: &Call<'_>, record: &mut Record) {
    let parsed = parse(call.arguments, &APK);
    let elsewhere = parsed.values.iter().any(|(name, _)| ELSEWHERE.contains(&name.as_str()));
    let sure = if parsed.clear && !parsed.has(IDLE) && !parsed.has(LESS) && !elsewhere {
        call.sure
    } else {
        Sure::Perhaps
    };
    let also_upgrades = parsed.has(&["u", "upgrade", "l", "latest"]);
    match parsed.verb.as_deref() {
        // With names it is about them and what they need.
        Some("upgrade") if parsed.words.is_empty() => record.upgrade(Upgrades::All, sure),
        Some("upgrade") => names(record, &parsed.words, true, sure),
        // What is there already stays as it is (apk-add(8)).
        Some("add") => names(record, &parsed.words, also_upgrades, sure),
        Some("fix") => names(record, &parsed.words, also_upgrades, Sure::Perhaps),
        Some(verb) if QUIET.contains(&verb) && !parsed.odd => return,
        None if parsed.clear => {}
        Some(_) | None => record.doubt("apk is called in a way that is not understood"),
    }
    if !parsed.clear {
        record.doubt("an option of apk is not understood");
    }
}

fn names(record: &mut Record, words: &[Field], newest: bool, sure: Sure) {
    for word in words {
        let text = word.text.as_str();
        if text.starts_with('!') && !word.open {
            continue;
        }
        let end = text.find(['=', '@', '~', '<', '>']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let file = name.contains('/') || std::path::Path::new(name).extension().is_some_and(|end| end == "apk");
        if name.is_empty() || word.open && rest.is_empty() || file || name.contains(':') {
            record.doubt("it is not known which packages are installed");
            continue;
        }
        record.install(
            PackageRequest {
                name: name.to_owned(),
                version: version(rest, word.open),
                newest,
            },
            sure,
        );
    }
}

/// `=version`, `~version` and `=~version`, which are a beginning (apk-world(5)). Bounds are stored in the image's
/// world, whose candidates respect them.
fn version(rest: &str, open: bool) -> Option<Version> {
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
