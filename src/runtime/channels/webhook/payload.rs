//! The JSON of a webhook, as `docs/webhook.schema.json` describes it. Keys are added; none is renamed or given another
//! meaning.

use jiff::Timestamp;
use lowtide_core::channels::list::Notice;
use lowtide_core::channels::webhook::route::Receiver;
use lowtide_core::report::link::Place;
use lowtide_core::report::message_page::{self, Sender};
use lowtide_core::report::{message_line, text};
use lowtide_model::failure::{Failure, FailureKind, Fault, HaltReason};
use lowtide_model::message::{Addressees, Built, EndedRun, MessageBody, Verdict};
use lowtide_model::name::{ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::run::Stage;
use schemars::JsonSchema;
use serde::Serialize;

/// A message of lowtide, posted under the rules of Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "lowtide webhook")]
pub struct Payload {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// When it was decided, RFC 3339. The header `webhook-timestamp` says when it was sent.
    pub timestamp: String,
    pub data: Data,
}

/// What happened. A receiver ignores types that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Kind {
    /// Sent by `lowtide check --connect`.
    #[serde(rename = "ping")]
    Ping,
    /// A run failed for a new cause.
    #[serde(rename = "run.failed")]
    RunFailed,
    /// The app's runs succeed again.
    #[serde(rename = "run.recovered")]
    RunRecovered,
    /// A run proved its commit.
    #[serde(rename = "run.passed")]
    RunPassed,
    /// A run began to build a commit.
    #[serde(rename = "run.started")]
    RunStarted,
    /// A run that built a commit ended, well or not: one follows each `run.started`.
    #[serde(rename = "run.ended")]
    RunEnded,
    /// Something is pending that no rebuild can mend.
    #[serde(rename = "updates.unfixable")]
    UpdatesUnfixable,
    /// A release runs on a target.
    #[serde(rename = "rollout.done")]
    RolloutDone,
    /// A rollout could not begin; nothing was changed.
    #[serde(rename = "rollout.refused")]
    RolloutRefused,
    /// A target runs its previous release again, as somebody requested.
    #[serde(rename = "rollout.rolled_back")]
    RolloutRolledBack,
    /// A release has waited for its target longer than the configuration allows.
    #[serde(rename = "rollout.late")]
    RolloutLate,
    /// The window closed half-way, and the rollout was rolled back.
    #[serde(rename = "rollout.window_closed")]
    RolloutWindowClosed,
    /// A channel did not get its release.
    #[serde(rename = "promotion.failed")]
    PromotionFailed,
    /// The channel has the release after all.
    #[serde(rename = "promotion.recovered")]
    PromotionRecovered,
    /// Rollouts and promotions of the app are halted.
    #[serde(rename = "app.halted")]
    AppHalted,
    #[serde(rename = "app.resumed")]
    AppResumed,
    /// A configuration revision was refused; the last valid one stays in effect.
    #[serde(rename = "config.refused")]
    ConfigRefused,
    /// A commit of the configuration is in force.
    #[serde(rename = "config.accepted")]
    ConfigAccepted,
    #[serde(rename = "report.daily")]
    ReportDaily,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Data {
    /// Name of the lowtide that sends it.
    pub instance: String,
    /// Messages of one incident share it.
    pub thread: String,
    /// Who is concerned: `maintainers`, `operators`, `both`, or `nobody` (a record).
    #[schemars(with = "String")]
    pub addressees: Addressees,
    /// One line, as the subject of a mail.
    pub title: String,
    /// One sentence.
    pub summary: String,
    /// The whole message as plain text, as in a mail.
    pub text: String,
    /// The page that shows most about it, where the configuration says `web.public_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(flatten)]
    pub facts: Facts,
}

/// What it is about. A key that does not apply is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// Tag of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest of the image, or its id where no registry has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Full commit id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureFacts>,
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailureFacts {
    /// `test_failed`, `registry_unreachable`, …
    #[schemars(with = "String")]
    pub kind: FailureKind,
    /// Who has to act: `repo`, `infra`, `operator` or `bug`.
    #[schemars(with = "String")]
    pub fault: Fault,
    /// Where a run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub stage: Option<Stage>,
    pub detail: String,
}

/// The payload of a notice.
#[must_use]
pub fn payload(notice: &Notice, address: &Receiver, sender: &Sender) -> Payload {
    let page = message_page::page(&notice.body, notice.at, sender);
    let (kind, facts) = facts(&notice.body);
    Payload {
        kind,
        timestamp: notice.at.to_string(),
        data: Data {
            instance: sender.instance.clone(),
            thread: notice.keys.thread.clone(),
            addressees: address.addressees,
            text: text::render(&page.page, page.lead),
            title: page.subject,
            summary: message_line::line(&notice.body),
            url: sender
                .public_url
                .as_ref()
                .map(|url| url.page(&Place::of(&notice.body).path())),
            facts: Facts {
                app: notice.body.app().map(ToString::to_string),
                ..facts
            },
        },
    }
}

/// What `check --connect` sends.
#[must_use]
pub fn ping(instance: &str, now: Timestamp) -> Payload {
    let words = "lowtide check --connect sent this. The webhook works.".to_owned();
    Payload {
        kind: Kind::Ping,
        timestamp: now.to_string(),
        data: Data {
            instance: instance.to_owned(),
            thread: "ping".to_owned(),
            addressees: Addressees::Nobody,
            title: words.clone(),
            summary: words.clone(),
            text: words,
            url: None,
            facts: Facts::default(),
        },
    }
}

fn facts(body: &MessageBody) -> (Kind, Facts) {
    match body {
        MessageBody::RunFailed {
            run,
            stage,
            commit,
            failure,
            ..
        } => (Kind::RunFailed, run_failed(run, *stage, commit.as_deref(), failure)),
        MessageBody::RunRecovered { run, .. } => (Kind::RunRecovered, of_run(run)),
        MessageBody::RunPassed { run, commit, tag, .. } => (Kind::RunPassed, of_commit(run, commit, tag.as_ref())),
        MessageBody::RunStarted { run, commit, .. } => (Kind::RunStarted, of_commit(run, commit, None)),
        MessageBody::RunEnded(ended) => (Kind::RunEnded, run_ended(ended)),
        MessageBody::UnfixableUpdates { .. } => (Kind::UpdatesUnfixable, Facts::default()),
        MessageBody::RolledOut {
            target,
            rollout,
            tag,
            digest,
            ..
        } => {
            let facts = Facts {
                digest: Some(digest.clone()),
                ..of_rollout(target, rollout, Some(tag), None)
            };
            (Kind::RolloutDone, facts)
        }
        MessageBody::RolloutRefused {
            target,
            rollout,
            failure,
            ..
        } => (Kind::RolloutRefused, of_rollout(target, rollout, None, Some(failure))),
        MessageBody::WentBack(of) => (
            Kind::RolloutRolledBack,
            of_rollout(&of.target, &of.rollout, Some(&of.tag), None),
        ),
        MessageBody::RolloutWaits(of) => (
            Kind::RolloutLate,
            of_rollout(&of.target, &of.rollout, Some(&of.tag), None),
        ),
        MessageBody::RolloutUntimely(of) => (
            Kind::RolloutWindowClosed,
            of_rollout(&of.target, &of.rollout, Some(&of.tag), Some(&of.failure)),
        ),
        MessageBody::PromotionFailed(of) => (
            Kind::PromotionFailed,
            of_channel(&of.channel, &of.tag, Some(&of.failure)),
        ),
        MessageBody::Promoted { channel, tag, .. } => (Kind::PromotionRecovered, of_channel(channel, tag, None)),
        MessageBody::Halted {
            target,
            rollout,
            reason,
            tag,
            ..
        } => {
            let facts = Facts {
                target: target.as_ref().map(ToString::to_string),
                rollout: rollout.map(|rollout| rollout.to_string()),
                tag: tag.clone(),
                ..halted(reason)
            };
            (Kind::AppHalted, facts)
        }
        MessageBody::Resumed { .. } => (Kind::AppResumed, Facts::default()),
        MessageBody::ConfigRefused { commit: None, .. } => (Kind::ConfigRefused, Facts::default()),
        MessageBody::ConfigRefused { revision, .. } => (Kind::ConfigRefused, configuration(revision)),
        MessageBody::ConfigAccepted { revision, .. } => (Kind::ConfigAccepted, configuration(revision)),
        MessageBody::DailyReport(_) => (Kind::ReportDaily, Facts::default()),
    }
}

fn configuration(commit: &str) -> Facts {
    Facts {
        commit: Some(commit.to_owned()),
        ..Facts::default()
    }
}

fn of_run(run: &RunId) -> Facts {
    Facts {
        run: Some(run.to_string()),
        ..Facts::default()
    }
}

fn of_commit(run: &RunId, commit: &str, tag: Option<&String>) -> Facts {
    Facts {
        commit: Some(commit.to_owned()),
        tag: tag.cloned(),
        ..of_run(run)
    }
}

fn run_ended(ended: &EndedRun) -> Facts {
    let (run, commit) = (&ended.run, &ended.built.commit.id);
    match &ended.verdict {
        Verdict::Passed { tag, .. } => of_commit(run, commit, tag.as_ref()),
        Verdict::Failed { stage, failure } => run_failed(run, *stage, Some(&ended.built), failure),
        Verdict::Unused { .. } | Verdict::Cancelled { .. } => of_commit(run, commit, None),
    }
}

fn run_failed(run: &RunId, stage: Stage, built: Option<&Built>, failure: &Failure) -> Facts {
    Facts {
        commit: built.map(|built| built.commit.id.clone()),
        failure: Some(failed(failure, Some(stage))),
        ..of_run(run)
    }
}

fn of_rollout(target: &TargetName, rollout: &RolloutId, tag: Option<&String>, failure: Option<&Failure>) -> Facts {
    Facts {
        target: Some(target.to_string()),
        rollout: Some(rollout.to_string()),
        tag: tag.cloned(),
        failure: failure.map(|failure| failed(failure, None)),
        ..Facts::default()
    }
}

fn of_channel(channel: &ChannelName, tag: &str, failure: Option<&Failure>) -> Facts {
    Facts {
        channel: Some(channel.to_string()),
        tag: Some(tag.to_owned()),
        failure: failure.map(|failure| failed(failure, None)),
        ..Facts::default()
    }
}

fn halted(reason: &HaltReason) -> Facts {
    let failure = match reason {
        HaltReason::Reverted { failure } | HaltReason::Irreversible { failure } | HaltReason::Stuck { failure } => {
            Some(failed(failure, None))
        }
        HaltReason::Operator { .. } | HaltReason::Withdrawn { .. } => None,
    };
    Facts {
        failure,
        ..Facts::default()
    }
}

fn failed(failure: &Failure, stage: Option<Stage>) -> FailureFacts {
    FailureFacts {
        kind: failure.kind,
        fault: failure.fault(),
        stage,
        detail: failure.detail.clone(),
    }
}

#[cfg(test)]
mod tests;
