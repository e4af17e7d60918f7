//! What the decisions read of containers.

use crate::decide::rollout::Next;
use crate::model::rollout::{ContainerState, HoldBy, ObservedContainer, ObservedUnit, RestartPolicy, Step, Unit};

pub(super) fn alive(container: &ObservedContainer) -> bool {
    match container.state {
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => true,
        ContainerState::Created
        | ContainerState::Removing
        | ContainerState::Exited
        | ContainerState::Dead
        | ContainerState::Unknown => false,
    }
}

pub(super) fn policy_is(container: &ObservedContainer, policy: &RestartPolicy) -> bool {
    // The engine writes "no policy" as an empty name or as "no" (moby, RestartPolicy.IsNone).
    let none = |name: &str| name.is_empty() || name == "no";
    (none(&container.restart.name) && none(&policy.name)) || container.restart == *policy
}

/// Units that cannot outlive the container of `held`, the last to be made first.
pub(super) fn living_in<'a>(
    units: &'a [Unit],
    seen: &'a [ObservedUnit],
    held: usize,
) -> impl Iterator<Item = (&'a Unit, &'a ObservedUnit)> {
    let mut reached = vec![held];
    for unit in units {
        let lives = |hold: &crate::model::rollout::Hold| hold.by == HoldBy::Namespace && reached.contains(&hold.unit);
        if unit.holds.iter().any(lives) {
            reached.push(unit.index);
        }
    }
    units
        .iter()
        .zip(seen)
        .rev()
        .filter(move |(unit, _)| unit.index != held && reached.contains(&unit.index))
}

/// Units that belong together: who holds on to whom. A held unit stands before its holders.
pub(super) fn groups(units: &[Unit]) -> Vec<Vec<usize>> {
    let mut group: Vec<usize> = (0..units.len()).collect();
    for unit in units {
        for hold in &unit.holds {
            let (from, to) = (group[unit.index], group.get(hold.unit).copied().unwrap_or(unit.index));
            for g in &mut group {
                if *g == from {
                    *g = to;
                }
            }
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for leader in 0..units.len() {
        let members: Vec<usize> = (0..units.len()).filter(|n| group[*n] == leader).collect();
        if !members.is_empty() {
            groups.push(members);
        }
    }
    groups
}

pub(super) fn step(step: Step) -> Next {
    Next::Do { attempt: 1, step }
}
