//! What apt would say, from an image's small files and verified archive indexes. Sources of the rules: Debian Policy,
//! apt-get(8), sources.list(5), apt_preferences(5), apt.conf(5), and apt itself, which the tests compare with.

pub mod available;
pub mod believe;
mod calls;
pub mod condensed;
mod conf;
mod deb822;
pub mod family;
pub mod index;
mod owned;
mod paths;
mod pattern;
pub mod pending;
mod preferences;
mod programs;
mod relation;
pub mod release;
pub mod settings;
mod solve;
pub mod sources;
pub mod state;
pub mod status;
pub mod trust;
pub mod version;
