//! Rolling plain containers on a real engine: what is made anew is what was there, and the way back is open.

mod blame;
mod compose;
mod corpus;
mod described;
mod images;
mod inject;
mod mishaps;
mod networks;
mod preflight;
mod recreate;
mod round_trip;
pub(crate) mod stage;
mod ties;
mod verbs;
mod volumes;
mod watched;
mod whole;
