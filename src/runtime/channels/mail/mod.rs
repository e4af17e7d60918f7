//! Mail over SMTP.

pub mod courier;
pub mod render;
