//! All wording: journal facts become mail, Markdown and terminal text. Pure.

pub mod html;
pub mod mail;
pub mod terminal;
pub mod words;
