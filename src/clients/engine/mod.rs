//! A Docker engine, over its HTTP API. bollard's types stay inside this folder.

pub mod build;
pub mod builderror;
pub mod buildlog;
pub mod connect;
pub mod container;
pub mod context;
pub mod error;
pub mod export;
pub mod image;
pub mod logfile;
pub mod network;
pub mod probe;
pub mod raw;
mod scan;
pub mod session;
pub mod steps;
