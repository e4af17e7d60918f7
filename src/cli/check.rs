//! `lowtide check`

use super::args::{CheckFormat, Global};
use super::exit::Exit;
use super::{live, open};

pub(super) async fn check(global: &Global, _connect: bool, _format: CheckFormat) -> anyhow::Result<Exit> {
    let Some(loaded) = open::configuration(global).await? else {
        return Ok(Exit::Problems);
    };
    live::print_line(&format!("{} apps, no problems", loaded.fleet.apps.len()));
    Ok(Exit::Done)
}

pub(super) fn schema() -> anyhow::Result<Exit> {
    live::print_line(&serde_json::to_string_pretty(&crate::config::raw::schema())?);
    Ok(Exit::Done)
}
