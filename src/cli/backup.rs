//! `lowtide backup` and `lowtide restore`

use super::args::Global;
use super::exit::Exit;
use super::{live, open};
use crate::store::backup::{self, RestoreError};
use std::path::Path;

pub(super) async fn backup(global: &Global, to: &Path) -> anyhow::Result<Exit> {
    let Some(store) = open::reader(&global.state)? else {
        eprintln!("there is no state in {}", global.state.display());
        return Ok(Exit::Unusable);
    };
    backup::write(&global.state, &store, to).await?;
    Ok(Exit::Done)
}

pub(super) fn restore(global: &Global, from: &Path) -> anyhow::Result<Exit> {
    match backup::restore(from, &global.state) {
        Ok(()) => {
            live::print_line(&format!(
                "{} is restored. Make sure that the lowtide it comes from runs no more, then start this one: it continues the rollouts that were open.",
                global.state.display()
            ));
            Ok(Exit::Done)
        }
        Err(RestoreError::Held { path }) => {
            eprintln!("another lowtide owns {path}");
            Ok(Exit::Held)
        }
        Err(
            error @ (RestoreError::NotEmpty { .. }
            | RestoreError::NoBackup { .. }
            | RestoreError::Unread(_)
            | RestoreError::Store(_)),
        ) => Err(error.into()),
    }
}
