//! What is pending inside images: their package managers' rules, applied to what their archives publish now.

mod apk;
mod apt;
pub mod cached;
pub mod images;
mod record;
pub mod state;
