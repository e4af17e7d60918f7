//! `lowtide windows`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, plan, status, window_views};
use crate::runtime::windows::{self, Which};
use jiff::civil::Date;
use jiff::{Span, ToSpan};
use lowtide_core::report::windows as words;
use lowtide_core::report::words::no_such_app;

/// What was asked for.
#[derive(Debug, clap::Args)]
pub(super) struct WindowsArgs {
    /// This app only.
    #[arg(long)]
    app: Option<String>,
    /// This target only.
    #[arg(long)]
    target: Option<String>,
    /// All openings of a span instead of the next five: `2y`, `6mo`, `90d`.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    simulate: Option<Span>,
    /// From this day on; from now on, if not given.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// As one JSON object, for programs.
    #[arg(long)]
    json: bool,
}

/// Like the plan, from the configuration as it stands now, so that a change can be looked at before it is in force.
pub(super) async fn windows(global: &Global, args: &WindowsArgs) -> anyhow::Result<Exit> {
    let app = args.app.as_deref().map(operate::name).transpose()?;
    let fleet = match plan::in_force(global).await? {
        Some(fleet) => fleet,
        None => match open::fleet(global).await? {
            Some(fleet) => fleet,
            None => return Ok(Exit::Problems),
        },
    };
    let reading = status::read(global, &fleet).await?;
    let wanted = |name: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| wanted == name);
    let which = Which {
        span: args.simulate,
        from: args.from,
    };
    let mut rows = Vec::new();
    for app in reading
        .apps
        .iter()
        .filter(|it| app.as_ref().is_none_or(|app| it.app.name == *app))
    {
        for target in &app.app.rollout {
            if wanted(target.settings.name.as_str(), args.target.as_deref()) {
                rows.push(windows::row(app, target, which, reading.now)?);
            }
        }
    }
    if rows.is_empty() && (args.app.is_some() || args.target.is_some()) {
        match app.filter(|app| !fleet.apps.contains_key(app)) {
            Some(app) => eprintln!("{}", no_such_app(app.as_str(), fleet.apps.keys())),
            None => eprintln!("no such target: {}", args.target.as_deref().unwrap_or_default()),
        }
        return Ok(Exit::Failed);
    }
    if args.json {
        live::print_line(&serde_json::to_string(&window_views::windows(&rows, reading.now))?);
    } else {
        live::print(&words::windows(&rows, live::style()));
    }
    Ok(Exit::Done)
}

/// `2y`, `18 months`, `90d`: at most three years, since nobody knows the rules of clocks beyond.
fn span(text: &str) -> Result<Span, String> {
    let span: Span = text
        .parse()
        .map_err(|_| "write it like `2y`, `6mo` or `90d`".to_owned())?;
    let start = Date::constant(2026, 1, 1);
    let end = start.checked_add(span).map_err(|_| "it is too long".to_owned())?;
    if end <= start || end > start.saturating_add(3.years()) {
        return Err("between a day and three years".to_owned());
    }
    Ok(span)
}
