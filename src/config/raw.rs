//! The YAML as written: serde structs. The only file that names the YAML crate.
