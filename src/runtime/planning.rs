//! What happens next, gathered: one row per app for `plan`, the API and the status page.

use super::fleet_status::{self, AppStatus, FleetStatus, OpenRollout};
use crate::store::database::Store;
use crate::store::error::StoreError;
use jiff::SignedDuration;
use lowtide_core::kinds::list::TargetPolicy;
use lowtide_core::report::plan::{
    ChannelPlan, ChannelTrouble, DriftPlan, PlanRow, RefusedPlan, RolloutPlan, TargetPlan, Window,
};
use lowtide_core::report::windows::Needs;
use lowtide_model::name::AppName;
use std::collections::BTreeMap;

/// One row per app of the status. `usual`: how long their runs take.
#[must_use]
pub fn rows(fleet_status: &FleetStatus, usual: &BTreeMap<AppName, SignedDuration>) -> Vec<PlanRow> {
    let apps = fleet_status.apps.iter();
    apps.map(|app| row(app, fleet_status, usual.get(&app.app.name).copied()))
        .collect()
}

/// The usual length of a run of each app of the status; those that never ran are left out.
///
/// # Errors
/// When the store cannot be read.
pub async fn usual(store: &Store, fleet_status: &FleetStatus) -> Result<BTreeMap<AppName, SignedDuration>, StoreError> {
    let apps = fleet_status.apps.iter().map(|app| app.app.name.clone());
    fleet_status::usual_lengths(store, apps.collect()).await
}

fn row(app: &AppStatus, fleet_status: &FleetStatus, usual: Option<SignedDuration>) -> PlanRow {
    let configured = app.app.rollout.iter();
    let is_configured = |open: &OpenRollout| app.app.rollout.iter().any(|target| target.settings.name == open.target);
    let left = app.rollouts.iter().filter(|open| !is_configured(open));
    PlanRow {
        app: app.app.name.clone(),
        mode: app.app.mode,
        timezone: app.app.timezone.clone(),
        schedule: app.app.schedule.clone(),
        next_run: app.next_run,
        parents: app.parents.clone(),
        halted: app.app_state.halted.clone(),
        exposure: app.exposure(),
        probation: app.probation(),
        channels: channels(app),
        built: app
            .app_state
            .judged
            .as_ref()
            .map(|judged| (judged.at, judged.because.clone())),
        unfixable: app.app_state.unfixable.clone(),
        targets: configured
            .map(|it| target(app, it, fleet_status, usual))
            .chain(left.map(removed))
            .collect(),
    }
}

/// What is wrong with the app's channels.
fn channels(app: &AppStatus) -> Vec<ChannelPlan> {
    let app_state = &app.app_state;
    let unpromoted = app.unpromoted().map(|(channel, failing)| ChannelPlan {
        channel: channel.clone(),
        trouble: ChannelTrouble::Unpromoted {
            tag: app_state
                .release(failing.release)
                .map_or_else(String::new, |release| release.tag.clone()),
            since: failing.since,
            failure: failing.failure.clone(),
            again: failing.due(),
        },
    });
    let apart = app_state.apart(&app.app).into_iter().map(|apart| ChannelPlan {
        channel: apart.channel,
        trouble: ChannelTrouble::Disagrees {
            has: apart.has,
            targets: apart.targets,
        },
    });
    unpromoted.chain(apart).collect()
}

fn target(
    app: &AppStatus,
    target: &TargetPolicy,
    fleet_status: &FleetStatus,
    usual: Option<SignedDuration>,
) -> TargetPlan {
    let open = app
        .rollouts
        .iter()
        .find(|rollout| rollout.target == target.settings.name);
    TargetPlan {
        target: target.settings.name.clone(),
        rollout: open.map(rollout),
        refused: app
            .refusals()
            .find(|refusal| *refusal.target == target.settings.name)
            .map(|refusal| RefusedPlan {
                tag: refusal.release.tag.clone(),
                since: refusal.since,
                failure: refusal.failure.clone(),
            }),
        drifted: app
            .drifted()
            .find(|drifted| *drifted.target == target.settings.name)
            .map(|drifted| DriftPlan {
                tag: drifted.release.tag.clone(),
                since: drifted.since,
                drift: drifted.drift.clone(),
            }),
        window: match app.window(target, fleet_status.now) {
            fleet_status::Window::Open { until } => Window::Open { until },
            fleet_status::Window::Closed { opens } => Window::Closed { opens },
            fleet_status::Window::Frozen => Window::Frozen,
            fleet_status::Window::NeverOpens => Window::NeverOpens,
            fleet_status::Window::Never => Window::Never,
        },
        needs: app.needs(target),
        bake: open.map_or(target.settings.bake, |open| open.bake),
        late: app.late(target, usual).map(|late| (late.done, late.opens)),
    }
}

/// A rollout whose target has been taken out of the configuration: what was begun is finished.
fn removed(open: &OpenRollout) -> TargetPlan {
    let (lasts, rollouts) = open.needs;
    TargetPlan {
        target: open.target.clone(),
        rollout: Some(rollout(open)),
        refused: None,
        drifted: None,
        window: Window::Never,
        needs: Needs::Estimate { lasts, rollouts },
        bake: open.bake,
        late: None,
    }
}

fn rollout(open: &OpenRollout) -> RolloutPlan {
    RolloutPlan {
        id: open.id,
        tag: open.tag.clone(),
        opened: open.opened,
        waits: open.waits.clone(),
        overdue: open.overdue,
        preview: open.preview(),
        entry: open.entry,
    }
}
