//! Health, readiness, metrics, a status page and the plan as JSON over HTTP (docs/api.md). Reading only: nothing is controlled over TCP.

mod door;
mod host;
mod page;
pub mod serve;
mod shared;
pub mod standby;
