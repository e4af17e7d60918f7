//! `lowtide history`

use super::args::Global;
use super::exit::Exit;

pub(super) async fn history(_global: &Global, _app: Option<&str>, _limit: u32, _json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
