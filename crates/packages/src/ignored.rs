//! What differs between two rebuilds of the same inputs without meaning anything: caches, logs, random identities,
//! databases that `packages` reads already, and what an engine writes into every container.

use super::families::list::{self, OTHERS};

/// Directories whose content is ignored; the directory itself (mode, owner) is not.
const CONTENT: &[&str] = &[
    // The kernel's and the engine's.
    "dev",
    "proc",
    "sys",
    "run",
    // Scratch space, caches, logs.
    "tmp",
    "var/tmp",
    "var/cache",
    "var/log",
    "root/.cache",
    "root/.npm/_logs",
    "var/lib/systemd/catalog",
];

/// Single paths.
const PATHS: &[&str] = &[
    // Written by the engine into every container.
    ".dockerenv",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    // Random or derived.
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "etc/ld.so.cache",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    // A key store that holds the time of each import; the certificates themselves lie beside it.
    "etc/ssl/certs/java/cacerts",
    // The state before the last change, and locks.
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
];

/// Is the path (without leading slash) left out of the file table?
pub(super) fn is_ignored(path: &str) -> bool {
    let inside = |dir: &&str| path.strip_prefix(*dir).is_some_and(|rest| rest.starts_with('/'));
    let of_a_family = || {
        list::all().any(|family| {
            let of_it = family.paths();
            of_it.volatile_files.contains(&path) || of_it.volatile_folders.iter().any(inside)
        })
    };
    let mut folders = CONTENT.iter().chain(OTHERS.volatile_folders);
    PATHS.contains(&path) || folders.any(inside) || of_a_family() || is_bytecode(path) || is_host_key(path)
}

/// Compiled Python carries the time of its source.
fn is_bytecode(path: &str) -> bool {
    let suffix = std::path::Path::new(path).extension();
    suffix.is_some_and(|s| s == "pyc" || s == "pyo") || path.split('/').any(|part| part == "__pycache__")
}

/// Made at random when the ssh server's package is installed.
fn is_host_key(path: &str) -> bool {
    path.strip_prefix("etc/ssh/ssh_host_")
        .is_some_and(|rest| rest.contains("_key"))
}

/// `c_rehash` names a link after the certificate's hash, and this certificate is made at random (package `ssl-cert`).
pub(super) fn is_ignored_link(path: &str, target: &str) -> bool {
    path.starts_with("etc/ssl/certs/") && target.ends_with("ssl-cert-snakeoil.pem")
}

/// shadow(5): the third field is the day of the last password change, so creating a user writes today's date.
pub(super) const SHADOW: &str = "etc/shadow";

pub(super) fn without_days(shadow: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in shadow.split(|b| *b == b'\n') {
        let mut fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
        if let Some(day) = fields.get_mut(2) {
            *day = b"";
        }
        lines.push(fields.join(&b':'));
    }
    lines.join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_are_reported_from_content() {
        for ignored in [
            "proc/1",
            "tmp/x/y",
            "var/cache/apt/pkgcache.bin",
            "var/lib/apt/lists/lock",
            "etc/hostname",
            "usr/lib/python3/dist-packages/a.pyc",
            "opt/app/__pycache__",
            "opt/app/__pycache__/x",
            "etc/ssh/ssh_host_rsa_key.pub",
            "var/lib/dpkg/status",
        ] {
            assert!(is_ignored(ignored), "{ignored}");
        }
        for content in [
            "tmp",
            "var/cache",
            "processes",
            "var/lib/dpkg/info/bash.list",
            "etc/hosts.allow",
            "home/a/tmp/x",
            "etc/passwd",
            "a.py",
            "etc/ssh/sshd_config",
        ] {
            assert!(!is_ignored(content), "{content}");
        }
    }

    #[test]
    fn only_the_random_certificate_s_link_is_ignored() {
        assert!(is_ignored_link("etc/ssl/certs/5887bcc8.0", "ssl-cert-snakeoil.pem"));
        assert!(!is_ignored_link("etc/ssl/certs/5887bcc8.0", "ISRG_Root_X1.pem"));
        assert!(!is_ignored_link("srv/certs/x.0", "ssl-cert-snakeoil.pem"));
    }

    #[test]
    fn the_day_of_a_password_change_is_blanked() {
        let text = without_days(b"root:*:19500:0:99999:7:::\nweb:!:19999::::::\nodd\n");
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "root:*::0:99999:7:::\nweb:!:::::::\nodd\n"
        );
    }
}
