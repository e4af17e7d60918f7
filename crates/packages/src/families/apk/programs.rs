//! apk's program, as far as a list says it all.

use crate::families::programs::{Programs, Upgrade};

pub(super) const PROGRAMS: Programs = Programs {
    harmless: &[],
    readers: &[],
    sources: &[],
    keys: &[],
    upgrade: Upgrade {
        program: "apk",
        script: "apk -U upgrade && rm -rf /var/cache/apk/*",
    },
    // src/database.c, src/app_update.c.
    stale_index: &[
        r"(?:WARNING|ERROR): (?:Ignoring |fetching |opening |updating and opening |updating )?\S*(?:https?://|APKINDEX)\S*: ",
        r"^WARNING: .*(?:temporary error|https?://.*unable to|unable to .*(?:https?://|APKINDEX))",
        r"^(?:[1-9]\d* unavailable, \d+ stale|\d+ unavailable, [1-9]\d* stale);",
    ],
};
