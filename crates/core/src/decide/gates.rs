//! What every decision about a rollout is given beside the rollout's own state: the gate, the window, how long it may take.

use super::app_state::{self, AppState, TargetState, Waits};
use super::rollout::{Gate, Outside, RolloutState};
use super::window;
use crate::fleet::app::App;
use crate::kinds::list::TargetPolicy;
use jiff::SignedDuration;
use lowtide_model::release::Release;
use lowtide_model::rollout::{Goal, Purpose};

/// What outside the rollout prevents a rollout of `release` from starting.
#[must_use]
pub fn gate(app_state: &AppState, release: &Release, paused: bool) -> Gate {
    if app_state.is_quarantined(release) {
        return Gate::Withdrawn;
    }
    let newer = app_state
        .current()
        .map(|current| current.run)
        .filter(|current| *current > release.run);
    match newer {
        Some(newer) => Gate::Superseded(newer),
        None if paused => Gate::Paused,
        None if app_state.halted.is_some() => Gate::Halted,
        None => Gate::Open,
    }
}

/// Outside conditions of a rollout. `app`: its current configuration, whose windows apply, not those of the time when
/// the rollout was opened.
#[must_use]
pub fn outside(state: &RolloutState, app_state: &AppState, app: Option<&App>, paused: bool) -> Outside {
    let nothing = TargetState::default();
    let known = app_state.targets.get(&state.target.name).unwrap_or(&nothing);
    let named = app.and_then(|app| {
        Some((
            app,
            app.rollout
                .iter()
                .find(|target| target.settings.name == state.target.name)?,
        ))
    });
    let (window, timezone) = named.map_or((&state.target.window, &state.timezone), |(app, target)| {
        (&target.settings.window, &app.timezone)
    });
    let configured = || units(state.kind.configured_units(), known);
    let units = state.kind.units().filter(|units| *units > 0).unwrap_or_else(configured);
    let taken = known
        .opening
        .as_ref()
        .filter(|(release, _)| *release == state.release.run);
    Outside {
        gate: match (state.goal, state.purpose) {
            // Going back is never gated.
            (Goal::Back, _) | (_, Purpose::Revert) => Gate::Open,
            (Goal::Forward, Purpose::Release | Purpose::Probation) => gate(app_state, &state.release, paused),
        },
        window: window.clone(),
        timezone: timezone.clone(),
        needs: window::estimate(
            state.kind.unit_limit(&state.target),
            state.target.bake,
            units,
            &known.took,
        ),
        taken: taken.map(|(_, opening)| opening.clone()),
        waits: known.waits.unwrap_or(Waits {
            since: state.opened,
            security: false,
        }),
    }
}

/// Estimated duration of a target's next rollout, and the number of earlier rollouts it is based on.
#[must_use]
pub fn estimate(target: &TargetPolicy, app_state: &AppState) -> (SignedDuration, usize) {
    let nothing = TargetState::default();
    let known = app_state.targets.get(&target.settings.name).unwrap_or(&nothing);
    let target = app_state::expected(app_state, target.clone());
    (
        window::estimate(
            target.unit_limit(),
            target.settings.bake,
            units(target.configured_units(), known),
            &known.took,
        ),
        known.took.len(),
    )
}

/// Number of containers or services: as in the last rollout, otherwise as configured.
fn units(configured: usize, known: &TargetState) -> usize {
    if known.units > 0 { known.units } else { configured }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::forecast::tests::target;
    use crate::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
    use crate::kinds::list::TargetKind;
    use crate::kinds::services::policy::{ServiceSelect, ServicesPolicy};
    use lowtide_model::policy::Order;

    /// An estimate grows with the number of units: those of the last rollout, otherwise those that the configuration names.
    #[test]
    fn an_estimate_goes_by_how_many_are_moved() {
        let services = |n: usize| (0..n).map(|n| format!("s{n}")).collect::<Vec<_>>();
        let container = target(None);
        let of = |kind| TargetPolicy { kind, ..target(None) };
        let compose = |n| {
            let project = "p".to_owned();
            let services = services(n);
            let select = ContainerSelect::Compose { project, services };
            of(TargetKind::Containers(Box::new(ContainersPolicy::of(select))))
        };
        let stack = |n| {
            let stack = "s".to_owned();
            let services = services(n);
            let select = ServiceSelect::Stack { stack, services };
            let order = Order::Auto;
            of(TargetKind::Services(Box::new(ServicesPolicy { select, order })))
        };
        for (target, wanted) in [(container.clone(), 1), (compose(3), 3), (stack(3), 3), (stack(0), 1)] {
            let nothing = TargetState::default();
            assert_eq!(units(target.configured_units(), &nothing), wanted, "{:?}", target.kind);
            let known = TargetState {
                units: 5,
                ..TargetState::default()
            };
            assert_eq!(units(target.configured_units(), &known), 5, "{:?}", target.kind);
            let (takes, known) = estimate(&target, &AppState::default());
            let expected = window::estimate(target.unit_limit(), target.settings.bake, wanted, &[]);
            assert_eq!((takes, known), (expected, 0));
        }
    }
}
