//! The signed webhook over HTTP.

pub mod courier;
pub mod payload;
pub mod request;
