//! What the calls of apt's and dpkg's programs in a build do to packages.

pub(super) mod apt;
pub(super) mod dpkg;
