//! What we say `apk upgrade` would do, beside what apk itself says: in random repositories, and in the cases that apk-tools is
//! published with. Skipped unless requested, as no distribution here has apk. Built from its sources (2.14:
//! `make LUA=no`; 3: meson), it is named by `LOWTIDE_TEST_APK`, several of them with a colon between:
//!
//! ```sh
//! LOWTIDE_TEST_APK=…/apk2:…/apk3 LOWTIDE_TEST_APK_CASES=…/apk-tools/test/solver cargo test -p lowtide-packages --test truth_apk -- --ignored
//! ```
//!
//! `LOWTIDE_TEST_WORLDS=from..to` selects other random worlds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on must panic; the table is for people"
)]

mod case;
mod cases;
mod random;
mod universe;
mod versions;
