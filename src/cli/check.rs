//! `lowtide check`

use super::args::{CheckFormat, Global};
use super::exit::Exit;
use super::{live, open};
use crate::config::diagnostic::{self, Problem};
use crate::config::{unread, validate};
use crate::model::fleet::Fleet;
use crate::report::words;
use crate::runtime::config_watch::Found;
use crate::runtime::reach::{self, Reached};
use serde_json::json;

/// What is looked at besides the text.
pub(super) struct Also {
    pub(super) secrets: bool,
    pub(super) connect: bool,
    pub(super) mail: Option<String>,
}

/// Columns of `engine build`, `registry ghcr.io`.
const WHAT: usize = 30;

pub(super) async fn check(global: &Global, also: &Also, format: CheckFormat) -> anyhow::Result<Exit> {
    let found = open::found(global).await?;
    let (fleet, problems) = match validate::fleet(&found.text) {
        Ok(fleet) => {
            let problems = if also.secrets {
                unread::secrets(&found.text, &reach::unreadable_secrets(&fleet))
            } else {
                Vec::new()
            };
            (Some(fleet), problems)
        }
        Err(problems) => (None, problems),
    };
    let usable = fleet.filter(|_| problems.is_empty());
    let reached = match &usable {
        Some(fleet) if also.connect => connect(fleet, also, format).await?,
        Some(_) | None => Vec::new(),
    };
    print(&found, &problems, usable.as_ref(), &reached, format)?;
    Ok(if !problems.is_empty() {
        Exit::Problems
    } else if reached.iter().any(|r| r.answer.is_err()) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

pub(super) fn schema() -> anyhow::Result<Exit> {
    live::print_line(&serde_json::to_string_pretty(&crate::config::raw::schema())?);
    Ok(Exit::Done)
}

async fn connect(fleet: &Fleet, also: &Also, format: CheckFormat) -> anyhow::Result<Vec<Reached>> {
    let scratch = open::Scratch::new()?;
    let mirrors = scratch.path().join("mirrors");
    let reached = reach::everything(fleet, open::docker_config(), mirrors, also.mail.as_deref(), |reached| {
        if format == CheckFormat::Human {
            live::print_line(&line(reached));
        }
    })
    .await;
    Ok(reached)
}

fn line(reached: &Reached) -> String {
    match &reached.answer {
        Ok(words) => format!("{:WHAT$}  ok      {words}", reached.what),
        Err(why) => format!("{:WHAT$}  FAILED  {why}", reached.what),
    }
}

fn print(
    found: &Found,
    problems: &[Problem],
    fleet: Option<&Fleet>,
    reached: &[Reached],
    format: CheckFormat,
) -> anyhow::Result<()> {
    match format {
        CheckFormat::Human => match fleet {
            Some(fleet) => {
                let apps = words::counted(fleet.apps.len(), "app", "apps");
                live::print_line(&format!("{}: {apps}, no problems", found.shown));
            }
            None => {
                let text = String::from_utf8_lossy(&found.text);
                live::print(&diagnostic::terminal(&found.shown, &text, problems));
            }
        },
        CheckFormat::Json => {
            let mut answer = diagnostic::json(&found.shown, problems);
            answer["revision"] = json!(found.revision);
            answer["connections"] = reached
                .iter()
                .map(|r| json!({ "what": r.what, "ok": r.answer.is_ok(), "words": r.answer.as_ref().unwrap_or_else(|why| why) }))
                .collect();
            live::print_line(&serde_json::to_string_pretty(&answer)?);
        }
        CheckFormat::Sarif => {
            let answer = diagnostic::sarif(&found.shown, problems);
            live::print_line(&serde_json::to_string_pretty(&answer)?);
        }
    }
    Ok(())
}
