//! `Packages` files in a compact form that is also the form on disk: Debian wiki "RepositoryFormat", deb-control(5).

mod build;
pub mod error;
mod intern;
pub mod read;
pub(crate) mod stanza;
