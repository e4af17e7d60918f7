//! apt-get, apt, aptitude and apt-mark (their manual pages).

use crate::dockerfile::refresh::options::{Known, Parsed, parse};
use crate::dockerfile::refresh::program::Call;
use crate::dockerfile::refresh::record::{PackageRequest, Record, Sure, Version};
use crate::dockerfile::refresh::values::Field;
use lowtide_model::package_state::Upgrades;

/// An option that makes it do less, or otherwise, than it says.
const APT: Known = Known {
    short: "qsydfmbVuhv",
    short_valued: "otcaP",
    long: &[
        "quiet",
        "yes",
        "assume-yes",
        "assume-no",
        "simulate",
        "just-print",
        "dry-run",
        "recon",
        "no-act",
        "download-only",
        "print-uris",
        "fix-broken",
        "ignore-missing",
        "fix-missing",
        "no-download",
        "show-upgraded",
        "verbose-versions",
        "no-install-recommends",
        "install-recommends",
        "no-install-suggests",
        "install-suggests",
        "ignore-hold",
        "no-upgrade",
        "only-upgrade",
        "with-new-pkgs",
        "without-new-pkgs",
        "allow-downgrades",
        "allow-remove-essential",
        "allow-change-held-packages",
        "force-yes",
        "purge",
        "reinstall",
        "list-cleanup",
        "no-list-cleanup",
        "trivial-only",
        "no-remove",
        "auto-remove",
        "autoremove",
        "allow-unauthenticated",
        "allow-insecure-repositories",
        "allow-releaseinfo-change",
        "allow-releaseinfo-change-suite",
        "error-on",
        "help",
        "version",
        "show-progress",
        "full",
        "no-show-upgraded",
    ],
    long_valued: &[
        "option",
        "config-file",
        "target-release",
        "default-release",
        "host-architecture",
        "build-profiles",
        "error-on",
        "solver",
        "planner",
    ],
};

const APTITUDE: Known = Known {
    short: "qsydfhVDvPZ",
    short_valued: "otwFOc",
    long: &[
        "quiet",
        "assume-yes",
        "simulate",
        "download-only",
        "fix-broken",
        "without-recommends",
        "with-recommends",
        "purge-unused",
        "allow-untrusted",
        "allow-new-upgrades",
        "allow-new-installs",
        "full-resolver",
        "no-new-installs",
        "no-new-upgrades",
        "safe-resolver",
        "help",
        "version",
        "prompt",
        "show-versions",
        "show-deps",
    ],
    long_valued: &[
        "target-release",
        "default-release",
        "option",
        "log-file",
        "log-level",
        "add-user-tag",
    ],
};

const IDLE: &[&str] = &[
    "s",
    "simulate",
    "just-print",
    "dry-run",
    "recon",
    "no-act",
    "d",
    "download-only",
    "print-uris",
    "h",
    "help",
    "v",
    "version",
];
/// With these an install or upgrade may leave out something.
const LESS: &[&str] = &[
    "m",
    "ignore-missing",
    "fix-missing",
    "no-upgrade",
    "no-download",
    "trivial-only",
    "no-remove",
    "assume-no",
    "no-new-installs",
    "no-new-upgrades",
    "safe-resolver",
];
/// Settings (`-o`) that change nothing about which versions come.
const SETTINGS: &[&str] = &[
    "acquire::",
    "dpkg::",
    "apt::install-",
    "apt::get::assume-yes",
    "apt::get::allow",
    "apt::get::show",
    "apt::get::fix-broken",
    "apt::get::install-",
    "apt::autoremove",
    "apt::sandbox",
    "apt::color",
    "apt::keep-downloaded",
    "aptitude::cmdline::ignore-trust",
    "quiet",
    "apt::acquire",
    "apt::clean",
    "apt::cmd::",
    "debug::",
    "binary::apt::",
    "apt::update::",
];
/// Words that leave what is installed as it is, or only take away.
const QUIET: &[&str] = &[
    "update",
    "clean",
    "autoclean",
    "auto-clean",
    "distclean",
    "check",
    "remove",
    "purge",
    "autoremove",
    "auto-remove",
    "autopurge",
    "download",
    "source",
    "changelog",
    "indextargets",
    "list",
    "search",
    "show",
    "showsrc",
    "policy",
    "depends",
    "rdepends",
    "moo",
    "help",
    "why",
    "why-not",
    "versions",
    "markauto",
    "unmarkauto",
    "forget-new",
    "keep-all",
    "keep",
    "edit-sources",
    "showpkg",
];

pub(in crate::families::apt) fn apt(call: &Call<'_>, record: &mut Record) {
    let tool = call.program;
    let known = if tool == "aptitude" { &APTITUDE } else { &APT };
    let parsed = parse(call.arguments, known);
    // Another configuration may say anything.
    let configured = call.variables.get("APT_CONFIG").is_some();
    let sure = if !configured && parsed.clear && !parsed.has(IDLE) && !parsed.has(LESS) && settled(&parsed) {
        call.sure
    } else {
        Sure::Perhaps
    };
    let with_new = parsed.has(&["with-new-pkgs"]) || tool != "apt-get" && !parsed.has(&["without-new-pkgs"]);
    match parsed.verb.as_deref() {
        Some("upgrade" | "safe-upgrade") => {
            let how = if with_new {
                Upgrades::WithoutRemovals
            } else {
                Upgrades::WithoutNew
            };
            record.upgrade(how, sure);
            names(record, &parsed, sure);
        }
        Some("dist-upgrade" | "full-upgrade") => {
            record.upgrade(Upgrades::All, sure);
            names(record, &parsed, sure);
        }
        Some("dselect-upgrade") => record.upgrade(Upgrades::All, Sure::Perhaps),
        Some("install" | "reinstall") => names(record, &parsed, sure),
        // What they need and is there already stays as it is.
        Some("build-dep" | "satisfy") => {}
        Some("hold") => hold(record, &parsed.words),
        // `apt-get remove name+` installs.
        Some(verb) if QUIET.contains(&verb) && !parsed.words.iter().any(|word| word.text.ends_with('+')) => {
            if parsed.odd {
                record.doubt(&format!("an option of {tool} is not understood"));
            }
            return;
        }
        // `apt-get -f`, `apt --version`.
        None if parsed.clear => {}
        Some(_) | None => record.doubt(&format!("{tool} is called in a way that is not understood")),
    }
    if !parsed.clear {
        record.doubt(&format!("an option of {tool} is not understood"));
    }
}

fn names(record: &mut Record, parsed: &Parsed, sure: Sure) {
    let from_elsewhere = parsed
        .values
        .iter()
        .any(|(name, _)| matches!(name.as_str(), "t" | "target-release" | "default-release"));
    for word in &parsed.words {
        match parse_name(word, from_elsewhere) {
            // Which architecture the image has is not known.
            Name::Requested(request)
                if word
                    .text
                    .split(['=', '/'])
                    .next()
                    .is_some_and(|name| name.contains(':')) =>
            {
                record.install(request, Sure::Perhaps);
            }
            Name::Requested(request) => record.install(request, sure),
            Name::Removed => {}
            Name::Unknown(why) => record.doubt(why),
        }
    }
}

/// `apt-mark`.
pub(in crate::families::apt) fn apt_mark(call: &Call<'_>, record: &mut Record) {
    let known = Known {
        short: "qshv",
        short_valued: "foc",
        long: &["quiet", "simulate", "dry-run", "no-act", "help", "version"],
        long_valued: &["file", "option", "config-file"],
    };
    let parsed = parse(call.arguments, &known);
    match parsed.verb.as_deref() {
        Some("hold") if parsed.clear => hold(record, &parsed.words),
        Some(
            "unhold" | "auto" | "manual" | "minimize-manual" | "showauto" | "showmanual" | "showhold" | "showinstall"
            | "showremove" | "showpurge" | "showholds" | "markauto" | "unmarkauto",
        ) => {}
        None if parsed.clear => {}
        Some(_) | None => record.doubt("apt-mark is called in a way that is not understood"),
    }
}

pub(super) fn hold(record: &mut Record, words: &[Field]) {
    for word in words {
        match word.known().filter(|name| !name.contains(['*', '?', '[', '~'])) {
            Some(name) => record.hold(name.split(':').next().unwrap_or(name)),
            None => record.doubt("it is not known which packages are held"),
        }
    }
}

/// `unattended-upgrade`: what it upgrades is in its settings.
pub(in crate::families::apt) fn unattended(_call: &Call<'_>, record: &mut Record) {
    record.upgrade(Upgrades::All, Sure::Perhaps);
}

fn settled(parsed: &Parsed) -> bool {
    parsed.values.iter().all(|(name, value)| match name.as_str() {
        "o" | "option" => {
            let key = value.text.to_ascii_lowercase();
            SETTINGS.iter().any(|known| key.starts_with(known))
        }
        // Each requested name is judged by it.
        "t" | "target-release" | "default-release" => true,
        _ => matches!(name.as_str(), "a" | "host-architecture" | "error-on"),
    }) && !(parsed
        .values
        .iter()
        .any(|(name, _)| matches!(name.as_str(), "t" | "target-release" | "default-release"))
        && parsed.verb.as_deref().is_some_and(|verb| verb.contains("upgrade")))
}

enum Name {
    Requested(PackageRequest),
    Removed,
    Unknown(&'static str),
}

/// `name`, `name:arch`, `name/suite`, `name=version`, `name-`.
fn parse_name(word: &Field, from_elsewhere: bool) -> Name {
    let text = word.text.as_str();
    let local = text.starts_with(['.', '/']) || std::path::Path::new(text).extension().is_some_and(|end| end == "deb");
    if local && !text.contains('=') {
        return Name::Unknown("a package file of its own is installed");
    }
    let end = text.find(['=', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || word.open && rest.is_empty() || name.contains(['*', '?', '[', '^', '~', '(', '|', '$', '{']) {
        return Name::Unknown("it is not known which packages are installed");
    }
    // A name with an odd sign is a regular expression (apt-get(8)); versions in names have dots.
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._:".contains(c);
    if !name.chars().all(plain) {
        return Name::Unknown("it is not known which packages are installed");
    }
    if name.ends_with('-') {
        return Name::Removed;
    }
    let name = name.split(':').next().unwrap_or(name).to_owned();
    let version = match (rest.strip_prefix('='), rest.is_empty()) {
        (Some(version), _) if !word.open => Some(Version::Known(version.to_owned())),
        (Some(version), _) => Some(Version::Unknown(format!("{version}…"))),
        (None, false) => Some(Version::Unknown(rest.to_owned())),
        (None, true) if from_elsewhere => Some(Version::Unknown("another release's".to_owned())),
        (None, true) => None,
    };
    Name::Requested(PackageRequest {
        name: name
            .strip_suffix('+')
            .filter(|name| !name.ends_with('+'))
            .unwrap_or(&name)
            .to_owned(),
        version,
        newest: true,
    })
}
