//! One file (or folder) per outside system. They do what they are told and report what happened; they decide nothing.

pub mod archive;
pub mod clock;
pub mod credentials;
pub mod engine;
pub mod git;
pub mod github;
pub(crate) mod http;
pub mod pipe;
pub mod registry;
pub mod secrets;
pub mod smtp;

pub mod tls;
