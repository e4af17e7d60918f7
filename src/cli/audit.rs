//! `lowtide audit`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, views};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lowtide_core::report::audit::{self, Entry};

pub(super) async fn audit(global: &Global, app: Option<&str>, since: Option<Date>, json: bool) -> anyhow::Result<Exit> {
    open::named_state(global)?;
    let app = app.map(operate::name).transpose()?;
    let since = match since {
        Some(day) => day.to_zoned(TimeZone::UTC)?.timestamp(),
        None => Timestamp::UNIX_EPOCH,
    };
    let (mut of_apps, mut of_all) = (Vec::new(), Vec::new());
    if let Some(store) = open::reader(&global.state)? {
        // An app that is no longer configured has a past, too.
        let all = store.audit(since).await?.into_iter();
        of_apps.extend(all.filter(|(of, _)| app.as_ref().is_none_or(|app| app == of)));
        // Events of the whole fleet concern each app.
        of_all = store.fleet_audit(since).await?;
    }
    if json {
        live::print_line(&serde_json::to_string(&views::Audit::of(of_apps, of_all))?);
        return Ok(Exit::Done);
    }
    let of_apps = of_apps.iter().filter_map(|(app, recorded)| {
        Some(Entry {
            at: recorded.at,
            app: Some(app),
            act: recorded.event.act()?,
        })
    });
    let of_all = of_all.iter().map(|recorded| Entry {
        at: recorded.at,
        app: None,
        act: recorded.event.act(),
    });
    let mut entries: Vec<Entry<'_>> = of_apps.chain(of_all).collect();
    entries.sort_by_key(|entry| entry.at);
    live::print(&audit::audit(&entries, live::style()));
    Ok(Exit::Done)
}
