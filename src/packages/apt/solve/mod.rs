//! Deciding as `apt-get dist-upgrade` does: what each package could become, what all of them then need, and what gives way
//! where not everything fits.

pub(in crate::packages::apt) mod file;
pub(in crate::packages::apt) mod lookup;
mod mark;
mod phase;
pub(in crate::packages::apt) mod plan;
mod policy;
mod repair;
mod score;
mod upgrade;
pub(in crate::packages::apt) mod world;
