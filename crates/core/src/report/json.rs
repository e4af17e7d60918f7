//! What `plan --json` and the HTTP API show. Each response is one JSON object with `"version": 1`; keys are added,
//! never renamed or reused, without a new version. Times are UTC (RFC 3339), lengths milliseconds. Wait and halt
//! reasons and conclusions have the journal's own shape. See docs/api.md.

use super::plan::{self, ChannelPlan, ChannelTrouble, PlanRow, RolloutPlan, TargetPlan};
use super::windows::Needs;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, HaltReason, WaitReason};
use lowtide_model::halt::Exposure;
use lowtide_model::policy::{Mode, Schedule};
use lowtide_model::preview::{Chosen, Entry, Move, OrderReason, Planned, PlannedState, RolloutPreview, What};
use lowtide_model::rollout::UpdateOrder;
use lowtide_model::rollout::{Part, RolloutConclusion};
use serde::Serialize;
use std::collections::BTreeMap;

/// Shape of every response in JSON.
pub const VERSION: u32 = 1;

/// `plan --json`, `GET /api/v1/plan`.
#[derive(Debug, Serialize)]
pub struct Plan<'a> {
    version: u32,
    now: Timestamp,
    paused: bool,
    apps: Vec<Planning<'a>>,
}

/// `GET /api/v1/rollouts`.
#[derive(Debug, Serialize)]
pub struct Rollouts<'a> {
    version: u32,
    now: Timestamp,
    paused: bool,
    rollouts: Vec<Rollout<'a>>,
}

/// A halt, as of now.
#[derive(Debug, Serialize)]
pub struct Halted {
    since: Timestamp,
    reason: HaltReason,
    /// When the oldest image that a target runs was built.
    running_since: Option<Timestamp>,
    /// Security fixes that the worst of the targets lacks.
    security: usize,
}

impl Halted {
    #[must_use]
    pub fn new((since, reason): &(Timestamp, HaltReason), exposure: Exposure) -> Self {
        Self {
            since: *since,
            reason: reason.clone(),
            running_since: exposure.built,
            security: exposure.security,
        }
    }
}

#[derive(Debug, Serialize)]
struct Planning<'a> {
    app: &'a str,
    mode: Mode,
    timezone: &'a str,
    schedule: &'a Schedule,
    /// `null`: only on request, or after a release of a parent.
    next_run: Option<Timestamp>,
    parents: Vec<&'a str>,
    halted: Option<Halted>,
    /// Rollouts that are still watched twice as long.
    probation: u32,
    /// The same of each target; others are left out.
    probation_left: BTreeMap<&'a str, u32>,
    /// What is wrong with channels; others are left out.
    channels: Vec<Channel<'a>>,
    targets: Vec<Target<'a>>,
    /// Only for a single app.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Vec<Setting<'a>>>,
}

#[derive(Debug, Serialize)]
struct Channel<'a> {
    channel: &'a str,
    #[serde(flatten)]
    trouble: Trouble<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "trouble")]
enum Trouble<'a> {
    /// The channel does not get its release. `again`: when the promotion is retried automatically; `null`: not before
    /// the next night.
    Unpromoted {
        tag: &'a str,
        since: Timestamp,
        failure: Failure,
        again: Option<Timestamp>,
    },
    /// The app is halted, and these targets run another release than the channel has.
    Disagrees {
        has: &'a str,
        targets: BTreeMap<&'a str, &'a str>,
    },
}

/// A release that a target did not take, although nothing is wrong with the release.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    tag: &'a str,
    since: Timestamp,
    failure: Failure,
}

/// What a target runs in place of its last release.
#[derive(Debug, Serialize)]
struct Drifted<'a> {
    tag: &'a str,
    since: Timestamp,
    drift: &'a Drift,
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    target: &'a str,
    rollout: Option<Rollout<'a>>,
    refused: Option<Refused<'a>>,
    drifted: Option<Drifted<'a>>,
    window: Window,
    /// What must be left of an opening for a rollout to begin.
    needs_ms: i64,
    /// `cutoff`: the configuration says so; `history`: by earlier rollouts; `limits`: by the target's own limits.
    needs_by: &'static str,
    bake_ms: i64,
    /// The coming night's runs end only then, after the window has opened; `null`: they end in time.
    night_done: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
enum Window {
    Open {
        until: Timestamp,
    },
    Closed {
        opens: Timestamp,
    },
    /// The configuration has `window.freeze`.
    Frozen,
    /// There is one, and it never opens.
    NeverOpens,
    /// There is none.
    Never,
}

#[derive(Debug, Serialize)]
struct Setting<'a> {
    key: &'a str,
    value: &'a str,
    origin: &'a str,
}

/// An open rollout.
#[derive(Debug, Serialize)]
struct Rollout<'a> {
    rollout: String,
    app: &'a str,
    target: &'a str,
    /// Of the release.
    tag: &'a str,
    opened: Timestamp,
    /// `null`: it is in progress.
    waits: Option<WaitReason>,
    /// It has waited for too long, since then; `null`: it has not.
    overdue: Option<Timestamp>,
    /// `null`: not known, or it waits for none.
    opening: Option<Opening>,
    /// It waits for no window.
    window_ignored: bool,
    needs_ms: i64,
    needs_by: &'static str,
    bake_ms: i64,
    /// `preflighted`, or `assumed`: one unit stands for all, until preflight has looked.
    chosen: Chosen,
    units: Vec<Unit<'a>>,
    steps: Vec<Step<'a>>,
    /// If every step goes well; `null`: not known.
    ends: Option<RolloutConclusion>,
}

/// Of a window.
#[derive(Debug, Serialize)]
struct Opening {
    /// `null`: it is open now.
    opens: Option<Timestamp>,
    until: Timestamp,
}

/// A container or service that is moved.
#[derive(Debug, Serialize)]
struct Unit<'a> {
    unit: usize,
    name: &'a str,
    /// `dependent`: it is made again on its own image.
    part: Part,
    /// Tag or image it ran before; `null`: not looked at yet.
    from: Option<&'a str>,
    /// `start-first`, `stop-first`; `null`: not looked at yet.
    order: Option<UpdateOrder>,
    #[serde(flatten)]
    why: &'a OrderReason,
    /// Of a service.
    tasks: Option<u64>,
    /// `waiting`, `moving`, `moved`, `baking`, `finishing`, `returning`, `returned`, `untouched`.
    phase: &'static str,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    /// `null`: of all of them.
    unit: Option<usize>,
    /// In the words of docs/rollouts.md and docs/swarm.md.
    step: &'a str,
    /// Of a bake.
    #[serde(skip_serializing_if = "Option::is_none")]
    lasts_ms: Option<i64>,
    /// That Swarm replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<u64>,
    /// `done`, `running`, `failed`, `abandoned`, `ahead`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<i64>,
}

/// `settings`: those of the one requested app.
#[must_use]
pub fn plan<'a>(rows: &'a [PlanRow], paused: bool, now: Timestamp, settings: Option<&'a [plan::Setting]>) -> Plan<'a> {
    Plan {
        version: VERSION,
        now,
        paused,
        apps: rows.iter().map(|row| planning(row, settings)).collect(),
    }
}

/// Every open rollout of the rows.
#[must_use]
pub fn rollouts(rows: &[PlanRow], paused: bool, now: Timestamp) -> Rollouts<'_> {
    let targets = rows.iter().flat_map(|row| row.targets.iter().map(move |it| (row, it)));
    let open = targets.filter_map(|(row, it)| Some(rollout(row, it, it.rollout.as_ref()?)));
    Rollouts {
        version: VERSION,
        now,
        paused,
        rollouts: open.collect(),
    }
}

fn planning<'a>(row: &'a PlanRow, settings: Option<&'a [plan::Setting]>) -> Planning<'a> {
    let setting = |(key, value, origin): &'a plan::Setting| Setting { key, value, origin };
    Planning {
        app: row.app.as_str(),
        mode: row.mode,
        timezone: &row.timezone,
        schedule: &row.schedule,
        next_run: row.next_run,
        parents: row.parents.iter().map(|parent| parent.as_str()).collect(),
        halted: row
            .halted
            .as_ref()
            .map(|(since, reason)| Halted::new(&(*since, halt(reason)), row.exposure)),
        probation: row.probation.iter().map(|(_, left)| *left).max().unwrap_or(0),
        probation_left: row
            .probation
            .iter()
            .map(|(target, left)| (target.as_str(), *left))
            .collect(),
        channels: row.channels.iter().map(channel).collect(),
        targets: row.targets.iter().map(|it| target(row, it)).collect(),
        settings: settings.map(|all| all.iter().map(setting).collect()),
    }
}

fn channel(plan: &ChannelPlan) -> Channel<'_> {
    let trouble = match &plan.trouble {
        ChannelTrouble::Unpromoted {
            tag,
            since,
            failure,
            again,
        } => Trouble::Unpromoted {
            tag,
            since: *since,
            failure: brief(failure.clone()),
            again: *again,
        },
        ChannelTrouble::Disagrees { has, targets } => Trouble::Disagrees {
            has,
            targets: targets
                .iter()
                .map(|(target, tag)| (target.as_str(), tag.as_str()))
                .collect(),
        },
    };
    Channel {
        channel: plan.channel.as_str(),
        trouble,
    }
}

fn target<'a>(row: &'a PlanRow, target: &'a TargetPlan) -> Target<'a> {
    let (needs_ms, needs_by) = needs(target.needs);
    Target {
        target: target.target.as_str(),
        rollout: target.rollout.as_ref().map(|open| rollout(row, target, open)),
        refused: target.refused.as_ref().map(|refused| Refused {
            tag: &refused.tag,
            since: refused.since,
            failure: brief(refused.failure.clone()),
        }),
        drifted: target.drifted.as_ref().map(|drifted| Drifted {
            tag: &drifted.tag,
            since: drifted.since,
            drift: &drifted.drift,
        }),
        window: match target.window {
            plan::Window::Open { until } => Window::Open { until },
            plan::Window::Closed { opens } => Window::Closed { opens },
            plan::Window::Frozen => Window::Frozen,
            plan::Window::NeverOpens => Window::NeverOpens,
            plan::Window::Never => Window::Never,
        },
        needs_ms,
        needs_by,
        bake_ms: millis(target.bake),
        night_done: target.late.map(|(done, _)| done),
    }
}

fn rollout<'a>(row: &'a PlanRow, target: &'a TargetPlan, open: &'a RolloutPlan) -> Rollout<'a> {
    let RolloutPreview {
        chosen,
        moves,
        steps,
        ends,
    } = &open.preview;
    let (needs_ms, needs_by) = needs(target.needs);
    Rollout {
        rollout: open.id.to_string(),
        app: row.app.as_str(),
        target: target.target.as_str(),
        tag: &open.tag,
        opened: open.opened,
        waits: open.waits.clone().map(wait),
        overdue: open.overdue,
        opening: match open.entry {
            Entry::At { opens, until } => Some(Opening { opens, until }),
            Entry::Ignored | Entry::Unknown => None,
        },
        window_ignored: open.entry == Entry::Ignored,
        needs_ms,
        needs_by,
        bake_ms: millis(target.bake),
        chosen: *chosen,
        units: moves.iter().enumerate().map(unit).collect(),
        steps: steps.iter().map(step).collect(),
        ends: ends.clone().map(end),
    }
}

/// Log lines are left out: they are for `show` and `incident`, not for everybody who can reach the port.
fn brief(failure: Failure) -> Failure {
    Failure {
        excerpt: Vec::new(),
        findings: Vec::new(),
        ..failure
    }
}

fn halt(reason: &HaltReason) -> HaltReason {
    match reason.clone() {
        HaltReason::Reverted { failure } => HaltReason::Reverted {
            failure: brief(failure),
        },
        HaltReason::Irreversible { failure } => HaltReason::Irreversible {
            failure: brief(failure),
        },
        HaltReason::Stuck { failure } => HaltReason::Stuck {
            failure: brief(failure),
        },
        other @ (HaltReason::Operator { .. } | HaltReason::Withdrawn { .. }) => other,
    }
}

fn end(conclusion: RolloutConclusion) -> RolloutConclusion {
    match conclusion {
        RolloutConclusion::Refused { failure } => RolloutConclusion::Refused {
            failure: brief(failure),
        },
        RolloutConclusion::Reverted { failure } => RolloutConclusion::Reverted {
            failure: brief(failure),
        },
        RolloutConclusion::Stuck { failure } => RolloutConclusion::Stuck {
            failure: brief(failure),
        },
        RolloutConclusion::Done | RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. } => conclusion,
    }
}

fn wait(waits: WaitReason) -> WaitReason {
    match waits {
        WaitReason::Retry { at, failure } => WaitReason::Retry {
            at,
            failure: brief(failure),
        },
        WaitReason::Window { .. }
        | WaitReason::NoWindow
        | WaitReason::WindowNeverOpens
        | WaitReason::WindowTooShort { .. }
        | WaitReason::Frozen { .. }
        | WaitReason::Suspended { .. }
        | WaitReason::Baking { .. }
        | WaitReason::Converging { .. }
        | WaitReason::HookBusy { .. }
        | WaitReason::OtherRuns { .. }
        | WaitReason::Paused
        | WaitReason::Halted
        | WaitReason::LastInQueue => waits,
    }
}

fn unit((unit, it): (usize, &Move)) -> Unit<'_> {
    Unit {
        unit,
        name: &it.name,
        part: it.part,
        from: it.from.as_deref(),
        order: it.order,
        why: &it.why,
        tasks: it.tasks,
        phase: it.phase.word(),
    }
}

fn step(line: &Planned) -> Step<'_> {
    let (step, lasts_ms, tasks) = match &line.what {
        What::Step { step } => (step.as_str(), None, None),
        What::Tasks { total } => ("waits", None, Some(*total)),
        What::Bake { lasts } => ("bake", Some(millis(*lasts)), None),
    };
    let (since, took_ms) = match line.state {
        PlannedState::Done { took } => (None, Some(millis(took))),
        PlannedState::Running { since } => (Some(since), None),
        PlannedState::Failed | PlannedState::Abandoned | PlannedState::Ahead => (None, None),
    };
    Step {
        unit: line.unit,
        step,
        lasts_ms,
        tasks,
        state: line.state.word(),
        since,
        took_ms,
    }
}

fn needs(needs: Needs) -> (i64, &'static str) {
    match needs {
        Needs::Cutoff(cutoff) => (millis(cutoff), "cutoff"),
        Needs::Estimate { lasts, rollouts: 0 } => (millis(lasts), "limits"),
        Needs::Estimate { lasts, .. } => (millis(lasts), "history"),
    }
}

fn millis(length: SignedDuration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
