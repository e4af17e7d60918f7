//! A Docker engine, over its HTTP API. bollard's types stay inside this folder.

pub mod archive;
pub mod build;
pub mod builderror;
pub mod buildlog;
pub mod connect;
pub mod container;
pub mod context;
pub mod error;
pub mod exec;
pub mod http;
pub mod image;
pub mod logfile;
pub mod logs;
pub mod network;
pub mod observe;
pub mod probe;
pub mod raw;
mod room;
mod running;
pub mod save;
mod scan;
pub mod session;
pub mod spec;
pub mod steps;
pub mod sweep;
mod tunnel;
pub mod upload;
