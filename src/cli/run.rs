//! `lowtide run APP…`

use super::args::Global;
use super::exit::Exit;
use super::operate;
use crate::runtime::control::OperatorRequest;
use lowtide_model::policy::Unhealthy;

pub(super) async fn run(
    global: &Global,
    apps: &[String],
    now: bool,
    unhealthy: Unhealthy,
    rebuild: bool,
    json: bool,
) -> anyhow::Result<Exit> {
    let apps = apps
        .iter()
        .map(|app| operate::name(app))
        .collect::<Result<Vec<_>, _>>()?;
    operate::send_request(
        global,
        OperatorRequest::Run {
            apps,
            now,
            rebuild,
            unhealthy,
            by: operate::who(),
        },
        json,
    )
    .await
}
