//! `lowtide incident`

use super::args::Global;
use super::exit::Exit;
use super::{live, open, status, views};
use crate::runtime::{detail, fleet_status};
use crate::store::database::Store;
use anyhow::Context;
use lowtide_core::report::{halt, incident};
use lowtide_model::halt::{HaltPolicy, Incident, OperatorRollback};
use lowtide_model::journal::Stream;
use lowtide_model::name::{AppName, RolloutId};

/// Matches that are named when the end of an id is not enough.
const NAMED: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Json,
    /// What has to be filled in, and nothing else.
    Form,
}

impl Shape {
    pub(super) fn of(json: bool, form: bool) -> Self {
        match (json, form) {
            (true, _) => Shape::Json,
            (false, true) => Shape::Form,
            (false, false) => Shape::Text,
        }
    }
}

pub(super) async fn incident(global: &Global, what: &str, shape: Shape) -> anyhow::Result<Exit> {
    let Some(fleet) = status::fleet(global).await? else {
        return Ok(Exit::Problems);
    };
    let Some(store) = open::reader(&global.state)? else {
        eprintln!("there is no state in {}", global.state.display());
        return Ok(Exit::Failed);
    };
    let app_states = fleet_status::app_states(&store).await?;
    let app = what.parse::<AppName>().ok();
    let rollout = match app.as_ref().and_then(|app| app_states.get(app)) {
        Some(app_state) => match fleet_status::incident_of(app_state) {
            Some(rollout) => rollout,
            None => {
                eprintln!("no rollout of {what} was rolled back or got stuck");
                return Ok(Exit::Failed);
            }
        },
        None => match ending(&store, what).await? {
            Some(rollout) => rollout,
            None => return Ok(Exit::Failed),
        },
    };
    let events = store.rollout_events(rollout).await?;
    if events.is_empty() {
        eprintln!("the journal of rollout {rollout} is past its time (`retention.history`)");
        return Ok(Exit::Failed);
    }
    let view = detail::rollout(rollout, &events).context("this rollout's journal is broken")?;
    let configured = fleet.apps.get(&view.app);
    let policy = configured.map(|app| app.halt.clone()).unwrap_or_default();
    let app_state = app_states.get(&view.app).cloned().unwrap_or_default();
    let report = Report {
        incident: &view.incident,
        policy: &policy,
        since: fleet_status::halted_since(&app_state, rollout),
        operator_rollback: app_state.operator_rollback_of(rollout),
    };
    report.print(shape)?;
    if shape == Shape::Text {
        let open = app_state
            .incidents
            .iter()
            .map(|open| ("It waits for this one too", open.rollout));
        let same = report
            .operator_rollback
            .iter()
            .flat_map(|operator_rollback| &operator_rollback.rollouts);
        let same = same.map(|rollout| ("Also rolled back by this one", *rollout));
        for (what, other) in open.chain(same).filter(|(_, other)| *other != rollout) {
            live::print_line(&format!("\n{what}: lowtide incident {}", other.short()));
        }
    }
    Ok(Exit::Done)
}

struct Report<'a> {
    incident: &'a Incident,
    policy: &'a HaltPolicy,
    since: Option<jiff::Timestamp>,
    operator_rollback: Option<&'a OperatorRollback>,
}

impl Report<'_> {
    fn print(&self, shape: Shape) -> anyhow::Result<()> {
        let Report {
            incident,
            policy,
            since,
            operator_rollback,
        } = *self;
        let form = halt::form(incident, policy);
        match shape {
            Shape::Form => live::print(&form),
            Shape::Json => {
                let view = views::ShownIncident::new(incident, policy, (since, operator_rollback), &form);
                live::print_line(&serde_json::to_string(&view)?);
            }
            Shape::Text => {
                live::print(&incident::text(
                    incident,
                    since,
                    operator_rollback,
                    fleet_status::now(),
                    live::style(),
                ));
                if since.is_some() && operator_rollback.is_some() {
                    live::print_line(&format!("\n{}", halt::lifts_withdrawal(&incident.app)));
                } else if since.is_some() {
                    live::print_line("\nwhat lifts the halt");
                    live::print_line(&format!("  {}\n", halt::what_lifts(&incident.app, policy)));
                    live::print(&form);
                }
            }
        }
        Ok(())
    }
}

async fn ending(store: &Store, end: &str) -> anyhow::Result<Option<RolloutId>> {
    let found = store.streams_ending(end, NAMED + 1).await?;
    let rollouts: Vec<RolloutId> = found
        .iter()
        .filter_map(|row| match row.stream {
            Stream::Rollout(id) => Some(id),
            Stream::Run(_) | Stream::App(_) => None,
        })
        .collect();
    match rollouts.as_slice() {
        [] => eprintln!("no app is named {end}, and no rollout ends in it"),
        [one] => return Ok(Some(*one)),
        more => {
            eprintln!("more than one rollout ends in {end}:");
            for id in more.iter().take(NAMED as usize) {
                eprintln!("  {id}");
            }
        }
    }
    Ok(None)
}
