//! Rolling plain containers on a real engine: what is made anew is what was there, and the way back is open.

mod preflight;
mod recreate;
pub(crate) mod stage;
mod verbs;
