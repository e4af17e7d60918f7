//! Helpers by which the decisions interpret observed containers.

use super::model::{Dependency, DependencyKind, ObservedContainer, ObservedUnit, RestartPolicy, Unit};
use super::step::ContainerStep;
use crate::kinds::kind::Plan;
use lowtide_model::container::ContainerState;

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

/// Does the container have this restart policy, or can the engine not change it?
pub(super) fn policy_stands(unit: &Unit, container: &ObservedContainer, policy: &RestartPolicy) -> bool {
    unit.fixed_restart || policy_is(container, policy)
}

pub(super) fn policy_is(container: &ObservedContainer, policy: &RestartPolicy) -> bool {
    // The engine writes "no policy" as an empty name or as "no" (moby, RestartPolicy.IsNone).
    let none = |name: &str| name.is_empty() || name == "no";
    (none(&container.restart.name) && none(&policy.name)) || container.restart == *policy
}

/// Units that live in the namespaces of the container of `held` and cannot outlive it, in reverse order of creation.
pub(super) fn living_in<'a>(
    units: &'a [Unit],
    seen: &'a [ObservedUnit],
    held: usize,
) -> impl Iterator<Item = (&'a Unit, &'a ObservedUnit)> {
    let mut reached = vec![held];
    for unit in units {
        let lives =
            |dependency: &Dependency| dependency.by == DependencyKind::Namespace && reached.contains(&dependency.unit);
        if unit.depends_on.iter().any(lives) {
            reached.push(unit.index);
        }
    }
    units
        .iter()
        .zip(seen)
        .rev()
        .filter(move |(unit, _)| unit.index != held && reached.contains(&unit.index))
}

/// Groups of units that depend on each other. Within a group a unit comes before its dependents.
pub(super) fn groups(units: &[Unit]) -> Vec<Vec<usize>> {
    let mut group: Vec<usize> = (0..units.len()).collect();
    for unit in units {
        for dependency in &unit.depends_on {
            let (from, to) = (
                group[unit.index],
                group.get(dependency.unit).copied().unwrap_or(unit.index),
            );
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

pub(super) fn step(step: ContainerStep) -> Plan<ContainerStep> {
    Plan::Do(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::containers::model::{EndedBy, OnExit};
    use jiff::SignedDuration;
    use lowtide_model::container::Health;
    use lowtide_model::rollout::Part;

    #[test]
    fn a_policy_that_nobody_can_change_is_left_alone() {
        let image = || format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let policy = |name: &str| RestartPolicy {
            name: name.to_owned(),
            max_retries: 0,
        };
        let mut unit = Unit {
            index: 0,
            name: "web".to_owned(),
            old: "old".to_owned(),
            old_image: image(),
            was_running: true,
            restart: policy("unless-stopped"),
            fixed_restart: false,
            snapshot: String::new(),
            part: Part::Release,
            depends_on: Vec::new(),
            bars: Vec::new(),
            on_exit: OnExit::Stays,
            tag: None,
            needs: Vec::new(),
        };
        let container = ObservedContainer {
            id: "old".to_owned(),
            name: "web".to_owned(),
            image: image(),
            state: ContainerState::Exited,
            restart: policy("unless-stopped"),
            restart_count: 0,
            exit_code: 0,
            oom_killed: false,
            health: Health::None,
            warm_up: SignedDuration::ZERO,
            ended_by: EndedBy::Itself,
        };
        assert!(!policy_stands(&unit, &container, &RestartPolicy::none()));
        assert!(policy_stands(&unit, &container, &unit.restart));
        unit.fixed_restart = true;
        assert!(policy_stands(&unit, &container, &RestartPolicy::none()));
    }
}
