//! `lowtide inventory`

use super::args::Global;
use super::exit::Exit;
use super::{diff, live, screen, views};
use crate::runtime::inventory::compare::{self, Named};
use lowtide_core::report::inventory;

pub(super) async fn inventory(global: &Global, image: &str, platform: &str, json: bool) -> anyhow::Result<Exit> {
    let places = diff::places(global, platform)?;
    let named = Named::parse(image);
    let reading = compare::image(&places, &named);
    let read = screen::with_progress(|| inventory::reading(&[image]), reading).await?;
    if json {
        live::print_line(&serde_json::to_string(&views::ShownInventory::from(&read))?);
    } else {
        let text = inventory::inventory(&read.image, &read.seen.inventory, &read.content, live::style());
        live::print(&text);
    }
    Ok(Exit::Done)
}
