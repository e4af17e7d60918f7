//! `lowtide check`

use super::args::{CheckFormat, Global};
use super::exit::Exit;
use super::{live, open, status};
use crate::runtime::config_watch::Found;
use crate::runtime::connectivity::{self, Reached};
use crate::runtime::{fleet_status, windows};
use lowtide_core::config::warning::{self, WindowWarning};
use lowtide_core::config::{raw, unread, validate};
use lowtide_core::fleet::app::Fleet;
use lowtide_core::report::{windows as words_of_windows, words};
use lowtide_core::yaml::diagnostic::{self, Problem};
use lowtide_model::window::Doubt;
use serde_json::json;

/// What is looked at besides the text.
pub(super) struct Also {
    pub(super) secrets: bool,
    pub(super) connect: bool,
    pub(super) mail: Option<String>,
}

impl Also {
    pub(super) fn of(secrets: bool, connect: bool, mail: Option<String>) -> Self {
        Self { secrets, connect, mail }
    }
}

/// Columns of `engine build`, `registry ghcr.io`.
const WHAT: usize = 30;

pub(super) async fn check(global: &Global, also: &Also, format: CheckFormat) -> anyhow::Result<Exit> {
    let found = open::found(global).await?;
    let (fleet, problems) = match validate::fleet_beside(&found.text, &found.beside) {
        Ok(fleet) => {
            let problems = if also.secrets {
                unread::secrets(&found.text, &connectivity::unreadable_secrets(&fleet))
            } else {
                Vec::new()
            };
            (Some(fleet), problems)
        }
        Err(problems) => (None, problems),
    };
    let usable = fleet.filter(|_| problems.is_empty());
    let warnings = match &usable {
        Some(fleet) => warnings(global, fleet, &found.text).await,
        None => Vec::new(),
    };
    let reached = match &usable {
        Some(fleet) if also.connect => connect(fleet, also, format).await?,
        Some(_) | None => Vec::new(),
    };
    print(&found, (&problems, &warnings), usable.as_ref(), &reached, format)?;
    Ok(if !problems.is_empty() {
        Exit::Problems
    } else if reached.iter().any(|r| r.result.is_err()) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

pub(super) fn schema(of_repository: bool) -> anyhow::Result<Exit> {
    let schema = if of_repository {
        raw::own_file_schema()
    } else {
        raw::schema()
    };
    live::print_line(&serde_json::to_string_pretty(&schema)?);
    Ok(Exit::Done)
}

/// Warnings about valid settings that let no rollout begin. Earlier rollouts, where the state can be read, show how
/// long one takes.
async fn warnings(global: &Global, fleet: &Fleet, text: &[u8]) -> Vec<Problem> {
    let fleet_status = match status::read(global, fleet).await {
        Ok(fleet_status) => fleet_status,
        Err(_) => fleet_status::untouched(fleet, false, fleet_status::now()),
    };
    let warnings: Vec<WindowWarning> = windows::doubtful(&fleet_status)
        .into_iter()
        .map(|it| WindowWarning {
            code: match it.doubt {
                Doubt::NeverOpens => "window-never-opens",
                Doubt::TooShort { .. } => "window-too-short",
            },
            message: words_of_windows::doubt(&it.app, &it.target, it.doubt, it.needs),
            hint: format!(
                "`lowtide windows --app {} --target {}` shows its openings; until then a rollout waits for `lowtide run {} --now`",
                it.app, it.target, it.app
            ),
            app: it.app,
            index: it.index,
        })
        .collect();
    warning::windows(text, &warnings)
}

async fn connect(fleet: &Fleet, also: &Also, format: CheckFormat) -> anyhow::Result<Vec<Reached>> {
    let scratch = open::Scratch::new()?;
    let mirrors = scratch.path().join("mirrors");
    let reached = connectivity::everything(fleet, open::docker_config(), mirrors, also.mail.as_deref(), |reached| {
        if format == CheckFormat::Human {
            live::print_line(&line(reached));
        }
    })
    .await;
    Ok(reached)
}

fn line(reached: &Reached) -> String {
    match &reached.result {
        Ok(words) => format!("{:WHAT$}  ok      {words}", reached.what),
        Err(why) => format!("{:WHAT$}  FAILED  {why}", reached.what),
    }
}

fn print(
    found: &Found,
    (problems, warnings): (&[Problem], &[Problem]),
    fleet: Option<&Fleet>,
    reached: &[Reached],
    format: CheckFormat,
) -> anyhow::Result<()> {
    match format {
        CheckFormat::Human => match fleet {
            Some(fleet) => {
                if !warnings.is_empty() {
                    let text = String::from_utf8_lossy(&found.text);
                    live::print(&diagnostic::warnings(&found.shown, &text, warnings));
                }
                live::print_line(&format!("{}: {}", found.shown, summary(fleet.apps.len(), reached)));
            }
            None => {
                let text = String::from_utf8_lossy(&found.text);
                live::print(&diagnostic::terminal(&found.shown, &text, problems));
            }
        },
        CheckFormat::Json => {
            let mut report = diagnostic::json(&found.shown, problems);
            report["warnings"] = diagnostic::json(&found.shown, warnings)["problems"].take();
            report["revision"] = json!(found.revision);
            report["connections"] = reached
                .iter()
                .map(|r| json!({ "what": r.what, "ok": r.result.is_ok(), "words": r.result.as_ref().unwrap_or_else(|why| why) }))
                .collect();
            live::print_line(&serde_json::to_string_pretty(&report)?);
        }
        CheckFormat::Sarif => {
            let report = diagnostic::sarif(&found.shown, problems, warnings);
            live::print_line(&serde_json::to_string_pretty(&report)?);
        }
    }
    Ok(())
}

/// What the rows above it come to.
fn summary(apps: usize, reached: &[Reached]) -> String {
    let apps = words::counted(apps, "app", "apps");
    let failed = reached.iter().filter(|reached| reached.result.is_err()).count();
    match (reached.len(), failed) {
        (0, _) => format!("{apps}, no problems"),
        (all, 0) => format!(
            "{apps}, no problems; {}",
            words::counted(all, "connection works", "connections work")
        ),
        (all, failed) => format!("{apps}, the configuration has no problems; {failed} of {all} connections FAILED"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_agrees_with_the_rows() {
        let row = |ok: bool| Reached {
            what: "engine here".to_owned(),
            result: if ok {
                Ok("26".to_owned())
            } else {
                Err("no answer".to_owned())
            },
        };
        assert_eq!(summary(2, &[]), "2 apps, no problems");
        assert_eq!(summary(1, &[row(true)]), "1 app, no problems; 1 connection works");
        assert_eq!(
            summary(1, &[row(true), row(true)]),
            "1 app, no problems; 2 connections work"
        );
        assert_eq!(
            summary(1, &[row(true), row(false)]),
            "1 app, the configuration has no problems; 1 of 2 connections FAILED"
        );
    }
}
