//! `plan`: per app what happens next, when, and why not.

use super::table::{Cell, Ink, columns};
use super::terminal::{Style, relative};
use super::{clean, halt, words};
use crate::model::failure::{HaltReason, WaitReason};
use crate::model::fleet::{Mode, Schedule};
use crate::model::freshness::Because;
use crate::model::halt::Exposure;
use crate::model::name::{AppName, RolloutId, TargetName};
use crate::model::standing::Withheld;
use jiff::Timestamp;

/// One app's future.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    pub app: AppName,
    pub mode: Mode,
    /// IANA zone its times are shown in.
    pub timezone: String,
    pub schedule: Schedule,
    pub next_run: Option<Timestamp>,
    /// A release of one of these starts a run too.
    pub parents: Vec<AppName>,
    pub halted: Option<(Timestamp, HaltReason)>,
    /// How old what runs is, and what it lacks.
    pub exposure: Exposure,
    /// Rollouts that are still watched twice as long.
    pub probation: u32,
    /// When it was built last, as far as that was worth remembering, and why.
    pub built: Option<(Timestamp, Vec<Because>)>,
    /// What no rebuild can mend, and since when.
    pub withheld: Option<(Timestamp, Withheld)>,
    pub targets: Vec<TargetPlan>,
}

/// What a target waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetPlan {
    pub target: TargetName,
    /// The open rollout with its tag and what it waits for (`None`: it is at work).
    pub rollout: Option<(RolloutId, String, Option<WaitReason>)>,
    /// The release, or those it took the place of, has waited since then: too long.
    pub overdue: Option<Timestamp>,
    pub window: Window,
    /// A run of the coming night is done only then, after the window opened.
    pub late: Option<(Timestamp, Timestamp)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Open { until: Timestamp },
    Closed { opens: Timestamp },
    Frozen,
    Never,
}

/// One setting in force: key, value, who said so.
pub type Setting = (String, String, String);

/// All apps, one paragraph each.
#[must_use]
pub fn plan(rows: &[PlanRow], paused: bool, now: Timestamp, style: Style) -> String {
    let mut out = String::new();
    if paused {
        out.push_str("Everything is paused: runs go on, nothing is promoted or rolled out.\n\n");
    }
    let paragraphs: Vec<String> = rows.iter().map(|row| app(row, now, style)).collect();
    out.push_str(&paragraphs.join("\n"));
    if rows.is_empty() {
        out.push_str("No apps are configured.\n");
    }
    out
}

/// Every setting of one app and where it came from.
#[must_use]
pub fn settings(settings: &[Setting], style: Style) -> String {
    let rows: Vec<_> = settings
        .iter()
        .map(|(key, value, origin)| {
            [
                clean::one_line(key, 60).into(),
                clean::one_line(value, 60).into(),
                Ink::Soft.cell(origin.as_str()),
            ]
        })
        .collect();
    columns(&rows, style.width, style.color)
}

fn app(row: &PlanRow, now: Timestamp, style: Style) -> String {
    let mode = match row.mode {
        Mode::Observe => "observe: builds and tests, pushes and rolls out nothing",
        Mode::Active => "active",
    };
    let mut lines: Vec<[Cell; 2]> = vec![line("mode", mode.into()), line("next run", next_run(row, now).into())];
    if let Some((at, because)) = &row.built {
        let because = words::because(because);
        lines.push(line("last build", format!("{}: {because}", relative(*at, now)).into()));
    }
    if let Some((since, withheld)) = &row.withheld {
        let text = format!("{}, for {}", words::withheld(withheld), words::span(*since, now));
        lines.push(line("behind", Ink::Warn.cell(text)));
    }
    if let Some((since, reason)) = &row.halted {
        let text = format!("for {}. {}", words::span(*since, now), words::halted(reason));
        lines.push(line("halted", Ink::Bad.cell(text)));
        let exposed = halt::exposed(row.exposure, now);
        if !exposed.is_empty() {
            lines.push(line("", Ink::Warn.cell(exposed)));
        }
    }
    if row.probation > 0 {
        let text = format!("{}: their bake is doubled", halt::probation(row.probation));
        lines.push(line("watched", Ink::Warn.cell(text)));
    }
    if row.targets.is_empty() {
        lines.push(line("rollout", Ink::Soft.cell("no target is configured")));
    }
    for target in &row.targets {
        lines.push(line(target.target.as_str(), target_words(row, target).into()));
        if let Some(since) = target.overdue {
            let text = format!("it has waited for {}", words::span(since, now));
            lines.push(line("", Ink::Warn.cell(text)));
        }
        if let Some((done, opens)) = target.late {
            let text = format!(
                "the night may end too late: done by {}, open from {}",
                words::moment(done, &row.timezone),
                words::moment(opens, &row.timezone)
            );
            lines.push(line("", Ink::Warn.cell(text)));
        }
    }
    format!("{}\n{}", row.app, columns(&lines, style.width, style.color))
}

fn next_run(row: &PlanRow, now: Timestamp) -> String {
    let by_schedule = match (&row.schedule, row.next_run) {
        (Schedule::Never, _) => "only when asked: `lowtide run`".to_owned(),
        (Schedule::Between { .. } | Schedule::Cron(_), None) => "never: its schedule has no moment".to_owned(),
        (Schedule::Between { .. } | Schedule::Cron(_), Some(at)) if at <= now => "due now".to_owned(),
        (Schedule::Between { .. }, Some(at)) => moment(at, row, now, "nightly"),
        (Schedule::Cron(cron), Some(at)) => moment(at, row, now, &format!("cron {}", clean::one_line(cron, 60))),
    };
    let parents: Vec<&str> = row.parents.iter().map(AppName::as_str).collect();
    if parents.is_empty() {
        by_schedule
    } else {
        format!("{by_schedule}; and after a release of {}", parents.join(", "))
    }
}

fn moment(at: Timestamp, row: &PlanRow, now: Timestamp, why: &str) -> String {
    format!("{}, {} ({why})", relative(at, now), words::moment(at, &row.timezone))
}

fn target_words(row: &PlanRow, target: &TargetPlan) -> String {
    match &target.rollout {
        Some((id, tag, None)) => format!("rollout {} of {} is at work", id.short(), clean::one_line(tag, 40)),
        Some((id, tag, Some(why))) => format!(
            "rollout {} of {}: {}",
            id.short(),
            clean::one_line(tag, 40),
            words::waiting(why, &row.timezone)
        ),
        None => match (row.mode, target.window) {
            (Mode::Observe, _) => "nothing rolls out in observe mode".to_owned(),
            (Mode::Active, Window::Open { until }) => {
                format!(
                    "nothing waits; its window is open until {}",
                    words::moment(until, &row.timezone)
                )
            }
            (Mode::Active, Window::Closed { opens }) => {
                format!(
                    "nothing waits; its window opens {}",
                    words::moment(opens, &row.timezone)
                )
            }
            (Mode::Active, Window::Frozen) => "nothing waits; nothing would begin: rollouts are frozen".to_owned(),
            (Mode::Active, Window::Never) => {
                "nothing waits; without a window a rollout waits for `lowtide run APP --now`".to_owned()
            }
        },
    }
}

fn line(label: &str, value: Cell) -> [Cell; 2] {
    [Ink::Soft.cell(format!("  {label}")), value]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::{Failure, FailureKind};
    use insta::assert_snapshot;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn row(app: &str, mode: Mode) -> PlanRow {
        PlanRow {
            app: app.parse().unwrap(),
            mode,
            timezone: "America/Moncton".into(),
            schedule: Schedule::Cron("30 1 * * *".into()),
            next_run: Some(at("2026-11-24T05:30:00Z")),
            parents: vec![],
            built: None,
            withheld: None,
            halted: None,
            exposure: Exposure::default(),
            probation: 0,
            targets: vec![],
        }
    }

    fn target(name: &str, window: Window) -> TargetPlan {
        TargetPlan {
            target: name.parse().unwrap(),
            rollout: None,
            overdue: None,
            window,
            late: None,
        }
    }

    #[test]
    fn every_kind_of_future() {
        let opens = at("2026-11-24T07:00:00Z");
        let mut archives = row("archives", Mode::Active);
        archives.parents = vec!["drupal-base".parse().unwrap()];
        archives.targets = vec![target("front", Window::Closed { opens }), target("cron", Window::Never)];
        archives.targets[0].rollout = Some((
            "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
            "20261123.x-1".into(),
            Some(WaitReason::Window { opens }),
        ));
        archives.targets[0].overdue = Some(at("2026-11-08T12:00:00Z"));
        archives.targets[0].late = Some((at("2026-11-24T07:10:00Z"), opens));
        let mut shop = row("shop", Mode::Active);
        shop.schedule = Schedule::Never;
        shop.next_run = None;
        let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "shop: 503");
        shop.halted = Some((at("2026-11-22T12:00:00Z"), HaltReason::Reverted { failure }));
        shop.exposure = Exposure {
            built: Some(at("2026-11-11T12:00:00Z")),
            security: 4,
        };
        let mut frozen = row("frozen", Mode::Active);
        frozen.probation = 2;
        frozen.targets = vec![target("web", Window::Frozen)];
        let mut base = row("drupal-base", Mode::Observe);
        base.targets = vec![target("web", Window::Closed { opens })];
        let style = Style {
            color: false,
            width: 130,
        };
        assert_snapshot!(plan(&[archives, shop, base, frozen], true, at("2026-11-23T12:00:00Z"), style), @r"
        Everything is paused: runs go on, nothing is promoted or rolled out.

        archives
          mode      active
          next run  in 17 h, 2026-11-24 01:30 America/Moncton (cron 30 1 * * *); and after a release of drupal-base
          front     rollout jkmnpqrs of 20261123.x-1: waits for its window, 2026-11-24 03:00 America/Moncton
                    it has waited for 15 days
                    the night may end too late: done by 2026-11-24 03:10 America/Moncton, open from 2026-11-24 03:00 America/Moncton
          cron      nothing waits; without a window a rollout waits for `lowtide run APP --now`

        shop
          mode      active
          next run  only when asked: `lowtide run`
          halted    for 24 hours. A rollout was taken back. The new container did not become ready: shop: 503.
                    runs an image 12 days old; 4 security fixes wait
          rollout   no target is configured

        drupal-base
          mode      observe: builds and tests, pushes and rolls out nothing
          next run  in 17 h, 2026-11-24 01:30 America/Moncton (cron 30 1 * * *)
          web       nothing rolls out in observe mode

        frozen
          mode      active
          next run  in 17 h, 2026-11-24 01:30 America/Moncton (cron 30 1 * * *)
          watched   on probation, 2 rollouts left: their bake is doubled
          web       nothing waits; nothing would begin: rollouts are frozen
        ");
    }

    #[test]
    fn settings_say_who_said_so() {
        let rows = [
            ("bake".to_owned(), "2m".to_owned(), "default".to_owned()),
            (
                "source.repo".to_owned(),
                "https://git.example.org/a.git".to_owned(),
                "app".to_owned(),
            ),
        ];
        assert_snapshot!(settings(&rows, Style { color: false, width: 100 }), @r"
        bake         2m                             default
        source.repo  https://git.example.org/a.git  app
        ");
    }
}
