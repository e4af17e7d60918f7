//! The next step of a rollout.
