//! Signs in a build's output that a package index is out of date.

use super::families::list::{self, OTHERS};
use regex::Regex;
use std::sync::LazyLock;

/// Does this line of a build's output say that a package index was not refreshed? Package managers go on with the
/// index they have (or none) and exit 0, so a build that printed one of these may lack the fixes it was made for.
#[must_use]
pub fn is_stale_index(line: &str) -> bool {
    static SIGNS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let of_families = list::all().flat_map(|family| family.programs().stale_index);
        let signs: Vec<&str> = of_families.chain(OTHERS.stale_index).copied().collect();
        Regex::new(&signs.join("|")).ok()
    });
    SIGNS.as_ref().is_some_and(|signs| signs.is_match(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_a_stale_index() {
        for line in [
            "W: Failed to fetch http://deb.example.org/debian/dists/bookworm/InRelease  Could not connect",
            "E: Failed to fetch http://deb.example.org/pool/p/perl.deb  404  Not Found [IP: 192.0.2.1 80]",
            "W: Some index files failed to download. They have been ignored, or old ones used instead.",
            "E: Some index files failed to download. They have been ignored, or old ones used instead.",
            "W: An error occurred during the signature verification. The repository is not updated and the previous index files will be used. GPG error: x",
            "W: The repository 'http://deb.example.org bookworm Release' does not have a Release file.",
            "E: The repository 'http://deb.example.org bookworm InRelease' is not signed.",
            "WARNING: Ignoring https://apk.example.org/alpine/v3.20/main: temporary error (try again later)",
            "WARNING: fetching https://apk.example.org/alpine/v3.20/main: temporary error (try again later)",
            "WARNING: updating and opening https://apk.example.org/v3.22/main: network error",
            "WARNING: opening from cache https://apk.example.org/main: temporary error (try again later)",
            "WARNING: Ignoring APKINDEX.066df28d.tar.gz: No such file or directory",
            "ERROR: https://apk.example.org/alpine/v3.20/main: temporary error (try again later)",
            "4 unavailable, 0 stale; 16 distinct packages available",
            "0 unavailable, 2 stale; 16 distinct packages available",
            "Error: Failed to download metadata for repo 'appstream': Cannot prepare internal mirrorlist",
            "Errors during downloading metadata for repository 'baseos':",
            "Failed to synchronize cache for repo 'epel', ignoring this repo.",
            "Ignoring repositories: epel",
            "Cannot find a valid baseurl for repo: base/7/x86_64",
            "Some of the repositories have not been refreshed because of an error.",
            "error: failed to synchronize all databases (failed to retrieve some files)",
        ] {
            assert!(is_stale_index(line), "{line}");
        }
    }

    #[test]
    fn no_signs_of_a_stale_index() {
        for line in [
            "Get:1 http://deb.example.org/debian bookworm InRelease [151 kB]",
            "Ign:1 http://deb.example.org/debian bookworm InRelease",
            "Reading package lists...",
            "W: Target Packages (main/binary-amd64/Packages) is configured multiple times",
            "W: Download is performed unsandboxed as root as file 'x' couldn't be accessed by user '_apt'.",
            "debconf: delaying package configuration, since apt-utils is not installed",
            "fetch https://apk.example.org/alpine/v3.20/main/x86_64/APKINDEX.tar.gz",
            "0 unavailable, 0 stale; 16 distinct packages available",
            "OK: 24164 distinct packages available",
            "WARNING: This apk-tools is OLD! Some packages might not function properly.",
            "WARNING: Running pip as the 'root' user can result in broken permissions",
            "npm WARN deprecated Failed to fetch is only a name",
            "Metadata cache created.",
            "",
        ] {
            assert!(!is_stale_index(line), "{line}");
        }
    }
}
