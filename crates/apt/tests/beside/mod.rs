//! What we say, beside what this machine's apt and dpkg say.

pub(crate) mod said;
pub(crate) mod universe;
pub(crate) mod versions;
pub(crate) mod worlds;
