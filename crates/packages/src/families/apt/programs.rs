//! Programs of dpkg and apt, and of what else Debian has for settings of packages.

use crate::families::programs::{Programs, Upgrade};

pub(super) const PROGRAMS: Programs = Programs {
    harmless: &[
        "apt-key",
        "dpkg-reconfigure",
        "dpkg-query",
        "dpkg-architecture",
        "dpkg-divert",
        "dpkg-statoverride",
        "dpkg-deb",
        "debconf-set-selections",
        "debconf-show",
        "apt-cache",
        "apt-config",
        "apt-ftparchive",
        "add-apt-repository",
        "apt-add-repository",
    ],
    readers: &["dpkg-query", "dpkg-divert", "dpkg-statoverride"],
    sources: &["add-apt-repository", "apt-add-repository"],
    keys: &["apt-key"],
    upgrade: Upgrade {
        program: "apt-get",
        script: "apt-get update && \
            DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
            dist-upgrade && apt-get clean && rm -rf /var/lib/apt/lists/*",
    },
    // Messages of apt-pkg/acquire*.cc and apt-private/private-update.cc.
    stale_index: &[
        r"(?:^|\s)[WE]: (?:Failed to fetch |Some index files failed to download)",
        r"(?:^|\s)W: (?:Failed|An error occurred during the signature verification\. The repository is not updated)",
        r"(?:^|\s)[WE]: The repository '.*' (?:is not signed|is no longer signed|does not have a Release file|no longer has a Release file)",
    ],
};
