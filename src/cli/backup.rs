//! `lowtide backup`

use super::args::Global;
use super::exit::Exit;
use super::open;
use std::path::PathBuf;

pub(super) async fn backup(global: &Global, to: PathBuf) -> anyhow::Result<Exit> {
    let Some(store) = open::reader(&global.state)? else {
        eprintln!("there is no state in {}", global.state.display());
        return Ok(Exit::Unusable);
    };
    store.backup(to).await?;
    Ok(Exit::Done)
}
