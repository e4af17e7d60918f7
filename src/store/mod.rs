//! The database: journal streams, outbox, evidence, config revisions. Rows ↔ model; SQL lives only here.
//!
//! One writer thread owns the only connection that writes; short synchronous transactions, never across an await.
//! Read-only queries have connections of their own.

pub mod archives;
pub mod backup;
pub mod checkpoint;
pub mod database;
pub mod error;
pub mod evidence;
mod future;
pub mod handover;
pub mod journal;
pub mod layer_cache;
pub mod lock;
pub mod marks;
pub mod one_app;
pub mod outbox;
pub mod overview;
pub mod packed;
mod pieces;
mod private;
pub mod pushed_tags;
mod readers;
pub mod retention;
pub mod revisions;
pub mod sealed;
mod sql;
pub mod survey_cache;
