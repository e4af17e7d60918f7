//! The command line: one file per command. stdout is the answer, stderr the log.

pub mod args;
mod audit;
mod backup;
mod board;
mod check;
mod diff;
mod exit;
mod history;
mod incident;
mod inventory;
mod live;
mod names;
mod open;
mod operate;
mod outdated;
mod plan;
mod probe;
mod run;
mod screen;
mod serve;
mod show;
mod standby;
mod start;
mod status;
mod views;
mod window_views;
mod windows;
