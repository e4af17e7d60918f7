//! The only asynchronous orchestration: where decisions, the store and the clients meet.

pub mod archives;
pub mod bases;
pub mod bot;
pub mod config_watch;
pub mod control;
pub mod digest;
pub mod drive_rollout;
pub mod drive_run;
pub mod github;
pub mod housekeeping;
pub mod inventory;
pub mod logins;
pub mod notify;
mod notify_github;
mod operator;
pub mod outdated;
pub mod perform;
pub mod progress;
pub mod reach;
pub mod reading;
pub mod story;
pub mod supervisor;
pub mod surroundings;
pub mod survey;
pub mod sweep;
pub mod tick;
pub mod windows;
