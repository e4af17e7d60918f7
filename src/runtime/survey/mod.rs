//! What is pending inside images: their package managers' rules, applied to what their archives publish now.

pub mod cached;
pub mod images;
pub(crate) mod record;
pub mod state;
