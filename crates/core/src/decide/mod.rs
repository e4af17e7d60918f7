//! Every decision: synchronous functions of (state, observation, policy, now).

pub mod app_state;
pub mod code_change;
pub mod commit_link;
pub mod consequences;
pub mod daily_report;
pub mod drift;
pub mod family;
pub mod fixable;
pub mod forecast;
pub mod freshness;
pub mod gates;
pub mod halt;
pub mod handover;
pub mod labels;
pub mod notify;
pub mod quarantine;
pub mod recover;
pub mod retention;
pub mod retry;
pub mod rollout;
pub mod run;
pub mod schedule;
pub mod unfixable;
pub mod window;
pub mod withdraw;
