//! Configuration: what people see when it is wrong, and what the reference file promises.

mod broken;
mod example;
mod merged;
mod robust;
