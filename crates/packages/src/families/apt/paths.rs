//! Where dpkg and apt store what in an image.

use crate::families::paths::Paths;
use lowtide_apt::state::WANTED;

pub(super) const PATHS: Paths = Paths {
    databases: &["var/lib/dpkg"],
    sources: &["etc/apt/sources", "etc/apt/preferences"],
    state: WANTED,
    inventory: &[
        // Which file belongs to which package.
        "var/lib/dpkg/info/*.list",
        "usr/local/share/keyrings/*",
    ],
    volatile_folders: &[
        "var/lib/apt/lists",
        "var/lib/apt/periodic",
        // The package list stands for the databases; they hold times of installation.
        "var/lib/dpkg/status.d",
        "var/lib/dpkg/updates",
    ],
    volatile_files: &[
        // The state before the last change, and locks.
        "var/lib/apt/daily_lock",
        "var/lib/dpkg/available",
        "var/lib/dpkg/available-old",
        "var/lib/dpkg/diversions-old",
        "var/lib/dpkg/lock",
        "var/lib/dpkg/lock-frontend",
        "var/lib/dpkg/status",
        "var/lib/dpkg/status-old",
        "var/lib/dpkg/statoverride-old",
        "var/lib/dpkg/triggers/Lock",
        "var/lib/dpkg/triggers/Unincorp",
    ],
};
