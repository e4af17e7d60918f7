//! `lowtide diff`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, screen, views};
use crate::runtime::inventory::compare::{self, Named, Places};
use lowtide_core::report::{comparison, inventory};
use lowtide_model::comparison::Significance;
use lowtide_model::image::Platform;
use lowtide_model::policy::EngineAddress;

/// Needs no configuration.
pub(super) async fn diff(global: &Global, old: &str, new: &str, platform: &str, json: bool) -> anyhow::Result<Exit> {
    let places = places(global, platform)?;
    let (first, second) = (Named::parse(old), Named::parse(new));
    let comparing = compare::images(&places, &first, &second);
    let compared = screen::with_progress(|| inventory::reading(&[old, new]), comparing).await?;
    if json {
        live::print_line(&serde_json::to_string(&views::Diff::from(&compared))?);
    } else {
        live::print(&comparison::comparison(
            &compared.old,
            &compared.new,
            &compared.comparison,
            live::style(),
        ));
    }
    Ok(match compared.comparison.verdict {
        Significance::None => Exit::Done,
        Significance::Cosmetic | Significance::Security | Significance::Functional => Exit::Failed,
    })
}

/// The engine is Docker's default one, credentials are Docker's own.
pub(super) fn places(global: &Global, platform: &str) -> anyhow::Result<Places> {
    places_of(global, &open::default_engine()?, platform)
}

pub(super) fn places_of(global: &Global, engine: &EngineAddress, platform: &str) -> anyhow::Result<Places> {
    let tables = open::tables(global);
    Ok(Places::of_this_machine(
        engine,
        open::docker_config(),
        tables,
        parse(platform)?,
    )?)
}

/// `linux/arm/v7`
fn parse(text: &str) -> anyhow::Result<Platform> {
    let mut parts = text.split('/').map(ToOwned::to_owned);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(os), Some(architecture), variant, None) if !os.is_empty() && !architecture.is_empty() => Ok(Platform {
            os,
            architecture,
            variant,
        }),
        _ => anyhow::bail!("{text:?} is not a platform: linux/amd64, linux/arm/v7"),
    }
}
