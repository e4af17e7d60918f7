//! The channels that messages go through: one folder per channel with everything about it that is pure. [`channel`] is the
//! contract with the router, [`list`] is the list. What delivers a notice is in `runtime/channels`.

pub mod channel;
pub mod github;
pub mod list;
pub mod mail;
pub mod webhook;
