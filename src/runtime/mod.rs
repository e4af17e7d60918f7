//! The only asynchronous orchestration: where decisions, the store and the clients meet.

pub mod perform;
