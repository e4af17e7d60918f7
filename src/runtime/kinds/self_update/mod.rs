//! The replacement of lowtide's own container: the update helper, the hand-over of the state, and what is left of them.

mod effects;
pub mod helper;
pub mod perform;
mod refusals;
pub mod standby;
