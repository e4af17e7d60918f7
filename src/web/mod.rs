//! Health, readiness, metrics and a status page over HTTP. Reading only: nothing is controlled over TCP.

mod metrics;
mod page;
pub mod serve;
pub mod standby;
