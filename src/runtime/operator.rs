//! What an operator may say of an app: halt, resume, revert. Each is a fact in the app's stream.

use super::bot::Bot;
use super::supervisor::Answer;
use crate::clients::clock;
use crate::decide::standing::{Standing, TargetState};
use crate::decide::{tell, tell_github};
use crate::model::failure::HaltReason;
use crate::model::name::AppName;
use crate::model::rollout::RolloutConclusion;
use crate::model::standing::AppEvent;
use crate::store::error::StoreError;
use crate::store::journal::Batch;

/// Stops the app's rollouts and promotions. Its builds and tests go on.
pub(super) async fn halt(bot: &Bot, app: &AppName, by: String, why: String) -> Result<Answer, StoreError> {
    if bot.app(app).is_none() {
        return Ok(Err(format!("no such app: {app}")));
    }
    let reason = HaltReason::Operator { by, why };
    bot.commit(Batch::new(), app, &[AppEvent::Halted { reason }], Vec::new())
        .await?;
    Ok(Ok(format!(
        "{app} is halted: no rollouts, no promotions; builds and tests go on"
    )))
}

/// Lets the app's rollouts and promotions go on. Quarantined releases stay out.
pub(super) async fn resume(bot: &Bot, app: &AppName, by: &str, why: &str) -> Result<Answer, StoreError> {
    let standing = bot.standing(app);
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
    if standing.halted.is_none() && !standing.targets.values().any(refused) {
        return Ok(Err(format!("{app} is not halted")));
    }
    if why.trim().is_empty() {
        return Ok(Err("resume needs a reason: --reason \"…\"".to_owned()));
    }
    let fleet = bot.in_force();
    let maintainers = fleet
        .fleet
        .apps
        .get(app)
        .map(|a| a.maintainers.clone())
        .unwrap_or_default();
    let now = clock::now();
    let mut told = tell::resumed(
        app,
        by,
        why,
        standing.halted_by,
        &maintainers,
        fleet.fleet.email.as_ref(),
        now,
    );
    let repo = fleet.github_repo(app);
    if let Some((halted, _)) = standing.halted {
        told.notices
            .extend(tell_github::resumed(app, by, why, halted, repo, now));
    }
    bot.commit(Batch::new(), app, &told.facts, told.notices).await?;
    Ok(Ok(format!("{app} goes on")))
}

/// The facts of a revert that an operator asks for; the rollouts themselves are opened by the supervisor.
pub(super) async fn revert(
    bot: &Bot,
    app: &AppName,
    standing: &Standing,
    by: String,
    why: String,
) -> Result<String, StoreError> {
    let mut facts = Vec::new();
    if let Some(current) = standing.current() {
        facts.push(AppEvent::Quarantined {
            content: current.content.clone(),
            image: current.image.clone(),
            digest: current.digest.clone(),
        });
    }
    facts.push(AppEvent::Halted {
        reason: HaltReason::Operator { by, why },
    });
    bot.commit(Batch::new(), app, &facts, Vec::new()).await?;
    Ok(format!(
        "{app} goes back to the release before; it is halted and its newest release quarantined"
    ))
}
