//! `lowtide audit`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, views};
use crate::report::audit;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub(super) async fn audit(global: &Global, app: Option<&str>, since: Option<Date>, json: bool) -> anyhow::Result<Exit> {
    open::named_state(global)?;
    let app = app.map(operate::name).transpose()?;
    let since = match since {
        Some(day) => day.to_zoned(TimeZone::UTC)?.timestamp(),
        None => Timestamp::UNIX_EPOCH,
    };
    let mut rows = Vec::new();
    if let Some(store) = open::reader(&global.state)? {
        // An app that is no longer configured has a past, too.
        let all = store.audit(since).await?.into_iter();
        rows.extend(all.filter(|(of, _)| app.as_ref().is_none_or(|app| app == of)));
    }
    if json {
        live::print_line(&serde_json::to_string(&views::Audit::from(rows))?);
    } else {
        live::print(&audit::audit(&rows, live::style()));
    }
    Ok(Exit::Done)
}
