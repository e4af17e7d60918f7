//! Configuration: what people see when it is wrong, and what the reference file promises.

#![allow(clippy::too_many_lines, reason = "snapshots of reports are long")]

mod broken;
mod example;
mod followed;
mod merged;
mod robust;
