//! The full report of a rollout that failed: for a terminal, and as sections of a mail.

use super::change::packages_table;
use super::halt::{is_incident, took};
use super::page::{Block, Section};
use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::{change, clean, words};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lowtide_model::halt::{Candidate, Happened, Incident, Moment, OperatorRollback, RanHook, Readiness, StepEnd};
use lowtide_model::rollout::{HookPhase, RolloutConclusion, Which};
use lowtide_model::window::Closing;

/// Lines of the timeline in a mail; `lowtide incident` has them all.
const TIMELINE_LINES: usize = 30;
/// Lines of each container's log in a mail.
const LOG: usize = 20;
/// Lines and packages of a page: more than a rollout usually has.
const PAGE: usize = 500;
/// Containers whose logs a mail shows.
const CANDIDATES: usize = 3;

/// `lowtide incident`, without the instructions that lift the halt. `halted`: since when the app has been halted by
/// this rollout, if it still is. `operator_rollback`: the operator's revert that the rollout is part of.
#[must_use]
pub fn text(
    incident: &Incident,
    halted: Option<Timestamp>,
    operator_rollback: Option<&OperatorRollback>,
    now: Timestamp,
    style: Style,
) -> String {
    let result = incident.conclusion.as_ref().map_or_else(
        || Ink::Plain.cell("under way"),
        |conclusion| {
            let ink = if *conclusion == RolloutConclusion::Done {
                Ink::Good
            } else {
                Ink::Bad
            };
            ink.cell(words::rollout_concluded(conclusion))
        },
    );
    let mut facts: Vec<[Cell; 2]> = vec![
        fact("rollout", incident.rollout.to_string()),
        fact("app", incident.app.to_string()),
        fact("target", incident.target.to_string()),
        fact("release", release(incident)),
        [Ink::Soft.cell("result"), result],
    ];
    if let Some(operator_rollback) = operator_rollback {
        facts.push(fact("rolled back", rolled_back(operator_rollback, &incident.timezone)));
    }
    if incident.probation {
        facts.push(fact(
            "probation",
            "it was on probation after an earlier incident".to_owned(),
        ));
    }
    facts.push(match halted {
        Some(since) => [
            Ink::Soft.cell("halted"),
            Ink::Bad.cell(format!("for {}, until it is resumed", words::span(since, now))),
        ],
        None => fact("halted", "not by this any more".to_owned()),
    });
    let mut out = columns(&facts, style.width, style.color);
    heading(&mut out, &format!("what happened, {}", zone_name(&incident.timezone)));
    for line in timeline(incident) {
        out.push_str(&format!("  {}\n", clean::log_line(&line)));
    }
    out.push_str(&findings(incident, style));
    out
}

/// `t2, by ana, 2026-11-23 03:05 UTC: it answers 500`
#[must_use]
pub fn rolled_back(operator_rollback: &OperatorRollback, zone: &str) -> String {
    format!(
        "{}, by {}, {}: {}",
        clean::one_line(&operator_rollback.tag, 128),
        clean::one_line(&operator_rollback.by, 60),
        words::moment(operator_rollback.at, zone),
        clean::one_line(&operator_rollback.why, 300)
    )
}

/// The image that ran before our first release has no known commit.
fn release(incident: &Incident) -> String {
    let tag = clean::one_line(&incident.tag, 128);
    match &incident.commit {
        Some(commit) => format!("{tag}, commit {}", words::short_commit(commit)),
        None => tag,
    }
}

/// What a terminal shows of a rollout besides its steps; empty unless it was rolled back or got stuck.
#[must_use]
pub fn findings(incident: &Incident, style: Style) -> String {
    let mut out = String::new();
    if !is_incident(incident.conclusion.as_ref()) {
        return out;
    }
    if !incident.readiness.is_empty() {
        heading(&mut out, "readiness");
        for found in &incident.readiness {
            out.push_str(&format!("  {}\n", ready(found)));
        }
    }
    for candidate in &incident.candidates {
        heading(&mut out, &ended(candidate));
        for line in &candidate.log {
            out.push_str(&Ink::Soft.paint("  | ", style.color));
            out.push_str(&clean::log_line(line));
            out.push('\n');
        }
    }
    let lines = last_lines(incident);
    if !lines.is_empty() {
        heading(&mut out, "the last lines of what failed");
        for line in lines {
            out.push_str(&Ink::Soft.paint("  | ", style.color));
            out.push_str(&clean::log_line(line));
            out.push('\n');
        }
    }
    heading(&mut out, "what the release brought");
    match &incident.change {
        Some(change) => out.push_str(&indented(&packages_table(change, style))),
        None => out.push_str("  It is the first release: there is nothing to compare it with.\n"),
    }
    heading(&mut out, "hooks that ran");
    for line in hooks(incident) {
        out.push_str(&format!("  {line}\n"));
    }
    out
}

/// The last output lines of a command or a hook, unless there are new containers, whose own logs say more.
fn last_lines(incident: &Incident) -> &[String] {
    match &incident.conclusion {
        Some(RolloutConclusion::Reverted { failure } | RolloutConclusion::Stuck { failure })
            if incident.candidates.is_empty() =>
        {
            &failure.excerpt
        }
        Some(_) | None => &[],
    }
}

/// Of a mail: after *Why*.
pub(super) fn sections(incident: &Incident) -> Vec<Section> {
    sections_up_to(incident, TIMELINE_LINES, change::PACKAGES)
}

/// All there is to say of a rollout besides its facts, its steps and why it failed, for a page.
#[must_use]
pub fn in_full(incident: &Incident) -> Vec<Section> {
    sections_up_to(incident, PAGE, PAGE)
}

/// Logs and exit states of all new containers.
pub(super) fn all_logs(incident: &Incident) -> Vec<Block> {
    blocks_of_logs(&incident.candidates, PAGE)
}

fn sections_up_to(incident: &Incident, lines: usize, packages: usize) -> Vec<Section> {
    let timeline: Vec<String> = timeline(incident).iter().map(|line| clean::log_line(line)).collect();
    let earlier = timeline.len().saturating_sub(lines);
    let lines = timeline[earlier..].to_vec();
    let mut sections = vec![Section::new("What happened", vec![Block::Log { lines, earlier }])];
    let measured: Vec<String> = incident.readiness.iter().map(ready).collect();
    if !measured.is_empty() {
        sections.push(Section::new("Readiness", texts(measured)));
    }
    if incident.change.is_some() {
        sections.push(Section::new(
            "What the release brought",
            change::blocks_up_to(incident.change.as_ref(), packages),
        ));
    }
    if incident.irreversible || !incident.hooks.is_empty() {
        sections.push(Section::new("Hooks that ran", texts(hooks(incident))));
    }
    sections
}

/// Logs and exit states of the new containers; of a mail's *Why*.
pub(super) fn logs(incident: &Incident) -> Vec<Block> {
    let shown = incident.candidates.len().min(CANDIDATES);
    blocks_of_logs(&incident.candidates[..shown], LOG)
}

fn blocks_of_logs(candidates: &[Candidate], most: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    for candidate in candidates {
        blocks.push(Block::Text(format!("{}.", words::sentence_start(&ended(candidate)))));
        if !candidate.log.is_empty() {
            let earlier = candidate.log.len().saturating_sub(most);
            let lines = candidate.log[earlier..]
                .iter()
                .map(|line| clean::log_line(line))
                .collect();
            blocks.push(Block::Log { lines, earlier });
        }
    }
    blocks
}

fn timeline(incident: &Incident) -> Vec<String> {
    let tz = TimeZone::get(&incident.timezone).unwrap_or(TimeZone::UTC);
    let day = |at: Timestamp| at.to_zoned(tz.clone()).date();
    let last = incident.timeline.last().map_or(incident.opened, |moment| moment.at);
    let format = if day(incident.opened) == day(last) {
        "%H:%M:%S"
    } else {
        "%m-%d %H:%M:%S"
    };
    let line = |moment: &Moment| {
        let when = moment.at.to_zoned(tz.clone()).strftime(format).to_string();
        format!("{when}  {}", happened(incident, &moment.what))
    };
    incident.timeline.iter().map(line).collect()
}

fn happened(incident: &Incident, what: &Happened) -> String {
    let on = |unit: &Option<String>| unit.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    match what {
        Happened::Opened => format!("{} for {}", clean::one_line(&incident.tag, 128), incident.target),
        Happened::Expedited { by } => format!("{} did not want to wait for the window", clean::one_line(by, 60)),
        Happened::Entered { occurrence } => format!("in the opening of {} {}", occurrence.day, occurrence.from),
        Happened::Suspended { closing } => format!("suspended: {}", closed(closing)),
        Happened::Step {
            step,
            unit,
            took_ms,
            end,
        } => {
            let how = match end {
                StepEnd::Done => String::new(),
                StepEnd::Busy => ": asked for a later retry".to_owned(),
                StepEnd::Failed { failure } => format!(": FAILED. {}", words::failure(failure)),
            };
            format!("{step}{}, {}{how}", on(unit), took(*took_ms))
        }
        Happened::Abandoned { step, unit } => format!("{step}{}: lowtide ended during it", on(unit)),
        Happened::Baking { until } => format!("watched until {}", words::moment(*until, &incident.timezone)),
        Happened::GoingBack { failure } => format!("GOING BACK. {}", words::failure(failure)),
        Happened::Ended => match &incident.conclusion {
            Some(conclusion) => words::rollout_concluded(conclusion),
            None => "ended".to_owned(),
        },
    }
}

fn closed(closing: &Closing) -> String {
    let why = |why: &str| clean::one_line(why, 100);
    match closing {
        Closing::Ended => "its window closed".to_owned(),
        Closing::Denied { why: None } => "a denied span began".to_owned(),
        Closing::Denied { why: Some(text) } => format!("a denied span began ({})", why(text)),
        Closing::Frozen { why: text } => format!("rollouts were frozen ({})", why(text)),
    }
}

fn ready(found: &Readiness) -> String {
    let which = match found.which {
        Which::Old => "old",
        Which::New => "new",
    };
    let unit = clean::one_line(&found.unit, 80);
    let took = took(found.took_ms);
    match &found.failure {
        None => format!("{unit}, {which} container: ready after {took}."),
        Some(failure) => format!(
            "{unit}, {which} container: not ready after {took}. {}",
            words::failure(failure)
        ),
    }
}

fn ended(candidate: &Candidate) -> String {
    let unit = clean::one_line(&candidate.unit, 80);
    let log = if candidate.log.is_empty() {
        "; it wrote no log"
    } else {
        ""
    };
    format!("new container {unit}, exit code {}{log}", candidate.exit_code)
}

/// The hooks that ran. An `irreversible` target may have to be restored from a backup, and a hook may have made one.
fn hooks(incident: &Incident) -> Vec<String> {
    let mut lines: Vec<String> = incident.hooks.iter().map(|hook| ran(incident, hook)).collect();
    let backup = incident
        .hooks
        .iter()
        .any(|hook| hook.phase == HookPhase::Before && hook.failure.is_none());
    match (incident.irreversible, backup) {
        (true, true) => {
            let text = "The target is irreversible: if one of these hooks made a backup, restore from it.";
            lines.push(text.to_owned());
        }
        (true, false) => {
            let text = "The target is irreversible and no `before` hook ran: lowtide knows of no backup.";
            lines.push(text.to_owned());
        }
        (false, _) if lines.is_empty() => lines.push("None.".to_owned()),
        (false, _) => {}
    }
    lines
}

fn ran(incident: &Incident, hook: &RanHook) -> String {
    let phase = match hook.phase {
        HookPhase::Before => "before",
        HookPhase::After => "after",
    };
    let command = clean::one_line(&hook.command.join(" "), 200);
    let how = match &hook.failure {
        None => "done".to_owned(),
        Some(failure) => format!("failed. {}", words::failure(failure)),
    };
    let when = words::moment(hook.at, &incident.timezone);
    format!(
        "{phase}, in {}: {command}; {when}, {how}",
        clean::one_line(&hook.unit, 80)
    )
}

fn texts(lines: Vec<String>) -> Vec<Block> {
    lines.into_iter().map(Block::Text).collect()
}

fn zone_name(zone: &str) -> &str {
    TimeZone::get(zone).map_or("UTC", |_| zone)
}

fn heading(out: &mut String, heading: &str) {
    out.push_str(&format!("\n{heading}\n"));
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn fact(label: &str, value: String) -> [Cell; 2] {
    [Ink::Soft.cell(label), value.into()]
}

#[cfg(test)]
#[path = "incident_tests.rs"]
pub(crate) mod tests;
