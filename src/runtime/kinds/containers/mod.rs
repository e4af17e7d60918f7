//! Containers on a plain Docker engine, recreated faithfully: raw JSON in, raw JSON out, so that fields unknown to any
//! typed binding survive. Read [`snapshot`], [`preflight`], [`body`], [`create`], then the single [`verbs`].

pub mod attach;
pub mod body;
mod compose;
mod config;
pub mod create;
pub mod dependencies;
pub mod dropped;
pub(super) mod effects;
mod fidelity;
pub mod find;
pub mod hook;
pub mod host;
pub mod inject;
pub(in crate::runtime) mod json;
mod layer;
mod layer_read;
pub mod name;
mod network;
pub mod observe;
mod order;
pub mod own;
pub(super) mod perform;
pub mod preflight;
pub mod pull;
pub mod rollback_image;
pub mod route;
pub mod sight;
pub mod snapshot;
pub mod tag;
pub mod verbs;
pub mod volumes;
