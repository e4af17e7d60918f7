use super::*;
use crate::decide::schedule::tests_app;
use crate::fleet::app_state::{AppEvent, UnfixableUpdates};
use lowtide_model::failure::SkipReason;
use lowtide_model::journal::Recorded;
use lowtide_model::policy::Schedule;

/// The lines of an app to which nothing happened and whose last release lacks `security` security fixes.
fn lines(security: usize) -> Vec<DailyReportLine> {
    let mut app_state = AppState::default();
    app_state.apply(&Recorded {
        seq: 1,
        at: Timestamp::UNIX_EPOCH,
        event: AppEvent::UnfixableUpdates {
            unfixable: Box::new(UnfixableUpdates {
                packages: BTreeMap::from([("libc6:amd64".to_owned(), "2".to_owned())]),
                security,
                ..UnfixableUpdates::default()
            }),
        },
    });
    let app = tests_app("web", Schedule::Never, "UTC");
    let app_states = BTreeMap::from([(app.name.clone(), (app_state.into(), app.into()))]);
    let frame = Frame {
        from: Timestamp::UNIX_EPOCH,
        to: Timestamp::UNIX_EPOCH,
        timezone: "UTC",
        next_run: None,
    };
    let body = body(&[], &app_states, Vec::new(), frame);
    body.apps.into_iter().flat_map(|app| app.lines).collect()
}

#[test]
fn security_fixes_that_nobody_brings_are_reported_every_day() {
    assert_eq!(lines(0), []);
    assert_eq!(lines(2), [DailyReportLine::Lacks { security: 2 }]);
}

#[test]
fn quiet_runs_are_reported_once_with_their_number() {
    let app = tests_app("web", Schedule::Never, "UTC");
    let quiet = || Fact::Run {
        app: app.name.clone(),
        conclusion: Box::new(Conclusion::Unchanged {
            why: SkipReason::SameContent,
        }),
    };
    let frame = Frame {
        from: Timestamp::UNIX_EPOCH,
        to: Timestamp::UNIX_EPOCH,
        timezone: "UTC",
        next_run: None,
    };
    let body = body(&[quiet(), quiet(), quiet()], &BTreeMap::new(), Vec::new(), frame);
    assert_eq!(body.apps[0].lines, [DailyReportLine::Unchanged { runs: 3 }]);
}
