//! Every decision: synchronous functions of (state, observation, policy, now).

pub mod archive;
pub mod commit_link;
pub mod daily_report;
pub mod drift;
pub mod family;
pub mod fixable;
pub mod freshness;
pub mod halt;
pub mod handover;
pub mod labels;
pub mod notify;
pub mod outlook;
pub mod quarantine;
pub mod recall;
pub mod recover;
pub mod retention;
pub mod retry;
pub mod rollout;
pub mod run;
pub mod schedule;
pub mod standing;
pub mod substance;
pub mod tell;
pub mod tell_github;
pub mod window;
pub mod withheld;
