//! The nouns. No I/O, no async, no clock: plain data that every other layer shares.

pub mod command;
pub mod comparison;
pub mod dropped;
pub mod failure;
pub mod file_hash;
pub mod fleet;
pub mod freshness;
pub mod halt;
pub mod hide;
pub mod image;
pub mod image_config;
pub mod inventory;
pub mod itself;
pub mod journal;
pub mod local;
pub mod name;
pub mod notice;
pub mod outlook;
pub mod package_state;
pub mod rollout;
pub mod run;
pub mod secret;
pub mod service;
pub mod stages;
pub mod standing;
pub mod window;
