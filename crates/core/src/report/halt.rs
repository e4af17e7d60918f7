//! What lifts a halt: what is missing, the form to fill in, and what a filled one says.

use super::clean;
use super::page::{Block, Section};
use super::quantity;
use super::words::{self, counted, plural, short_commit};
use crate::fleet::app_state::{Quarantined, Withdrawal};
use jiff::Timestamp;
use lowtide_model::failure::HaltReason;
use lowtide_model::halt::{Class, Exposure, Form, HaltPolicy, Incident, Lacking, Require};
use lowtide_model::name::{AppName, TargetName};
use lowtide_model::rollout::RolloutConclusion;
use std::fmt::Write as _;

/// Why a halted app stays halted: everything at once.
#[must_use]
pub fn lacking(app: &AppName, lacking: &[Lacking]) -> String {
    let mut out = format!("{app} stays halted, nothing was changed. What is missing:");
    for one in lacking {
        let _ = write!(out, "\n  - {}", missing(app, one));
    }
    out
}

/// The response to a resume.
#[must_use]
pub fn goes_on(app: &AppName, probation: u32) -> String {
    match probation {
        0 => format!("{app} goes on"),
        n => format!("{app} goes on; {}", watched(n)),
    }
}

/// The response to a release from quarantine.
#[must_use]
pub fn let_go(app: &AppName, named: &Quarantined) -> String {
    format!(
        "{app}: {} is no longer quarantined and may be released again",
        called(named)
    )
}

/// Why a release from quarantine was refused.
#[must_use]
pub fn not_quarantined(app: &AppName, text: &str, all: &[Quarantined]) -> String {
    if all.is_empty() {
        return format!("nothing of {app} is quarantined");
    }
    let mut out = format!("`{text}` names no one quarantined release of {app}; nothing was changed. Quarantined are:");
    for one in all {
        let _ = write!(out, "\n  - {}", called(one));
    }
    out
}

fn called(one: &Quarantined) -> String {
    match &one.tag {
        Some(tag) => format!("{tag} (content {})", one.content),
        None => format!("content {}", one.content),
    }
}

/// What an operator took back, and where.
#[must_use]
pub fn goes_back(app: &AppName, withdrawal: &Withdrawal<'_>) -> String {
    let tag = &withdrawal.release.tag;
    let names = |targets: Vec<&TargetName>| {
        targets
            .into_iter()
            .map(TargetName::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut ways = Vec::new();
    if !withdrawal.back.is_empty() {
        let targets = names(withdrawal.back.iter().map(|(target, _)| target).collect());
        ways.push(format!("rolls back from {tag} on {targets}"));
    }
    if !withdrawal.turning.is_empty() {
        let targets = names(withdrawal.turning.iter().collect());
        ways.push(format!("stops the rollout of {tag} and rolls back on {targets}"));
    }
    let mut text = format!("{app} {}; it is halted and {tag} quarantined", ways.join(", "));
    if !withdrawal.stay.is_empty() {
        let targets = names(withdrawal.stay.iter().collect());
        let runs = plural(withdrawal.stay.len(), "runs", "run");
        text.push_str(&format!(". {targets} still {runs} {tag}: `lowtide plan {app}`"));
    }
    text
}

/// `on probation, 2 rollouts left`, `on probation, rollouts left: front 2, back 1`
#[must_use]
pub fn probation(left: &[(TargetName, u32)]) -> String {
    match left {
        [(_, n)] => format!("on probation, {} left", rollouts(*n)),
        more => {
            let each: Vec<String> = more.iter().map(|(target, n)| format!("{target} {n}")).collect();
            format!("on probation, rollouts left: {}", each.join(", "))
        }
    }
}

/// `runs an image 12 days old; 4 security fixes are pending`; empty when nothing is known.
#[must_use]
pub fn exposed(exposure: Exposure, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(built) = exposure.built {
        parts.push(format!("runs an image {} old", words::span(built, now)));
    }
    if exposure.security > 0 {
        parts.push(format!(
            "{} {}",
            counted(exposure.security, "security fix", "security fixes"),
            plural(exposure.security, "is pending", "are pending")
        ));
    }
    parts.join("; ")
}

/// The form to fill in.
#[must_use]
pub fn form(incident: &Incident, policy: &HaltPolicy) -> String {
    let app = &incident.app;
    let (rollout, on) = (incident.rollout.short(), &incident.target);
    let when = words::moment(incident.opened, &incident.timezone);
    let result = incident.conclusion.as_ref().map(words::rollout_concluded);
    let classes: Vec<&str> = Class::ALL.into_iter().map(Class::word).collect();
    let tests: Vec<String> = policy.tests.iter().map(|glob| clean::one_line(glob, 60)).collect();
    format!(
        "# Rollout {rollout} of {app} on {on}, {when}: {}
# Fill in, then: lowtide resume {app} --form FILE
whys:             # one to five: why did it happen, and why that?
  - \"\"
root: open        # reached: the last why is the root cause; needed with fewer than five
class:            # {}
countermeasure:   # at least one of the two
  commit: \"\"      # on the tracked branch, newer than {}; changes {}
  config: false   # true: the app's configuration was changed since the halt; {} needs it
",
        result.unwrap_or_else(|| "under way".to_owned()),
        classes.join(" | "),
        incident
            .commit
            .as_deref()
            .map_or_else(|| "the halt".to_owned(), short_commit),
        tests.join(" or "),
        Class::Noise.word(),
    )
}

/// What has to be done, after an incident was shown.
#[must_use]
pub fn what_lifts(app: &AppName, policy: &HaltPolicy) -> String {
    let then = match policy.probation {
        0 => String::new(),
        n => format!(" Then {}.", watched(n)),
    };
    match policy.require {
        Require::Reason => {
            format!("`lowtide resume {app} --reason \"…\"`, or the form below with `--form FILE`.{then}")
        }
        Require::Countermeasure => format!(
            "The form below: `lowtide incident {app} --form > FILE`, fill it in, `lowtide resume {app} --form FILE`.{then}"
        ),
    }
}

/// What lifts the halt of an operator's revert.
#[must_use]
pub fn lifts_withdrawal(app: &AppName) -> String {
    format!("An operator withdrew the release: `lowtide resume {app} --reason \"…\"` lifts the halt.")
}

/// What a resume says in mails and comments besides its reason.
pub(super) fn sections(form: Option<&Form>, probation: u32) -> Vec<Section> {
    let mut sections = Vec::new();
    if let Some(form) = form {
        let mut facts: Vec<(&'static str, String)> = Vec::new();
        for why in &form.whys {
            facts.push(("Why", clean::one_line(why, 300)));
        }
        facts.push(("Class", form.class.word().to_owned()));
        if let Some(commit) = &form.commit {
            facts.push(("Commit", short_commit(commit)));
        }
        if form.config {
            facts.push(("Configuration", "changed since the halt".to_owned()));
        }
        sections.push(Section::new("Root cause and countermeasure", vec![Block::Facts(facts)]));
    }
    if probation > 0 {
        let text = format!("{}.", words::sentence_start(&watched(probation)));
        sections.push(Section::new("Probation", vec![Block::Text(text)]));
    }
    sections
}

/// The command that lifts the halt, or that shows what is needed to lift it.
#[must_use]
pub fn command(app: &str, reason: &HaltReason, require: Require) -> String {
    match required(reason, require) {
        Require::Reason => format!("lowtide resume {app} --reason \"…\""),
        Require::Countermeasure => format!("lowtide incident {app}"),
    }
}

/// A halt by an operator never needs a form.
pub(super) fn required(reason: &HaltReason, require: Require) -> Require {
    match reason {
        HaltReason::Operator { .. } | HaltReason::Withdrawn { .. } => Require::Reason,
        HaltReason::Reverted { .. } | HaltReason::Irreversible { .. } | HaltReason::Stuck { .. } => require,
    }
}

/// Was the rollout rolled back, or did it get stuck? Then there is more to report than its steps.
pub(super) fn is_incident(conclusion: Option<&RolloutConclusion>) -> bool {
    match conclusion {
        Some(RolloutConclusion::Reverted { .. } | RolloutConclusion::Stuck { .. }) => true,
        Some(
            RolloutConclusion::Done
            | RolloutConclusion::AlreadyThere
            | RolloutConclusion::Refused { .. }
            | RolloutConclusion::Superseded { .. },
        )
        | None => false,
    }
}

fn watched(rollouts: u32) -> String {
    match rollouts {
        1 => "the next new release is watched twice as long on each target".to_owned(),
        n => format!("the next {n} new releases are watched twice as long on each target"),
    }
}

fn rollouts(n: u32) -> String {
    let text = if n == 1 { "rollout" } else { "rollouts" };
    format!("{n} {text}")
}

const NOISE_NEEDS_CONFIG: &str = "countermeasure.config: what is called noise needs a changed setting (`config: true`), or \
                                  it will be noise again";

fn missing(app: &AppName, lacking: &Lacking) -> String {
    match lacking {
        Lacking::Reason => "a reason: --reason \"…\"".to_owned(),
        Lacking::Form => format!(
            "a form, since the app has `halt.require: countermeasure`: `lowtide incident {app} --form > FILE`, fill it \
             in, `lowtide resume {app} --form FILE`"
        ),
        Lacking::Odd(what) => format!("a form that can be read: {}", clean::one_line(what, 200)),
        Lacking::Whys => "whys: at least one, why it happened".to_owned(),
        Lacking::EmptyWhy(n) => format!("whys: the {} is empty; fill it in, or take it out", nth(*n)),
        Lacking::TooManyWhys(n) => format!("whys: five at most, not {n}"),
        Lacking::Root { whys } => format!(
            "root: fewer than five whys ({whys}) need `root: reached`, which says that the last one is the root cause"
        ),
        Lacking::RootWord(word) => format!("root: `reached` or `open`, not `{}`", clean::one_line(word, 40)),
        Lacking::Class => format!("class: one of {}", classes()),
        Lacking::ClassWord(word) => format!("class: one of {}, not `{}`", classes(), clean::one_line(word, 40)),
        Lacking::Countermeasure => "countermeasure: `commit: \"ID\"` of a commit that changes a test, or \
                                    `config: true` after the app's configuration was changed"
            .to_owned(),
        Lacking::CommitWord(word) => format!(
            "countermeasure.commit: a commit id of at least seven hex digits, not `{}`",
            clean::one_line(word, 80)
        ),
        Lacking::CommitAway(id) => format!(
            "countermeasure.commit: {} is not on the branch that the app tracks; has it been pushed and merged?",
            short_commit(id)
        ),
        Lacking::CommitOld { commit, failed } if failed.is_empty() => format!(
            "countermeasure.commit: {} is older than the halt, so it cannot be its fix",
            short_commit(commit)
        ),
        Lacking::CommitOld { commit, failed } => format!(
            "countermeasure.commit: {} is not newer than {}, of which the failed release was built",
            short_commit(commit),
            short_commit(failed)
        ),
        Lacking::CommitTestless { commit, globs } => {
            let globs: Vec<String> = globs.iter().map(|glob| clean::one_line(glob, 60)).collect();
            format!(
                "countermeasure.commit: {} changes no test; tests are {} (`halt.tests`)",
                short_commit(commit),
                globs.join(", ")
            )
        }
        Lacking::CommitBlank { commit, path } => format!(
            "countermeasure.commit: {} changes only white space and comments of the tests ({}); name a commit that \
             changes what they test",
            short_commit(commit),
            clean::one_line(path, 120)
        ),
        Lacking::CommitUnseen(failure) => format!(
            "countermeasure.commit: the repository could not be read. {} Try again",
            words::failure(failure)
        ),
        Lacking::NoRepository => {
            "countermeasure.commit: others build this image; change its tests or tags and write `config: true`"
                .to_owned()
        }
        Lacking::ConfigSame => "countermeasure.config: the app's source, build, env, test, ready, publish and rollout \
                                settings are as they were at the halt; change what let this happen, then resume"
            .to_owned(),
        Lacking::ConfigUnknown => {
            "countermeasure.config: how the app was configured at the halt is not recorded; name \
                                   a commit instead"
                .to_owned()
        }
        Lacking::NoiseNeedsConfig => NOISE_NEEDS_CONFIG.to_owned(),
    }
}

fn classes() -> String {
    Class::ALL.map(Class::word).join(", ")
}

fn nth(n: usize) -> &'static str {
    ["first", "second", "third", "fourth", "fifth"]
        .get(n - 1)
        .copied()
        .unwrap_or("last")
}

/// Milliseconds for people; here so that both forms of a case say the same.
pub(super) fn took(ms: u64) -> String {
    quantity::duration(ms)
}

#[cfg(test)]
mod tests;
