//! What an operator may say of an app: halt, resume, revert. Each is a fact in the app's stream.

use super::bot::Bot;
use super::supervisor::RequestResult;
use crate::clients::clock;
use crate::clients::git::history::{Earlier, TouchedFile};
use crate::store::error::StoreError;
use crate::store::journal::Batch;
use lowtide_core::decide::app_state::{AppState, TargetState};
use lowtide_core::decide::code_change;
use lowtide_core::decide::consequences;
use lowtide_core::decide::halt::{self, CommitSeen, Touch};
use lowtide_core::decide::quarantine;
use lowtide_core::fleet::app_state::AppEvent;
use lowtide_core::report::halt as words;
use lowtide_core::report::words::no_such_app;
use lowtide_model::failure::HaltReason;
use lowtide_model::halt::Draft;
use lowtide_model::name::AppName;
use lowtide_model::release::Release;
use lowtide_model::rollout::RolloutConclusion;

/// Stops the app's rollouts and promotions. Its builds and tests continue.
pub(super) async fn stop(bot: &Bot, app: &AppName, by: String, why: String) -> Result<RequestResult, StoreError> {
    if bot.app(app).is_none() {
        let fleet = bot.in_force();
        return Ok(Err(no_such_app(app.as_str(), fleet.fleet.apps.keys())));
    }
    let reason = HaltReason::Operator { by, why };
    let halted = AppEvent::Halted { reason, settings: None };
    bot.commit(Batch::new(), app, &[halted], &[]).await?;
    Ok(Ok(format!(
        "{app} is halted: no rollouts, no promotions; builds and tests continue"
    )))
}

/// What an operator says with a resume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resume<'a> {
    pub(super) by: &'a str,
    pub(super) why: &'a str,
    pub(super) draft: Option<&'a Draft>,
    /// A quarantined content that may be released again.
    pub(super) release: Option<&'a str>,
}

/// Resumes the app's rollouts and promotions, if nothing is missing. Quarantined releases stay quarantined, except for
/// one that is named.
pub(super) async fn resume(bot: &Bot, app: &AppName, resume: Resume<'_>) -> Result<RequestResult, StoreError> {
    let nothing = |app_state: &AppState| resume.release.is_none() && !can_resume(app_state);
    if nothing(&bot.app_state(app)) {
        return Ok(Err(format!("{app} is not halted")));
    }
    let seen = match resume.draft.and_then(halt::named_commit) {
        Some(id) => look_for(bot, app, id).await,
        None => None,
    };
    // Read again: the app's state may have changed during the git request.
    let app_state = bot.app_state(app);
    if nothing(&app_state) {
        return Ok(Err(format!("{app} is not halted")));
    }
    let let_go = match resume.release.map(|text| quarantine::named(&app_state, text)) {
        None => None,
        Some(Ok(named)) => Some(named),
        Some(Err(all)) => {
            return Ok(Err(words::not_quarantined(
                app,
                resume.release.unwrap_or_default(),
                &all,
            )));
        }
    };
    let mut facts: Vec<AppEvent> = let_go
        .iter()
        .map(|named| AppEvent::Unquarantined {
            content: named.content.clone(),
            by: resume.by.to_owned(),
            why: resume.why.to_owned(),
        })
        .collect();
    let mut replies: Vec<String> = let_go.iter().map(|named| words::let_go(app, named)).collect();
    if !can_resume(&app_state) {
        bot.commit(Batch::new(), app, &facts, &[]).await?;
        return Ok(Ok(replies.join("\n")));
    }
    let fleet = bot.in_force();
    let resume_request = halt::ResumeRequest {
        why: resume.why,
        draft: resume.draft,
    };
    let lifted = match halt::lift(
        &app_state,
        fleet.fleet.apps.get(app).map(AsRef::as_ref),
        resume_request,
        seen.as_ref(),
    ) {
        Ok(lifted) => lifted,
        Err(lacking) => return Ok(Err(words::lacking(app, &lacking))),
    };
    let now = clock::now();
    let resumed = consequences::resumed(app, resume.by, &lifted, app_state.halt_to_lift(), now);
    facts.extend(resumed.facts);
    bot.commit(Batch::new(), app, &facts, &resumed.messages).await?;
    replies.push(words::goes_on(app, lifted.probation));
    Ok(Ok(replies.join("\n")))
}

/// Is there anything that a resume would let go on?
fn can_resume(app_state: &AppState) -> bool {
    // A rollout is reverted without a halt when its window closes half-way.
    let refused = |target: &TargetState| {
        matches!(
            target.last,
            Some((
                _,
                RolloutConclusion::Refused { .. } | RolloutConclusion::Reverted { .. }
            ))
        )
    };
    app_state.halted.is_some() || app_state.targets.values().any(refused)
}

/// Queries the app's repository for a commit; `None`: the app is configured no more.
async fn look_for(bot: &Bot, app: &AppName, id: &str) -> Option<CommitSeen> {
    let app = bot.app(app)?;
    let Some(source) = app.source() else {
        return Some(CommitSeen::NoRepository);
    };
    let app_state = bot.app_state(&app.name);
    let earlier: Vec<Earlier> = app_state
        .incidents
        .iter()
        .map(|incident| Earlier {
            commit: incident.commit.clone(),
            at: incident.at,
        })
        .collect();
    let is_test = |path: &str| halt::is_test(&app.halt.tests, path);
    Some(match bot.git.find(source, id, &earlier, &is_test).await {
        Ok(Some(found)) => CommitSeen::Found {
            id: found.commit.id,
            newer_than: app_state
                .incidents
                .iter()
                .zip(&found.newer)
                .filter(|(_, newer)| **newer)
                .map(|(incident, _)| incident.rollout)
                .collect(),
            files: found.files.into_iter().map(touched).collect(),
        },
        Ok(None) => CommitSeen::Away,
        Err(error) => CommitSeen::Unseen(error.failure()),
    })
}

/// A file that was not read counts as changed: it is no test, or too large for a change of blank lines.
fn touched(file: TouchedFile) -> (String, Touch) {
    let substantial = match &file.text {
        Some((old, new)) => code_change::changes(&file.path, old.as_deref(), new),
        None => true,
    };
    let touch = if substantial { Touch::Changed } else { Touch::Blank };
    (file.path, touch)
}

/// The facts of a revert that an operator asks for; the rollouts themselves are opened by the supervisor, and those under way
/// turn back by what is journalled here. `bad`: what is not to be tried again.
pub(super) async fn revert(bot: &Bot, app: &AppName, bad: &Release, by: String, why: String) -> Result<(), StoreError> {
    let mut facts = quarantine::of_release(bad);
    facts.push(AppEvent::Halted {
        reason: HaltReason::Withdrawn {
            by,
            why,
            tag: bad.tag.clone(),
            release: bad.run,
        },
        settings: None,
    });
    bot.commit(Batch::new(), app, &facts, &[]).await
}
