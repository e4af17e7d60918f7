use super::*;
use insta::assert_snapshot;
use jiff::SignedDuration;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::inventory::{Change, PackageChange};
use lowtide_model::rollout::RolloutConclusion;

const STYLE: Style = Style {
    color: false,
    width: 100,
};

fn at(second: i64) -> Timestamp {
    "2026-11-23T07:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn timeline(failure: &Failure) -> Vec<Moment> {
    let step = |second, step: &str, took_ms, end| Moment {
        at: at(second),
        what: Happened::Step {
            step: step.to_owned(),
            unit: Some("web".to_owned()),
            took_ms,
            end,
        },
    };
    let moment = |second, what| Moment { at: at(second), what };
    let failed = StepEnd::Failed {
        failure: failure.clone(),
    };
    vec![
        moment(0, Happened::Opened),
        step(2, "before hook", 1_500, StepEnd::Done),
        step(3, "create new container", 800, StepEnd::Done),
        step(125, "wait until new container is ready", 120_000, failed),
        moment(
            125,
            Happened::GoingBack {
                failure: failure.clone(),
            },
        ),
        moment(130, Happened::Ended),
    ]
}

/// A rollout that was rolled back, after a `before` hook.
pub(crate) fn incident() -> Incident {
    let failure = Failure::new(
        FailureKind::UnhealthyAfterRoll,
        "web answered 500 on /healthz for 2 min",
    );
    Incident {
        rollout: "01JDCS4Z00ABCDEFGHJKMNPQRT".parse().unwrap(),
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        timezone: "America/Moncton".to_owned(),
        tag: "20261123.7-3f2a9c1".to_owned(),
        commit: Some("3f2a9c1d".repeat(5)),
        irreversible: false,
        probation: false,
        opened: at(0),
        conclusion: Some(RolloutConclusion::Reverted {
            failure: failure.clone(),
        }),
        timeline: timeline(&failure),
        change: Some(Change {
            packages: vec![PackageChange {
                name: "openssl".to_owned(),
                old: Some("3.0.15-1".to_owned()),
                new: Some("3.0.16-1".to_owned()),
            }],
            ..Change::default()
        }),
        readiness: vec![
            Readiness {
                unit: "web".to_owned(),
                which: Which::New,
                took_ms: 120_000,
                failure: Some(failure),
            },
            Readiness {
                unit: "web".to_owned(),
                which: Which::Old,
                took_ms: 900,
                failure: None,
            },
        ],
        candidates: vec![Candidate {
            unit: "web".to_owned(),
            exit_code: 137,
            log: vec!["cannot open the database".to_owned()],
        }],
        hooks: vec![RanHook {
            unit: "web".to_owned(),
            phase: HookPhase::Before,
            command: vec!["drush".to_owned(), "sql:dump".to_owned()],
            at: at(2),
            failure: None,
        }],
    }
}

#[test]
fn an_incident_for_a_terminal() {
    assert_snapshot!(text(&incident(), Some(at(130)), None, at(10_000), STYLE), @r#"
    rollout  01JDCS4Z00ABCDEFGHJKMNPQRT
    app      archives
    target   compose-archives
    release  20261123.7-3f2a9c1, commit 3f2a9c1
    result   rolled back: the new container did not become ready
    halted   for 2 hours, until it is resumed

    what happened, America/Moncton
      03:00:00  20261123.7-3f2a9c1 for compose-archives
      03:00:02  before hook (web), 1.5 s
      03:00:03  create new container (web), 800 ms
      03:02:05  wait until new container is ready (web), 2 min 0 s: FAILED. The new container did not become ready: web answered 500 on /healthz for 2 min.
      03:02:05  GOING BACK. The new container did not become ready: web answered 500 on /healthz for 2 min.
      03:02:10  rolled back: the new container did not become ready

    readiness
      web, new container: not ready after 2 min 0 s. The new container did not become ready: web answered 500 on /healthz for 2 min.
      web, old container: ready after 900 ms.

    new container web, exit code 137
      | cannot open the database

    what the release brought
      openssl  3.0.15-1  →  3.0.16-1

    hooks that ran
      before, in web: drush sql:dump; 2026-11-23 03:00 America/Moncton, done
    "#);
}

#[test]
fn over_midnight_the_day_is_reported() {
    let mut incident = incident();
    incident.timeline = vec![
        Moment {
            at: at(-11_000),
            what: Happened::Opened,
        },
        Moment {
            at: at(-10_900),
            what: Happened::Suspended {
                closing: Closing::Denied {
                    why: Some("backup".to_owned()),
                },
            },
        },
        Moment {
            at: at(0),
            what: Happened::Abandoned {
                step: "pull".to_owned(),
                unit: None,
            },
        },
    ];
    incident.opened = at(-11_000);
    incident.probation = true;
    let shown = text(&incident, None, None, at(10_000), STYLE);
    assert_snapshot!(shown.split("\nreadiness").next().unwrap(), @r#"
    rollout    01JDCS4Z00ABCDEFGHJKMNPQRT
    app        archives
    target     compose-archives
    release    20261123.7-3f2a9c1, commit 3f2a9c1
    result     rolled back: the new container did not become ready
    probation  it was on probation after an earlier incident
    halted     not by this any more

    what happened, America/Moncton
      11-22 23:56:40  20261123.7-3f2a9c1 for compose-archives
      11-22 23:58:20  suspended: a denied span began (backup)
      11-23 03:00:00  pull: lowtide ended during it
    "#);
}

/// Whoever has to restore a backup sees which hooks ran, or that none did.
#[test]
fn an_irreversible_target_names_what_may_be_its_backup() {
    let mut incident = incident();
    incident.irreversible = true;
    assert_snapshot!(hooks(&incident).join("\n"), @"
    before, in web: drush sql:dump; 2026-11-23 03:00 America/Moncton, done
    The target is irreversible: if one of these hooks made a backup, restore from it.
    ");
    incident.hooks[0].failure = Some(Failure::new(FailureKind::HookFailed, "drush ended with 1"));
    assert_snapshot!(hooks(&incident).join("\n"), @r#"
    before, in web: drush sql:dump; 2026-11-23 03:00 America/Moncton, failed. A hook failed: drush ended with 1.
    The target is irreversible and no `before` hook ran: lowtide knows of no backup.
    "#);
    incident.hooks.clear();
    assert_snapshot!(hooks(&incident).join("\n"), @"The target is irreversible and no `before` hook ran: lowtide knows of no backup.");
    incident.irreversible = false;
    assert_snapshot!(hooks(&incident).join("\n"), @"None.");
}

#[test]
fn a_rollout_that_arrived_is_no_incident() {
    let mut incident = incident();
    for conclusion in [RolloutConclusion::Done, RolloutConclusion::AlreadyThere] {
        incident.conclusion = Some(conclusion);
        assert_eq!(findings(&incident, STYLE), "");
    }
    incident.conclusion = None;
    assert_eq!(findings(&incident, STYLE), "");
}
