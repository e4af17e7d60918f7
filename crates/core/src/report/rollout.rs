//! A rollout and what lies ahead of it: a few lines for `plan`, its steps for `plan APP`, a word per replica.

use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::windows::Needs;
use super::{clean, words};
use jiff::{SignedDuration, Timestamp};
use lowtide_model::name::{RolloutId, TargetName};
use lowtide_model::preview::{Chosen, Entry, Move, OrderReason, Phase, Planned, PlannedState, RolloutPreview, What};
use lowtide_model::rollout::UpdateOrder;
use lowtide_model::rollout::{Bar, Part, RolloutConclusion};

/// Replicas listed by name in one line; the others are counted.
const NAMED: usize = 4;

/// What is moved, from what to the release of `tag`, in which order and why: replicas that have all this in common share a
/// line.
#[must_use]
pub fn moved(preview: &RolloutPreview, tag: &str) -> Vec<String> {
    let mut groups: Vec<Vec<&Move>> = Vec::new();
    let alike = |a: &Move, b: &Move| (&a.from, a.order, &a.why, a.part) == (&b.from, b.order, &b.why, b.part);
    for it in &preview.moves {
        match groups.iter_mut().find(|group| alike(group[0], it)) {
            Some(group) => group.push(it),
            None => groups.push(vec![it]),
        }
    }
    let tag = clean::one_line(tag, 60);
    let lines = groups.iter().map(|group| together(preview.chosen, group, &tag));
    lines.collect()
}

/// One of them that preflight has found.
#[must_use]
pub fn one(it: &Move, tag: &str) -> String {
    together(Chosen::Preflighted, &[it], &clean::one_line(tag, 60))
}

fn together(chosen: Chosen, group: &[&Move], tag: &str) -> String {
    let how = order(group[0]);
    let from = group[0].from.as_deref().map(|from| clean::one_line(from, 60));
    match (chosen, group[0].part, from) {
        (Chosen::Assumed, _, _) if group[0].why == OrderReason::Command => {
            format!("{}: → {tag}, {how}", names(group))
        }
        (Chosen::Assumed, _, _) => format!("what it finds is moved to {tag}, {how}"),
        (Chosen::Preflighted, Part::Dependent, _) => format!("{}: made again on its own image, {how}", names(group)),
        (Chosen::Preflighted, Part::Release, None) => format!("{}: → {tag}, {how}", names(group)),
        (Chosen::Preflighted, Part::Release, Some(from)) => format!("{}: {from} → {tag}, {how}", names(group)),
    }
}

fn names(group: &[&Move]) -> String {
    let name = |it: &&Move| {
        let name = clean::one_line(&it.name, 60);
        match it.tasks {
            Some(tasks) => {
                let tasks = usize::try_from(tasks).unwrap_or(usize::MAX);
                format!("{name} ({})", words::counted(tasks, "task", "tasks"))
            }
            None => name,
        }
    };
    let mut named: Vec<String> = group.iter().take(NAMED).map(name).collect();
    if group.len() > NAMED {
        named.push(format!("{} more", group.len() - NAMED));
    }
    named.join(", ")
}

/// `stop-first (port 80 of the host is published)`.
#[must_use]
pub fn order(it: &Move) -> String {
    let which = it
        .order
        .map_or("in the order that its tasks allow", UpdateOrder::as_str);
    let because = match &it.why {
        OrderReason::Configured => "as configured".to_owned(),
        OrderReason::Dependent => "it depends on another one".to_owned(),
        OrderReason::NoRouter => "no router would pick up a new container".to_owned(),
        OrderReason::RouterPauses => "its router can only hold requests back".to_owned(),
        OrderReason::RouterTakesUp => "its router picks up new containers".to_owned(),
        OrderReason::Bars { bars } => barred(bars),
        OrderReason::Refused { bars } => format!("start-first is refused: {}", barred(bars)),
        OrderReason::Service if it.order.is_none() => return which.to_owned(),
        OrderReason::Service => "by what its tasks allow".to_owned(),
        OrderReason::Command => return "by its command".to_owned(),
    };
    format!("{which} ({because})")
}

fn barred(bars: &[Bar]) -> String {
    let bars: Vec<String> = bars.iter().map(|bar| clean::one_line(&bar.to_string(), 80)).collect();
    bars.join(", ")
}

/// How far each replica is, once something has happened: replicas of one phase share a part of the line. `None`: nothing
/// has.
#[must_use]
pub fn progress(preview: &RolloutPreview) -> Option<String> {
    let mut groups: Vec<(String, Vec<&Move>)> = Vec::new();
    for (index, it) in preview.moves.iter().enumerate() {
        let words = replica(preview, index);
        match groups.iter_mut().find(|(phase, _)| *phase == words) {
            Some((_, group)) => group.push(it),
            None => groups.push((words, vec![it])),
        }
    }
    let began = preview.moves.iter().any(|it| it.phase != Phase::Waiting);
    let lines = groups.iter().map(|(words, group)| {
        let plain: Vec<String> = group
            .iter()
            .take(NAMED)
            .map(|it| clean::one_line(&it.name, 60))
            .collect();
        let more = group.len().saturating_sub(NAMED);
        let names = if more > 0 {
            format!("{} and {more} more", plain.join(", "))
        } else {
            plain.join(", ")
        };
        format!("{names}: {words}")
    });
    began.then(|| lines.collect::<Vec<_>>().join("; "))
}

/// A replica's phase, and the step it is in.
#[must_use]
pub fn replica(preview: &RolloutPreview, index: usize) -> String {
    let Some(it) = preview.moves.get(index) else {
        return String::new();
    };
    let mine = preview.steps.iter().filter(|line| line.unit == Some(index));
    let under_way = mine
        .filter(|line| matches!(line.state, PlannedState::Running { .. }))
        .map(|line| what(&line.what))
        .next_back();
    match (under_way, it.phase) {
        (Some(step), Phase::Moving | Phase::Finishing | Phase::Returning) => {
            format!("{}, {step}", phase(it.phase))
        }
        (None, Phase::Moving | Phase::Finishing | Phase::Returning)
        | (_, Phase::Waiting | Phase::Moved | Phase::Baking | Phase::Returned | Phase::Untouched) => {
            phase(it.phase).to_owned()
        }
    }
}

/// Of one replica.
#[must_use]
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waits for its turn",
        Phase::Moving => "is being moved",
        Phase::Moved => "runs the release",
        Phase::Baking => "runs the release and is watched",
        Phase::Finishing => "runs the release, the old one goes",
        Phase::Returning => "rolling back",
        Phase::Returned => "is back",
        Phase::Untouched => "was not touched",
    }
}

/// `may need 4 min 20 s, bake (2 min) and way back included, going by 3 earlier ones`.
#[must_use]
pub fn needs(needs: Needs, bake: SignedDuration) -> String {
    let included = if bake.is_positive() {
        format!("including bake ({}) and rollback", words::lasting(bake))
    } else {
        "including a rollback".to_owned()
    };
    match needs {
        Needs::Cutoff(cutoff) => format!(
            "begins no later than {} before its window closes; bakes {}",
            words::lasting(cutoff),
            words::lasting(bake)
        ),
        Needs::Estimate { lasts, rollouts: 0 } => {
            let lasts = words::lasting(lasts);
            format!("may need {lasts}, {included}, by the target's limits")
        }
        Needs::Estimate { lasts, rollouts } => {
            let by = words::counted(rollouts, "earlier one", "earlier ones");
            format!("may need {}, {included}, going by {by}", words::lasting(lasts))
        }
    }
}

/// `its window is open for another 2 h, until 2026-11-24 05:00 America/Moncton`; `None`: there is nothing to say.
#[must_use]
pub fn entry(entry: Entry, now: Timestamp, zone: &str) -> Option<String> {
    match entry {
        Entry::At { opens, until } => {
            let length = words::lasting(until.duration_since(opens.unwrap_or(now)));
            let until = words::moment(until, zone);
            Some(match opens {
                Some(_) => format!("its window is then open for {length}, until {until}"),
                None => format!("its window is open for another {length}, until {until}"),
            })
        }
        Entry::Ignored => Some("it waits for no window".to_owned()),
        Entry::Unknown => None,
    }
}

/// How the rollout would end, unless it would succeed.
#[must_use]
pub fn ends(preview: &RolloutPreview) -> Option<String> {
    match &preview.ends {
        Some(RolloutConclusion::Done) | None => None,
        Some(end @ (RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. })) => {
            Some(format!("as it stands: {}", words::rollout_concluded(end)))
        }
        Some(
            end @ (RolloutConclusion::Refused { failure }
            | RolloutConclusion::Reverted { failure }
            | RolloutConclusion::Stuck { failure }),
        ) => {
            let detail = clean::one_line(&failure.detail, 200);
            Some(format!("as it stands: {}: {detail}", words::rollout_concluded(end)))
        }
    }
}

/// Every step, those that were taken with their time.
#[must_use]
pub fn steps(
    rollout: RolloutId,
    target: &TargetName,
    preview: &RolloutPreview,
    now: Timestamp,
    style: Style,
) -> String {
    let stands = match preview.chosen {
        Chosen::Preflighted => "",
        Chosen::Assumed => "; each container or service that preflight finds takes them in turn",
    };
    let head = format!("rollout {} to {target}, step by step{stands}\n", rollout.short());
    let mut rows = step_rows(preview, now);
    for [name, _, _] in &mut rows {
        name.text.insert_str(0, "  ");
    }
    format!("{head}{}", columns(&rows, style.width, style.color))
}

/// Every step: its unit where that is another one than before, the step, and how far it is.
#[must_use]
pub fn step_rows(preview: &RolloutPreview, now: Timestamp) -> Vec<[Cell; 3]> {
    let mut last = None;
    let rows = preview.steps.iter().map(|line| {
        let again = last.replace(line.unit) == Some(line.unit);
        row(preview, line, again, now)
    });
    rows.collect()
}

fn row(preview: &RolloutPreview, line: &Planned, again: bool, now: Timestamp) -> [Cell; 3] {
    let name = match line.unit.and_then(|unit| preview.moves.get(unit)) {
        Some(it) if !again => clean::one_line(&it.name, 40),
        Some(_) | None => String::new(),
    };
    let (ink, state) = match line.state {
        PlannedState::Done { took } => (Ink::Good, format!("done, {}", words::lasting(took))),
        PlannedState::Running { since } => (
            Ink::Warn,
            format!("under way for {}", words::lasting(now.duration_since(since))),
        ),
        PlannedState::Failed => (Ink::Bad, "failed".to_owned()),
        PlannedState::Abandoned => (Ink::Bad, "interrupted".to_owned()),
        PlannedState::Ahead => (Ink::Plain, String::new()),
    };
    let done = matches!(line.state, PlannedState::Done { .. });
    let step = if done { Ink::Soft } else { Ink::Plain };
    [Cell::from(name), step.cell(what(&line.what)), ink.cell(state)]
}

fn what(what: &What) -> String {
    match what {
        What::Step { step } => clean::one_line(step, 80),
        What::Tasks { total } => {
            let total = usize::try_from(*total).unwrap_or(usize::MAX);
            format!("Swarm replaces {}", words::counted(total, "task", "tasks"))
        }
        What::Bake { lasts } => format!("bake, {}", words::lasting(*lasts)),
    }
}

#[cfg(test)]
pub(super) mod tests;
