//! `lowtide plan`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, operate, status, views};
use crate::config::validate::Provenance;
use crate::model::fleet::Fleet;
use crate::model::name::AppName;
use crate::report::plan::{self as words, PlanRow, TargetPlan};
use crate::runtime::reading::{self, AppReading, Reading};
use jiff::SignedDuration;
use std::collections::BTreeMap;

/// The plan is made from the configuration as it stands now, so that a change can be looked at before it is in force.
pub(super) async fn plan(global: &Global, app: Option<&str>, json: bool) -> anyhow::Result<Exit> {
    let app = app.map(operate::name).transpose()?;
    let Some((mut fleet, provenance)) = open::configuration_with_provenance(global).await? else {
        return Ok(Exit::Problems);
    };
    // Families need everybody; only what is shown is narrowed.
    let mut reading = status::read(global, &fleet).await?;
    if let Some(app) = &app {
        if !fleet.apps.contains_key(app) {
            eprintln!("no such app: {app}");
            return Ok(Exit::Failed);
        }
        reading.apps.retain(|reading| reading.app.name == *app);
        fleet.apps.retain(|name, _| name == app);
    }
    let usual = usual(global, &fleet).await?;
    let rows: Vec<PlanRow> = reading.apps.iter().map(|app| row(app, &reading, &usual)).collect();
    let settings = app.as_ref().map(|app| settings(&provenance, app));
    if json {
        let view = views::plan(&rows, &reading, settings.as_deref());
        live::print_line(&serde_json::to_string(&view)?);
        return Ok(Exit::Done);
    }
    let style = live::style();
    live::print(&words::plan(&rows, reading.paused, reading.now, style));
    if let Some(settings) = settings {
        live::print_line("\nsettings in force");
        live::print(&words::settings(&settings, style));
    }
    Ok(Exit::Done)
}

fn row(app: &AppReading, reading: &Reading, usual: &BTreeMap<AppName, SignedDuration>) -> PlanRow {
    let targets = app.app.rollout.iter().map(|target| TargetPlan {
        target: target.name.clone(),
        rollout: app
            .rollouts
            .iter()
            .find(|rollout| rollout.target == target.name)
            .map(|rollout| (rollout.id, rollout.tag.clone(), rollout.waits.clone())),
        overdue: app
            .rollouts
            .iter()
            .find(|rollout| rollout.target == target.name)
            .and_then(|rollout| rollout.overdue),
        window: match app.window(target, reading.now) {
            reading::Window::Open { until } => words::Window::Open { until },
            reading::Window::Closed { opens } => words::Window::Closed { opens },
            reading::Window::Frozen => words::Window::Frozen,
            reading::Window::Never => words::Window::Never,
        },
        late: app
            .late(target, usual.get(&app.app.name).copied())
            .map(|late| (late.done, late.opens)),
    });
    PlanRow {
        app: app.app.name.clone(),
        mode: app.app.mode,
        timezone: app.app.timezone.clone(),
        schedule: app.app.schedule.clone(),
        next_run: app.next_run,
        parents: app.parents.clone(),
        halted: app.standing.halted.clone(),
        exposure: app.exposure(),
        probation: app.standing.probation,
        built: app
            .standing
            .judged
            .as_ref()
            .map(|judged| (judged.at, judged.because.clone())),
        withheld: app.standing.withheld.clone(),
        targets: targets.collect(),
    }
}

async fn usual(global: &Global, fleet: &Fleet) -> anyhow::Result<BTreeMap<AppName, SignedDuration>> {
    let mut usual = BTreeMap::new();
    if let Some(store) = open::reader(&global.state)? {
        for app in fleet.apps.keys() {
            if let Some(length) = reading::usual_length(&store, app).await? {
                usual.insert(app.clone(), length);
            }
        }
    }
    Ok(usual)
}

fn settings(provenance: &Provenance, app: &AppName) -> Vec<words::Setting> {
    let of = provenance.get(app).into_iter().flatten();
    of.map(|s| (s.key.clone(), s.value.clone(), s.origin.to_string()))
        .collect()
}
