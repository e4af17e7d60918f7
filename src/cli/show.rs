//! `lowtide show`

use super::args::Global;
use super::exit::Exit;

pub(super) async fn show(_global: &Global, _id: &str, _json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
