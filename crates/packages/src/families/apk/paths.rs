//! Where apk stores what in an image.

use super::state::WANTED;
use crate::families::paths::Paths;

/// With a merged `/usr`, the database really is under `usr/lib`.
pub(super) const DATABASES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

pub(super) const PATHS: Paths = Paths {
    databases: &["lib/apk/db", "usr/lib/apk/db"],
    sources: &["etc/apk/repositories"],
    state: WANTED,
    inventory: &["usr/share/apk/keys/*"],
    volatile_folders: &[],
    volatile_files: &[
        // The package list stands for the database.
        "lib/apk/db/installed",
        "lib/apk/db/lock",
        "lib/apk/db/scripts.tar",
        "lib/apk/db/scripts.tar.gz",
        "usr/lib/apk/db/installed",
        "usr/lib/apk/db/lock",
        "usr/lib/apk/db/scripts.tar",
        "usr/lib/apk/db/scripts.tar.gz",
    ],
};
