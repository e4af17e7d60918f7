//! Programs that are known to leave packages as they are. The list is closed: what is not in it may do anything.

use super::values::Field;
use crate::dockerfile::instruction::{databases, is_within};
use crate::families::list;
use crate::families::programs::Programs;

/// Words of the shell before which assignments stay.
pub(super) const BUILT_IN: &[&str] = &[
    ".",
    ":",
    "eval",
    "exec",
    "exit",
    "export",
    "readonly",
    "return",
    "set",
    "shift",
    "source",
    "trap",
    "unset",
    "read",
    "local",
    "declare",
    "typeset",
    "getopts",
    "let",
    "mapfile",
    "readarray",
];

/// Files, text, users, downloads, keys, settings of what is installed.
const PROGRAMS: &[&str] = &[
    // The shell's own.
    ":",
    "true",
    "false",
    "[",
    "test",
    "echo",
    "printf",
    "cd",
    "pwd",
    "pushd",
    "popd",
    "dirs",
    "umask",
    "ulimit",
    "wait",
    "shift",
    "type",
    "hash",
    "shopt",
    "jobs",
    "kill",
    "break",
    "continue",
    "times",
    "getconf",
    // coreutils and the like.
    "arch",
    "b2sum",
    "base32",
    "base64",
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "cmp",
    "comm",
    "cp",
    "csplit",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "du",
    "expand",
    "expr",
    "factor",
    "file",
    "fmt",
    "fold",
    "groups",
    "head",
    "hexdump",
    "hostid",
    "hostname",
    "id",
    "install",
    "join",
    "link",
    "ln",
    "logname",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "mv",
    "nl",
    "nproc",
    "numfmt",
    "od",
    "paste",
    "patch",
    "pathchk",
    "pr",
    "printenv",
    "ptx",
    "readlink",
    "realpath",
    "rename",
    "rev",
    "rm",
    "rmdir",
    "seq",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "shred",
    "shuf",
    "sleep",
    "sort",
    "split",
    "stat",
    "strings",
    "stty",
    "sum",
    "sync",
    "tac",
    "tail",
    "tee",
    "touch",
    "tr",
    "tree",
    "truncate",
    "tsort",
    "tty",
    "uname",
    "unexpand",
    "uniq",
    "unlink",
    "uptime",
    "users",
    "vdir",
    "wc",
    "which",
    "whereis",
    "who",
    "whoami",
    "xxd",
    "yes",
    "uuidgen",
    "envsubst",
    "grep",
    "egrep",
    "fgrep",
    "zgrep",
    "sed",
    "awk",
    "gawk",
    "mawk",
    "nawk",
    "jq",
    // Archives.
    "tar",
    "gzip",
    "gunzip",
    "zcat",
    "bzip2",
    "bunzip2",
    "bzcat",
    "xz",
    "unxz",
    "xzcat",
    "lzma",
    "unlzma",
    "zstd",
    "unzstd",
    "zstdcat",
    "zip",
    "unzip",
    "cpio",
    "ar",
    "7z",
    "7za",
    // Users and rights.
    "useradd",
    "userdel",
    "usermod",
    "adduser",
    "deluser",
    "addgroup",
    "delgroup",
    "groupadd",
    "groupdel",
    "groupmod",
    "gpasswd",
    "passwd",
    "chpasswd",
    "chsh",
    "chage",
    "newusers",
    "getent",
    "setcap",
    "getcap",
    "setfacl",
    "getfacl",
    "chattr",
    "mkpasswd",
    // Downloads, keys, certificates.
    "curl",
    "wget",
    "gpg",
    "gpg2",
    "gpgv",
    "gpgconf",
    "dirmngr",
    "openssl",
    "ssh-keygen",
    "ssh-keyscan",
    "update-ca-certificates",
    "c_rehash",
    "git",
    // Settings of the distribution, and questions to it.
    "ldconfig",
    "ldd",
    "locale",
    "locale-gen",
    "localedef",
    "update-locale",
    "update-alternatives",
    "lsb_release",
    "a2enmod",
    "a2dismod",
    "a2ensite",
    "a2dissite",
    "a2enconf",
    "a2disconf",
    "phpenmod",
    "phpdismod",
    "docker-php-ext-enable",
    "systemctl",
    "mkfontscale",
    "fc-cache",
    "crontab",
    "strip",
    "setup-timezone",
];
/// They only look.
const READERS: &[&str] = &[
    "cat",
    "cmp",
    "cut",
    "diff",
    "du",
    "egrep",
    "fgrep",
    "file",
    "grep",
    "head",
    "ls",
    "md5sum",
    "sha256sum",
    "sort",
    "stat",
    "tail",
    "test",
    "[",
    "wc",
    "zgrep",
    "echo",
    "printf",
    "find",
    "awk",
];
const GIT: &[&str] = &[
    "add",
    "apply",
    "branch",
    "checkout",
    "clean",
    "clone",
    "config",
    "describe",
    "diff",
    "fetch",
    "init",
    "log",
    "ls-remote",
    "pull",
    "remote",
    "reset",
    "rev-list",
    "rev-parse",
    "show",
    "status",
    "switch",
    "tag",
    "version",
    "--version",
];
const PIP: &[&str] = &[
    "install",
    "uninstall",
    "download",
    "list",
    "freeze",
    "show",
    "check",
    "config",
    "cache",
    "--version",
];

pub(super) fn leaves_packages(name: &str, words: &[Field]) -> bool {
    let says = |what: &[&str]| {
        words
            .iter()
            .any(|word| what.iter().any(|text| word.text.contains(text)))
    };
    match name {
        "awk" | "gawk" | "mawk" | "nawk" if says(&["system", "getline", "|", "@load", "@include"]) => return false,
        "awk" | "gawk" | "mawk" | "nawk" => {}
        "sed" if words.iter().any(|word| runs_by_sed(&word.text)) => return false,
        "tar"
            if says(&[
                "to-command",
                "checkpoint-action",
                "use-compress-program",
                "new-volume-script",
                "rsh-command",
            ]) =>
        {
            return false;
        }
        "split" if says(&["--filter"]) => return false,
        "git" => return first_word(words, &["-C", "-c"]).is_some_and(|verb| GIT.contains(&verb)),
        "python" | "python3" => {
            let pip = matches!(words, [m, pip, ..] if m.text == "-m" && pip.text == "pip");
            return pip && is_pip(words.get(2..).unwrap_or_default());
        }
        "pip" | "pip3" => return is_pip(words),
        _ => {}
    }
    let takes_away = matches!(name, "rm" | "mv" | "rmdir" | "unlink");
    let writes =
        |word: &Field| takes_away && holds_database(word) || !only_looks(name) && mentions_database(&word.text);
    let is_harmless = PROGRAMS.contains(&name) || programs().any(|it| it.harmless.contains(&name));
    is_harmless && !words.iter().any(writes)
}

fn programs() -> impl Iterator<Item = &'static Programs> {
    list::all().map(|family| family.programs())
}

fn only_looks(name: &str) -> bool {
    READERS.contains(&name) || programs().any(|it| it.readers.contains(&name))
}

/// A path in or at a package database.
pub(super) fn mentions_database(text: &str) -> bool {
    databases().any(|database| text.contains(database))
}

/// Does it change which package sources there are, or what counts among them?
pub(super) fn changes_sources(name: &str, words: &[Field]) -> bool {
    let leaves_them = matches!(name, "rm" | "unlink") || programs().any(|it| it.keys.contains(&name));
    let writes = !only_looks(name) && !leaves_them;
    programs().any(|it| it.sources.contains(&name)) || writes && words.iter().any(|word| mentions_sources(&word.text))
}

/// Files of sources and pins.
pub(super) fn mentions_sources(text: &str) -> bool {
    let mut paths = list::all().flat_map(|family| family.paths().sources);
    paths.any(|path| text.contains(path))
}

/// An absolute path above a package database, or one that may be.
fn holds_database(word: &Field) -> bool {
    let Some(path) = word.text.strip_prefix('/') else {
        return false;
    };
    let clean = path.trim_end_matches(['*', '/']);
    let whole = !word.open && path.contains('*') && !path.ends_with("/*") && path != "*";
    databases().any(|database| {
        is_within(database, clean) || clean.is_empty() || (word.open || whole) && database.starts_with(clean)
    })
}

/// GNU sed runs what follows `e` and what `s///e` leaves.
fn runs_by_sed(text: &str) -> bool {
    let text = text.trim();
    let command = |text: &str| text == "e" || text.starts_with("e ") || text.ends_with("/e") || text.ends_with("|e");
    !text.starts_with(['-', '/']) && text.split([';', '\n', '}']).any(|part| command(part.trim()))
}

fn first_word<'w>(words: &'w [Field], valued: &[&str]) -> Option<&'w str> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let text = word.known()?;
        if valued.contains(&text) {
            rest.next();
        } else if !text.starts_with('-') || text == "--version" {
            return Some(text);
        }
    }
    None
}

/// Packages of an index; a folder's own script may do anything.
fn is_pip(words: &[Field]) -> bool {
    let local = |word: &Field| word.text.starts_with(['.', '/']) || matches!(word.text.as_str(), "-e" | "--editable");
    first_word(words, &["--cache-dir", "--log", "--proxy", "--timeout"]).is_some_and(|verb| PIP.contains(&verb))
        && !words.iter().any(local)
}
