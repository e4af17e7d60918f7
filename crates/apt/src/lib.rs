//! What `apt-get dist-upgrade` would do, from an image's small files and the repositories' indexes, without running apt. Sources of
//! the rules: Debian Policy, apt-get(8), sources.list(5), apt_preferences(5), apt.conf(5), and apt itself, which the tests compare
//! with.
//!
//! [`state::AptState`] is what an image has, [`release::Release`] and [`index::read::Index`] are what a repository offers, and
//! [`pending::pending`] is what an upgrade of everything would do. No I/O: who reads the files and checks the signatures is up to the
//! caller.
//!
//! ```
//! use lowtide_apt::{index::read::Index, pending::{Suite, SuiteIndex, pending}, release::Release, state::AptState};
//! use std::collections::BTreeMap;
//!
//! let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
//! let image = AptState::read(&BTreeMap::from([
//!     file("var/lib/dpkg/arch", "amd64\n"),
//!     file("etc/apt/sources.list", "deb http://deb.example.org/debian stable main\n"),
//!     file(
//!         "var/lib/dpkg/status",
//!         "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.2-1\n",
//!     ),
//! ]))?;
//! // The caller fetched these two files, and verified the signature of the first and the hash of the second.
//! let release = Release::parse("Origin: Example\nSuite: stable\nCodename: stable\nDate: Sat, 15 Nov 2025 09:00:00 UTC\n")?;
//! let packages = "Package: zlib1g\nArchitecture: amd64\nVersion: 1:1.2-2\nFilename: zlib1g.deb\n";
//! let index = Index::parse(packages.as_bytes(), "Packages")?;
//! let suite = Suite {
//!     source: &image.sources[0],
//!     release: &release,
//!     indexes: vec![SuiteIndex { component: "main", architecture: "amd64", index: &index }],
//! };
//! let pending = pending(&image, &[suite])?;
//! assert_eq!(pending.upgrades[0].package, "zlib1g");
//! assert_eq!(pending.upgrades[0].candidate, "1:1.2-2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod available;
mod conf;
pub mod deb822;
pub mod error;
pub mod index;
mod pattern;
pub mod pending;
pub mod planned;
mod preferences;
mod relation;
pub mod release;
pub mod settings;
mod solve;
pub mod sources;
pub mod state;
pub mod version;
