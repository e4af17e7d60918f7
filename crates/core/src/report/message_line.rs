//! A message in one sentence.

use super::{run_record, unfixable, words};
use lowtide_model::message::MessageBody;

/// One line of plain text, of any length.
#[must_use]
pub fn line(body: &MessageBody) -> String {
    match body {
        MessageBody::RunFailed { failure, .. } => words::failure(failure),
        MessageBody::RunPassed {
            tag: Some(tag),
            observed: false,
            ..
        } => format!("Built, tested and released as {tag}."),
        MessageBody::RunPassed {
            tag: Some(tag),
            observed: true,
            ..
        } => format!("Built and tested; would be released as {tag} (observe mode)."),
        MessageBody::RunPassed { tag: None, .. } => "A rebuild changes nothing in the released image.".to_owned(),
        MessageBody::RunStarted { .. } => "The image is being built and tested.".to_owned(),
        MessageBody::RunEnded(ended) => run_record::line(&ended.verdict),
        MessageBody::RunRecovered { .. } => "Runs succeed again.".to_owned(),
        MessageBody::UnfixableUpdates {
            packages,
            unavailable_pins,
            ..
        } => unfixable::title(packages, unavailable_pins),
        MessageBody::RolledOut { tag, target, .. } => format!("{tag} runs on {target}."),
        MessageBody::RolloutRefused { failure, .. } => format!("Rollout not begun: {}", words::failure(failure)),
        MessageBody::WentBack(back) => format!("{} runs on {} again.", back.tag, back.target),
        MessageBody::PromotionFailed(of) => format!("Not promoted to {}: {}", of.channel, words::failure(&of.failure)),
        MessageBody::Promoted { channel, tag, .. } => format!("{channel} has {tag}."),
        MessageBody::RolloutWaits(wait) => format!("{} waits for {}.", wait.tag, wait.target),
        MessageBody::RolloutUntimely(rollout) => format!("Rolled back: {}", words::failure(&rollout.failure)),
        MessageBody::Halted { reason, .. } => words::halted(reason),
        MessageBody::Resumed { by, .. } => format!("Resumed by {by}."),
        MessageBody::ConfigRefused { commit, .. } => match commit.as_ref().map(|commit| commit.findings.len()) {
            Some(n @ 1..) => format!(
                "Refused: {}. The last valid one stays in effect.",
                words::counted(n, "problem", "problems")
            ),
            Some(0) | None => "A configuration is refused.".to_owned(),
        },
        MessageBody::ConfigAccepted { apps, .. } => format!("In effect: {}.", words::counted(*apps, "app", "apps")),
        MessageBody::DailyReport(_) => "The daily report.".to_owned(),
    }
}
