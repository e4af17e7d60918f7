//! What delivers the notices of each channel: one folder per channel. [`courier`] is the contract with the outbox.

pub mod courier;
pub mod github;
pub mod mail;
pub mod webhook;
