//! Health, readiness, metrics, pages and the plan as JSON over HTTP (docs/api.md, docs/pages.md). Reading only: nothing is controlled over TCP.

mod door;
mod hook_signature;
pub mod hooks;
mod host;
mod pages;
mod respond;
pub mod serve;
mod shared;
pub mod standby;
mod visits;
