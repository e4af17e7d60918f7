//! git, through its command: credentials, LFS, ssh and protocols behave as people expect.

mod access;
pub mod address;
mod checkout;
pub mod error;
pub mod history;
mod listing;
pub mod local;
mod mirror;
mod process;
pub mod remote;
