//! What a monitoring system reads at `/metrics`: gauges of the state now, counters and histograms of what this process
//! has committed (docs/monitoring.md).

pub mod counters;
mod families;
mod gauges;
mod labels;
pub mod page;
#[cfg(test)]
mod tests;
