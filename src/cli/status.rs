//! `lowtide status`

use super::args::Global;
use super::exit::Exit;

pub(super) async fn status(_global: &Global, _json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
