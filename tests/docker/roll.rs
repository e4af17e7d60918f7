//! Rolling plain containers on a real engine: what is made anew is what was there, and the way back is open.

mod corpus;
mod described;
mod preflight;
mod recreate;
mod round_trip;
mod stage;
mod verbs;
