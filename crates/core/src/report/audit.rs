//! The audit log: operator actions, halts and quarantines.

use super::style::Style;
use super::table::{Cell, Ink, fitted};
use super::{clean, words};
use crate::fleet::app_state::Act;
use jiff::Timestamp;
use lowtide_model::failure::HaltReason;
use lowtide_model::name::AppName;

/// Characters of what someone wrote.
const DETAIL: usize = 400;

/// An entry of the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry<'a> {
    pub at: Timestamp,
    /// `None`: all of them.
    pub app: Option<&'a AppName>,
    pub act: Act<'a>,
}

/// Sorted as given.
#[must_use]
pub fn audit(entries: &[Entry<'_>], style: Style) -> String {
    let rows = entries.iter().map(|entry| {
        let (by, what) = described(entry.act);
        [
            words::moment(entry.at, "UTC").into(),
            entry.app.map_or("all apps", AppName::as_str).into(),
            by.map_or_else(|| Ink::Soft.cell("lowtide"), |by| clean::one_line(by, 40).into()),
            Cell::from(what),
        ]
    });
    let body: Vec<_> = rows.collect();
    if body.is_empty() {
        return "The audit log is empty.\n".to_owned();
    }
    let head = ["WHEN", "APP", "BY", "WHAT"].map(|h| Ink::Soft.cell(h));
    let table: Vec<_> = std::iter::once(head).chain(body).collect();
    fitted(&table, &[(1, 12), (2, 12)], style.width, style.color)
}

/// The person, if it was one, and what they did.
fn described(act: Act<'_>) -> (Option<&str>, String) {
    let shown = |why: &str| clean::one_line(why, DETAIL);
    match act {
        Act::Halted { reason } => halted(reason),
        Act::Quarantined { image, digest } => {
            let image = digest.map_or(image.to_string(), ToString::to_string);
            (None, format!("quarantined {image}"))
        }
        Act::Unquarantined { by, content, why } => {
            (Some(by), format!("released {content} from quarantine: {}", shown(why)))
        }
        Act::Resumed { by, why } => (Some(by), format!("resumed it: {}", shown(why))),
        Act::Expedited { by } => (Some(by), "asked for a cycle now, outside the window".to_owned()),
        Act::Cancelled { by, run } => (Some(by), format!("cancelled run {run}")),
        Act::Paused { by } => (Some(by), "paused rollouts and promotions".to_owned()),
        Act::Unpaused { by } => (Some(by), "resumed rollouts and promotions".to_owned()),
    }
}

fn halted(reason: &HaltReason) -> (Option<&str>, String) {
    match reason {
        HaltReason::Operator { by, why } => (Some(by), format!("halted it: {}", clean::one_line(why, DETAIL))),
        HaltReason::Withdrawn { by, why, tag, .. } => {
            let (tag, why) = (clean::one_line(tag, 128), clean::one_line(why, DETAIL));
            (Some(by), format!("withdrew {tag}: {why}"))
        }
        HaltReason::Reverted { .. } | HaltReason::Irreversible { .. } | HaltReason::Stuck { .. } => {
            (None, format!("halted it. {}", words::halted(reason)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::app_state::{AppEvent, FleetEvent};
    use lowtide_model::failure::{Failure, FailureKind};

    fn at(second: i64, event: AppEvent) -> (Timestamp, AppEvent) {
        (Timestamp::from_second(1_795_000_000 + second).unwrap(), event)
    }

    fn entry<'a>(app: &'a AppName, (at, event): &'a (Timestamp, AppEvent)) -> Option<Entry<'a>> {
        Some(Entry {
            at: *at,
            app: Some(app),
            act: event.act()?,
        })
    }

    #[test]
    fn who_did_what_is_reported_and_what_lowtide_held_back() {
        let (by, why) = ("alice", "the till is\nbroken");
        let halted = |reason| AppEvent::Halted { reason, settings: None };
        let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "web answers 500");
        let content = format!("sha256:{}", "c".repeat(64));
        let rows = [
            at(0, halted(HaltReason::Reverted { failure })),
            at(
                1,
                AppEvent::Quarantined {
                    content: content.parse().unwrap(),
                    image: format!("sha256:{}", "1".repeat(64)).parse().unwrap(),
                    digest: None,
                },
            ),
            at(
                2,
                AppEvent::Unquarantined {
                    content: content.parse().unwrap(),
                    by: by.to_owned(),
                    why: why.to_owned(),
                },
            ),
            at(
                3,
                AppEvent::Resumed {
                    by: by.to_owned(),
                    why: why.to_owned(),
                    form: None,
                    probation: 3,
                },
            ),
            at(
                4,
                AppEvent::Expedited {
                    by: by.to_owned(),
                    unhealthy: lowtide_model::policy::Unhealthy::default(),
                },
            ),
            at(
                5,
                halted(HaltReason::Operator {
                    by: by.to_owned(),
                    why: why.to_owned(),
                }),
            ),
            at(6, AppEvent::RequestCompleted),
        ];
        let app = "shop".parse().unwrap();
        let entries: Vec<Entry<'_>> = rows.iter().filter_map(|row| entry(&app, row)).collect();
        let style = Style {
            color: false,
            width: 200,
        };
        insta::assert_snapshot!(audit(&entries, style), @r"
        WHEN                  APP   BY       WHAT
        2026-11-18 11:06 UTC  shop  lowtide  halted it. A rollout was rolled back. The new container did not become ready: web answers 500.
        2026-11-18 11:06 UTC  shop  lowtide  quarantined sha256:1111111111111111111111111111111111111111111111111111111111111111
        2026-11-18 11:06 UTC  shop  alice    released sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc from quarantine: the till is broken
        2026-11-18 11:06 UTC  shop  alice    resumed it: the till is broken
        2026-11-18 11:06 UTC  shop  alice    asked for a cycle now, outside the window
        2026-11-18 11:06 UTC  shop  alice    halted it: the till is broken
        ");
        insta::assert_snapshot!(audit(&[], style), @"The audit log is empty.");
    }

    #[test]
    fn what_was_done_to_a_run_and_to_all_is_reported() {
        let by = "alice".to_owned();
        let run = "01J00000000000000000000000".parse().unwrap();
        let cancelled = at(7, AppEvent::Cancelled { run, by: by.clone() });
        let app = "shop".parse().unwrap();
        let (paused, unpaused) = (FleetEvent::Paused { by: by.clone() }, FleetEvent::Unpaused { by });
        let of_all = [&paused, &unpaused].map(|event| Entry {
            at: cancelled.0,
            app: None,
            act: event.act(),
        });
        let entries: Vec<Entry<'_>> = entry(&app, &cancelled).into_iter().chain(of_all).collect();
        let style = Style {
            color: false,
            width: 200,
        };
        insta::assert_snapshot!(audit(&entries, style), @r"
        WHEN                  APP       BY     WHAT
        2026-11-18 11:06 UTC  shop      alice  cancelled run 01J00000000000000000000000
        2026-11-18 11:06 UTC  all apps  alice  paused rollouts and promotions
        2026-11-18 11:06 UTC  all apps  alice  resumed rollouts and promotions
        ");
    }
}
