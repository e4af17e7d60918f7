//! Health, readiness and metrics over HTTP. Reading only: nothing is controlled over TCP.

pub mod serve;
