//! Records of what became of a commit, as a check beside it shows them.

use super::page::{Block, Page, Rendered, Section, Tone};
use super::quantity::duration;
use super::words::{self, counted, short_commit};
use super::{change, clean, message_page};
use lowtide_model::failure::Fault;
use lowtide_model::message::{EndedRun, Verdict};
use lowtide_model::name::{AppName, RunId};
use lowtide_model::run::Stage;
use lowtide_model::stages::test::TestReport;

const OFTEN: &str = "One record per run that builds.";

pub(super) fn started(app: &AppName, run: RunId, commit: &str) -> Rendered {
    let title = format!("{app}: {} is being built and tested", short_commit(commit));
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Calm,
            pill: "running".to_owned(),
            title,
            now: "What runs in production stays as it is until the new image has passed its tests.".to_owned(),
            sections: vec![Section::new(
                "If you want to know more",
                vec![Block::Commands(vec![(
                    "What this run has done so far".to_owned(),
                    format!("lowtide show {run}"),
                )])],
            )],
            footer: OFTEN.to_owned(),
        },
    }
}

pub(super) fn ended(ended: &EndedRun) -> Rendered {
    let (app, run, built) = (&ended.app, ended.run, &ended.built);
    if let Verdict::Failed { stage, failure } = &ended.verdict {
        let mut rendered = message_page::run_failed(app, run, *stage, Some(built), failure);
        rendered.page.sections.push(what_ran(ended));
        rendered.page.footer = OFTEN.to_owned();
        return rendered;
    }
    let at = short_commit(&built.commit.id);
    let (tone, pill, title) = match &ended.verdict {
        Verdict::Passed { .. } => (Tone::Good, "passed", format!("{app}: {at} passed")),
        Verdict::Unused { .. } => (Tone::Calm, "not used", format!("{app}: the image of {at} is not used")),
        Verdict::Cancelled { .. } | Verdict::Failed { .. } => {
            (Tone::Calm, "cancelled", format!("{app}: the run of {at} was cancelled"))
        }
    };
    let mut sections = vec![what_ran(ended)];
    if let Verdict::Passed {
        tag: Some(_), change, ..
    } = &ended.verdict
    {
        sections.push(Section::new("What changed", change::blocks(change.as_ref())));
    }
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone,
            pill: pill.to_owned(),
            title,
            now: line(&ended.verdict),
            sections,
            footer: OFTEN.to_owned(),
        },
    }
}

/// A commit of the configuration.
pub(super) fn config_accepted(revision: &str, apps: usize) -> Rendered {
    let title = format!("configuration {} is in effect", short_commit(revision));
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Good,
            pill: "in effect".to_owned(),
            title,
            now: format!(
                "It is valid, and lowtide works by it: {}.",
                counted(apps, "app", "apps")
            ),
            sections: Vec::new(),
            footer: "One record per commit of the configuration.".to_owned(),
        },
    }
}

/// One sentence.
pub(super) fn line(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed {
            tag: Some(tag),
            observed: false,
            ..
        } => {
            format!("Built, tested and released as {}.", clean::one_line(tag, 128))
        }
        Verdict::Passed {
            tag: Some(tag),
            observed: true,
            ..
        } => {
            let tag = clean::one_line(tag, 128);
            format!("Built and tested; would be released as {tag} (observe mode).")
        }
        Verdict::Passed { tag: None, .. } => "A rebuild changes nothing in the released image.".to_owned(),
        Verdict::Failed { failure, .. } => match failure.fault() {
            Fault::Repo => words::failure(failure),
            Fault::Infra | Fault::Operator | Fault::Bug => {
                format!(
                    "The run could not finish, which says nothing of the commit. {}",
                    words::failure(failure)
                )
            }
        },
        Verdict::Unused { why } => format!("{}.", words::sentence_start(&words::skipped(why))),
        Verdict::Cancelled { by } => format!("Cancelled by {}.", clean::one_line(by, 60)),
    }
}

fn what_ran(ended: &EndedRun) -> Section {
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    for stage in &ended.stages {
        facts.push((title(stage.stage), duration(stage.took_ms)));
    }
    if let Some(report) = &ended.tests {
        facts.push(("Tests", tests(report)));
    }
    Section::new("What ran", vec![Block::Facts(facts)])
}

fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "Resolve",
        Stage::Build => "Build",
        Stage::Pull => "Pull",
        Stage::Inspect => "Inspect",
        Stage::Bootstrap => "Bootstrap",
        Stage::Test => "Test",
        Stage::Publish => "Publish",
    }
}

fn tests(report: &TestReport) -> String {
    let mut text = format!("{} passed", report.passed);
    if report.failed_count > 0 {
        text.push_str(&format!(", {} failed", report.failed_count));
    }
    if report.skipped > 0 {
        text.push_str(&format!(", {} skipped", report.skipped));
    }
    text
}
