//! A check run: in progress while the run builds and tests, then its verdict with the lines that fail.

use super::markdown;
use crate::clients::github::check::{ANNOTATIONS, Annotation, NewCheck, NewOutput};
use crate::clients::github::connect::Github;
use crate::clients::github::error::GithubError;
use jiff::Timestamp;
use lowtide_core::channels::github::route::CheckOf;
use lowtide_core::channels::list::Notice;
use lowtide_core::report::clean;
use lowtide_core::report::link::Place;
use lowtide_core::report::message_page::Sender;
use lowtide_model::failure::{Failure, Fault, Finding};
use lowtide_model::message::{EndedRun, MessageBody, Verdict};

/// Characters of an annotation's title; GitHub takes 255.
const TITLE: usize = 200;
/// Characters of one line of an annotation; GitHub takes 64 KiB in all.
const LINE: usize = 300;

/// Makes or changes the check run of `of`. Repeated, it changes nothing but the times.
///
/// # Errors
/// All of [`GithubError`].
pub(super) async fn post(
    github: &Github,
    notice: &Notice,
    (repo, sha, of): (&str, &str, CheckOf),
    name: &str,
    sender: &Sender,
) -> Result<(), GithubError> {
    let id = match of {
        CheckOf::Run(run) => run.to_string(),
        CheckOf::Rollout(rollout) => rollout.to_string(),
        CheckOf::Configuration => sha.to_owned(),
    };
    let words = markdown::check(notice, sender);
    let url = sender
        .public_url
        .as_ref()
        .map(|url| url.page(&Place::of(&notice.body).path()));
    let shown = Shown::of(notice);
    let annotations: Vec<Annotation> = findings(&notice.body).iter().map(annotation).collect();
    let check = |annotations| NewCheck {
        name,
        external_id: &id,
        status: if shown.conclusion.is_some() {
            "completed"
        } else {
            "in_progress"
        },
        conclusion: shown.conclusion,
        started_at: shown.started,
        completed_at: shown.conclusion.map(|_| notice.at),
        details_url: url.as_deref(),
        output: NewOutput {
            title: &words.title,
            summary: &words.summary,
            text: &words.text,
            annotations,
        },
    };
    let known = github.check(repo, sha, name, &id).await?;
    // A repeated delivery of the beginning must not open again what has ended.
    if known.as_ref().is_some_and(|known| known.status == "completed") && shown.conclusion.is_none() {
        return Ok(());
    }
    let mut had = known.as_ref().map_or(0, |known| known.output.annotations_count);
    let mut run = known.map(|known| known.id);
    // GitHub adds the annotations of each request to those before, and counts them: what a killed delivery sent is not sent
    // again. One request is made even where there is none to send.
    loop {
        let rest = annotations.get(had..).unwrap_or_default();
        let part = &rest[..rest.len().min(ANNOTATIONS)];
        run = Some(match run {
            Some(id) => github.update_check(repo, id, &check(part)).await?.id,
            None => github.create_check(repo, sha, &check(part)).await?.id,
        });
        had += part.len();
        if had >= annotations.len() {
            return Ok(());
        }
    }
}

/// What becomes of the check run.
struct Shown {
    started: Timestamp,
    /// As GitHub writes it; `None`: in progress.
    conclusion: Option<&'static str>,
}

impl Shown {
    fn of(notice: &Notice) -> Self {
        let (started, conclusion) = match &notice.body {
            MessageBody::RunEnded(ended) => (ended.started, Some(conclusion(ended))),
            MessageBody::Halted { incident, .. } => {
                let opened = incident.as_ref().map_or(notice.at, |incident| incident.opened);
                (opened, Some("failure"))
            }
            MessageBody::ConfigRefused { .. } => (notice.at, Some("failure")),
            MessageBody::ConfigAccepted { .. } => (notice.at, Some("success")),
            MessageBody::RunStarted { .. }
            | MessageBody::RunFailed { .. }
            | MessageBody::RunPassed { .. }
            | MessageBody::RunRecovered { .. }
            | MessageBody::UnfixableUpdates { .. }
            | MessageBody::RolledOut { .. }
            | MessageBody::RolloutRefused { .. }
            | MessageBody::WentBack(_)
            | MessageBody::PromotionFailed(_)
            | MessageBody::Promoted { .. }
            | MessageBody::RolloutWaits(_)
            | MessageBody::RolloutUntimely(_)
            | MessageBody::Resumed { .. }
            | MessageBody::DailyReport(_) => (notice.at, None),
        };
        Self { started, conclusion }
    }
}

/// Trouble of a registry, a host or lowtide itself condemns no commit: such a run is neutral.
fn conclusion(ended: &EndedRun) -> &'static str {
    match &ended.verdict {
        Verdict::Passed { .. } => "success",
        Verdict::Failed { failure, .. } => match failure.fault() {
            Fault::Repo => "failure",
            Fault::Infra | Fault::Operator | Fault::Bug => "neutral",
        },
        Verdict::Unused { .. } => "neutral",
        Verdict::Cancelled { .. } => "cancelled",
    }
}

fn findings(body: &MessageBody) -> &[Finding] {
    match body {
        MessageBody::RunEnded(ended) => match &ended.verdict {
            Verdict::Failed { failure, .. } => places(failure),
            Verdict::Passed { .. } | Verdict::Unused { .. } | Verdict::Cancelled { .. } => &[],
        },
        MessageBody::ConfigRefused { commit, .. } => commit.as_ref().map_or(&[], |commit| commit.findings.as_slice()),
        MessageBody::RunStarted { .. }
        | MessageBody::RunFailed { .. }
        | MessageBody::RunPassed { .. }
        | MessageBody::RunRecovered { .. }
        | MessageBody::UnfixableUpdates { .. }
        | MessageBody::RolledOut { .. }
        | MessageBody::RolloutRefused { .. }
        | MessageBody::WentBack(_)
        | MessageBody::PromotionFailed(_)
        | MessageBody::Promoted { .. }
        | MessageBody::RolloutWaits(_)
        | MessageBody::RolloutUntimely(_)
        | MessageBody::Halted { .. }
        | MessageBody::Resumed { .. }
        | MessageBody::ConfigAccepted { .. }
        | MessageBody::DailyReport(_) => &[],
    }
}

fn places(failure: &Failure) -> &[Finding] {
    match failure.fault() {
        Fault::Repo => &failure.findings,
        // A line of the Dockerfile that could not reach its registry is no fault of that line.
        Fault::Infra | Fault::Operator | Fault::Bug => &[],
    }
}

/// Annotations are plain text: GitHub formats nothing in them and calls no one.
fn annotation(finding: &Finding) -> Annotation {
    let lines = finding.message.iter().map(|line| clean::one_line(line, LINE));
    let message = lines.collect::<Vec<_>>().join("\n");
    let title = clean::one_line(&finding.title, TITLE);
    Annotation {
        path: finding.path.clone(),
        start_line: finding.line,
        end_line: finding.line,
        annotation_level: "failure",
        // GitHub refuses an empty message.
        message: if message.trim().is_empty() {
            "It failed.".to_owned()
        } else {
            message
        },
        title,
    }
}
