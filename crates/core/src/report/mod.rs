//! All wording: journal facts become mail, Markdown and terminal text. Pure.
//!
//! A message becomes a [`page`] (what is said, in which order), and the page is printed as [`text`], as
//! [`html`] or as a channel's own markup, so all say the same.

pub mod audit;
pub mod change;
pub mod clean;
pub mod comparison;
mod daily_report;
pub mod halt;
pub mod html;
pub mod incident;
pub mod inventory;
pub mod json;
mod late_rollout;
pub mod link;
pub mod live;
pub mod message_line;
pub mod message_page;
pub mod outdated;
pub mod outstanding;
pub mod page;
pub mod plan;
pub mod quantity;
pub mod registry_tags;
pub mod rollout;
mod run_record;
pub mod sections;
pub mod style;
pub mod table;
pub mod terminal;
pub mod text;
pub mod trouble;
mod unfixable;
pub mod views;
pub mod windows;
pub mod words;
