//! All wording: journal facts become mail, Markdown and terminal text. Pure.
//!
//! A notice becomes a [`page`] (what is said, in which order), and the page is printed twice, as [`text`] and as
//! [`html`], so both always say the same.

pub mod mail;
pub mod markdown;
pub mod terminal;
pub mod words;

mod change;
mod clean;
mod digest;
mod html;
mod incident;
mod page;
mod table;
mod text;
