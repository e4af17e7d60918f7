//! All wording: journal facts become mail, Markdown and terminal text. Pure.
//!
//! A notice becomes a [`page`] (what is said, in which order), and the page is printed twice, as [`text`] and as
//! [`html`], so both always say the same.

pub mod audit;
mod change;
pub(crate) mod clean;
pub mod comparison;
mod daily_report;
pub mod halt;
mod html;
pub mod incident;
pub mod inventory;
pub mod json;
mod late_rollout;
pub mod live;
pub mod mail;
pub mod markdown;
mod notice_page;
pub mod outdated;
pub mod outstanding;
mod page;
pub mod plan;
pub mod rollout;
mod table;
pub mod terminal;
mod text;
pub mod trouble;
mod unfixable;
pub mod windows;
pub mod words;
