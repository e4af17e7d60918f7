//! One file (or folder) per outside system. They do what is requested and report the outcome; they decide nothing.

mod age;
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
