//! Records of the runs that build a commit: where a commit is looked at, its run is shown from its beginning to its end.

use super::{Consequences, built};
use crate::decide::notify::{self, RunRecord};
use crate::decide::run::RunState;
use jiff::Timestamp;
use lowtide_model::failure::{Fault, SkipReason};
use lowtide_model::message::{Addressees, EndedRun, Message, MessageBody, Verdict};
use lowtide_model::run::{Conclusion, Effect};
use lowtide_model::stages::test::TestReport;

/// The record that belongs to the beginning of an effect: of the first build in a run. A repeated one has the same key.
#[must_use]
pub fn effect_started(state: &RunState, effect: &Effect, now: Timestamp) -> Option<Message> {
    match effect {
        Effect::Build(build) if !state.build_began => Some(Message {
            keys: notify::run_record_keys(state.id, RunRecord::Started),
            addressees: Addressees::Nobody,
            at: now,
            body: MessageBody::RunStarted {
                app: state.app.name.clone(),
                run: state.id,
                commit: build.from.commit.id.clone(),
            },
        }),
        Effect::Build(_)
        | Effect::Resolve(_)
        | Effect::Pull(_)
        | Effect::Inspect(_)
        | Effect::Bootstrap(_)
        | Effect::Test(_)
        | Effect::Publish(_) => None,
    }
}

/// Whatever was recorded to begin is recorded to end. A commit that fails before its build has the end alone.
pub(super) fn ended(out: &mut Consequences, state: &RunState, conclusion: &Conclusion, now: Timestamp) {
    let Some(verdict) = verdict(conclusion) else { return };
    let at_fault = matches!(&verdict, Verdict::Failed { failure, .. } if failure.fault() == Fault::Repo);
    // The commit of a release that is tested again has passed.
    let retested = matches!(conclusion, Conclusion::Failed { stage, .. } if state.is_retest(*stage));
    if !state.build_began && (!at_fault || retested) {
        return;
    }
    let Some(built) = built(state) else { return };
    let body = MessageBody::RunEnded(Box::new(EndedRun {
        app: state.app.name.clone(),
        run: state.id,
        built: *built,
        started: state.opened,
        stages: state.took.clone(),
        tests: TestReport::of_rounds(&state.tested),
        verdict,
    }));
    let keys = notify::run_record_keys(state.id, RunRecord::Ended);
    out.push_message(keys, Addressees::Nobody, body, now);
}

/// `None`: the run built nothing.
fn verdict(conclusion: &Conclusion) -> Option<Verdict> {
    Some(match conclusion {
        Conclusion::Released { release } | Conclusion::Observed { release } => Verdict::Passed {
            tag: Some(release.tag.clone()),
            observed: matches!(conclusion, Conclusion::Observed { .. }),
            change: release.change.clone(),
        },
        Conclusion::Unchanged {
            why: SkipReason::SameContent,
        } => Verdict::Passed {
            tag: None,
            observed: false,
            change: None,
        },
        Conclusion::Unchanged { why } => Verdict::Unused { why: why.clone() },
        Conclusion::Failed { stage, failure } => Verdict::Failed {
            stage: *stage,
            failure: failure.clone(),
        },
        Conclusion::Cancelled { by } => Verdict::Cancelled { by: by.clone() },
        Conclusion::Retested { .. } => return None,
    })
}
