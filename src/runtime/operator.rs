//! What an operator may say of an app: halt, resume, revert. Each is a fact in the app's stream.

use super::bot::Bot;
use super::supervisor::Answer;
use crate::clients::clock;
use crate::clients::git::history::{Earlier, TouchedFile};
use crate::decide::halt::{self, CommitSeen, Touch};
use crate::decide::standing::{Standing, TargetState};
use crate::decide::substance;
use crate::decide::{tell, tell_github};
use crate::model::failure::HaltReason;
use crate::model::halt::Draft;
use crate::model::name::AppName;
use crate::model::rollout::RolloutConclusion;
use crate::model::standing::{AppEvent, Release};
use crate::report::halt as words;
use crate::report::words::no_such_app;
use crate::store::error::StoreError;
use crate::store::journal::Batch;

/// Stops the app's rollouts and promotions. Its builds and tests go on.
pub(super) async fn stop(bot: &Bot, app: &AppName, by: String, why: String) -> Result<Answer, StoreError> {
    if bot.app(app).is_none() {
        let fleet = bot.in_force();
        return Ok(Err(no_such_app(app.as_str(), fleet.fleet.apps.keys())));
    }
    let reason = HaltReason::Operator { by, why };
    let halted = AppEvent::Halted { reason, settings: None };
    bot.commit(Batch::new(), app, &[halted], Vec::new()).await?;
    Ok(Ok(format!(
        "{app} is halted: no rollouts, no promotions; builds and tests go on"
    )))
}

/// Lets the app's rollouts and promotions go on, when nothing is missing. Quarantined releases stay out.
pub(super) async fn resume(
    bot: &Bot,
    app: &AppName,
    by: &str,
    why: &str,
    draft: Option<&Draft>,
) -> Result<Answer, StoreError> {
    if !can_resume(&bot.standing(app)) {
        return Ok(Err(format!("{app} is not halted")));
    }
    let seen = match draft.and_then(halt::named_commit) {
        Some(id) => look_for(bot, app, id).await,
        None => None,
    };
    // What happened while git was asked counts.
    let standing = bot.standing(app);
    if !can_resume(&standing) {
        return Ok(Err(format!("{app} is not halted")));
    }
    let fleet = bot.in_force();
    let answer = halt::Answer { why, draft };
    let lifted = match halt::lift(&standing, fleet.fleet.apps.get(app), answer, seen.as_ref()) {
        Ok(lifted) => lifted,
        Err(lacking) => return Ok(Err(words::lacking(app, &lacking))),
    };
    let now = clock::now();
    let maintainers = fleet.maintainers(app);
    let email = fleet.fleet.email.as_ref();
    let mut told = tell::resumed(app, by, &lifted, standing.halted_by, &maintainers, email, now);
    let repo = fleet.github_repo(app);
    if let Some((halted, _)) = standing.halted {
        told.notices
            .extend(tell_github::resumed(app, by, &lifted, halted, repo, now));
    }
    bot.commit(Batch::new(), app, &told.facts, told.notices).await?;
    Ok(Ok(words::goes_on(app, lifted.probation)))
}

/// Is there anything that a resume would let go on?
fn can_resume(standing: &Standing) -> bool {
    // Reverted without a halt: its window closed half-way.
    let refused = |target: &TargetState| {
        matches!(
            target.last,
            Some((
                _,
                RolloutConclusion::Refused { .. } | RolloutConclusion::Reverted { .. }
            ))
        )
    };
    standing.halted.is_some() || standing.targets.values().any(refused)
}

/// Asks the app's repository for a commit; `None`: the app is configured no more.
async fn look_for(bot: &Bot, app: &AppName, id: &str) -> Option<CommitSeen> {
    let app = bot.app(app)?;
    let standing = bot.standing(&app.name);
    let earlier: Vec<Earlier> = standing
        .incidents
        .iter()
        .map(|incident| Earlier {
            commit: incident.commit.clone(),
            at: incident.at,
        })
        .collect();
    let is_test = |path: &str| halt::is_test(&app.halt.tests, path);
    Some(match bot.git.find(&app.source, id, &earlier, &is_test).await {
        Ok(Some(found)) => CommitSeen::Found {
            id: found.commit.id,
            newer_than: standing
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

/// What was not read is no test, or too large to be a blank line.
fn touched(file: TouchedFile) -> (String, Touch) {
    let substantial = match &file.text {
        Some((old, new)) => substance::changes(&file.path, old.as_deref(), new),
        None => true,
    };
    let touch = if substantial { Touch::Changed } else { Touch::Blank };
    (file.path, touch)
}

/// The facts of a revert that an operator asks for; the rollouts themselves are opened by the supervisor, and those under way
/// turn back by what is journalled here. `bad`: what is not to be tried again.
pub(super) async fn revert(bot: &Bot, app: &AppName, bad: &Release, by: String, why: String) -> Result<(), StoreError> {
    let facts = [
        AppEvent::Quarantined {
            content: bad.content.clone(),
            image: bad.image.clone(),
            digest: bad.digest.clone(),
        },
        AppEvent::Halted {
            reason: HaltReason::TakenBack {
                by,
                why,
                tag: bad.tag.clone(),
                release: bad.run,
            },
            settings: None,
        },
    ];
    bot.commit(Batch::new(), app, &facts, Vec::new()).await
}
