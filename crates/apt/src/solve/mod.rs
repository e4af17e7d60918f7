//! Deciding as `apt-get dist-upgrade` does: what each package could become, what all of them then need, and what gives way
//! where not everything fits.

mod census;
pub(crate) mod file;
pub(crate) mod lookup;
mod mark;
mod order;
mod phase;
pub(crate) mod plan;
mod policy;
mod pull;
mod repair;
mod score;
mod steps;
mod unneeded;
mod upgrade;
mod ways;
pub(crate) mod world;
