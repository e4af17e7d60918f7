//! An operator's rollback: which release is withdrawn, and how each target leaves it.

use super::app_state::{AppState, TargetState};
use crate::fleet::app_state::Withdrawal;
use lowtide_model::name::TargetName;
use lowtide_model::release::Release;

/// Withdraws the newest release that any of these targets runs or is being updated to. Targets on another release are
/// left alone. `None`: no target has anything to roll back to, or all of them are rolling back already.
#[must_use]
pub fn withdraw<'a>(app_state: &'a AppState, targets: &[TargetName]) -> Option<Withdrawal<'a>> {
    let places: Vec<(&TargetName, Place<'a>)> = targets
        .iter()
        .filter_map(|name| Some((name, place(app_state, app_state.targets.get(name)?)?)))
        .collect();
    let release = places
        .iter()
        .map(|(_, place)| place.release())
        .max_by_key(|release| release.run)?;
    let mut withdrawal = Withdrawal {
        release,
        back: Vec::new(),
        turning: Vec::new(),
        stay: Vec::new(),
    };
    for (name, place) in places.into_iter().filter(|(_, place)| place.release() == release) {
        match place {
            Place::Runs { before, .. } => withdrawal.back.push((name.clone(), before)),
            Place::IsGiven { .. } => withdrawal.turning.push(name.clone()),
        }
    }
    let leaves =
        |name: &TargetName| withdrawal.back.iter().any(|(back, _)| back == name) || withdrawal.turning.contains(name);
    let stays = app_state
        .targets
        .iter()
        .filter(|(name, state)| state.current == Some(release.run) && !leaves(name));
    withdrawal.stay = stays.map(|(name, _)| name.clone()).collect();
    Some(withdrawal)
}

/// The release that can be withdrawn from a target.
enum Place<'a> {
    Runs { release: &'a Release, before: &'a Release },
    IsGiven { release: &'a Release },
}

impl<'a> Place<'a> {
    fn release(&self) -> &'a Release {
        match self {
            Place::Runs { release, .. } | Place::IsGiven { release } => release,
        }
    }
}

fn place<'a>(app_state: &'a AppState, state: &'a TargetState) -> Option<Place<'a>> {
    match state.open {
        // An open rollout of an older release is already a rollback.
        Some((_, run)) if state.current.is_none_or(|good| run > good) => {
            app_state.release(run).map(|release| Place::IsGiven { release })
        }
        Some(_) => None,
        None => {
            let release = app_state.release(state.current?)?;
            let before = app_state.way_back(state)?;
            Some(Place::Runs { release, before })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::name::{RolloutId, RunId};
    use lowtide_model::release::Images;
    use ulid::Ulid;

    fn release(n: u128) -> Release {
        let image = format!("sha256:{n:064x}");
        Release {
            upstream: None,
            run: RunId(Ulid(n)),
            images: Images::one(image.parse().unwrap(), image.parse().unwrap()),
            commit: Some("c".repeat(40)),
            tag: format!("t{n}"),
            digest: None,
            reference: "example.org/web:t".parse().unwrap(),
            change: None,
            sidecars: std::collections::BTreeMap::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// What it runs, what it ran before, what it is being given.
    type Now = (Option<u128>, Option<u128>, Option<u128>);

    fn rendered(quarantined: &[u128], targets: &[(&str, Now)]) -> String {
        let mut app_state = AppState {
            releases: (1..=4).map(release).collect(),
            quarantine: quarantined
                .iter()
                .map(|n| release(*n).images.first().content.clone())
                .collect(),
            ..AppState::default()
        };
        let run = |n: u128| RunId(Ulid(n));
        for (name, (good, before, open)) in targets {
            let state = TargetState {
                current: good.map(run),
                previous: before.map(run),
                open: open.map(|n| (RolloutId(Ulid(n)), run(n))),
                ..TargetState::default()
            };
            app_state.targets.insert(name.parse().unwrap(), state);
        }
        let names: Vec<TargetName> = app_state.targets.keys().cloned().collect();
        withdraw(&app_state, &names).map_or("nothing".to_owned(), |withdrawal| {
            crate::report::halt::goes_back(&"web".parse().unwrap(), &withdrawal)
        })
    }

    #[test]
    fn the_newest_that_any_target_has_is_rolled_back_and_others_stay() {
        let table = [
            rendered(&[], &[("a", (Some(2), Some(1), None)), ("b", (Some(2), Some(1), None))]),
            rendered(&[], &[("a", (Some(3), Some(2), None)), ("b", (Some(2), Some(1), None))]),
            rendered(&[], &[("a", (Some(2), Some(1), Some(3)))]),
            rendered(
                &[],
                &[("a", (Some(3), Some(2), None)), ("b", (Some(2), Some(1), Some(3)))],
            ),
            rendered(&[], &[("a", (None, None, Some(1)))]),
            rendered(&[], &[("a", (Some(1), None, None))]),
            // It goes back already.
            rendered(&[3], &[("a", (Some(3), Some(2), Some(2)))]),
            // What it ran before was rolled back itself.
            rendered(&[2], &[("a", (Some(3), Some(2), None))]),
        ];
        insta::assert_snapshot!(table.join("\n"), @"
        web rolls back from t2 on a, b; it is halted and t2 quarantined
        web rolls back from t3 on a; it is halted and t3 quarantined
        web stops the rollout of t3 and rolls back on a; it is halted and t3 quarantined
        web rolls back from t3 on a, stops the rollout of t3 and rolls back on b; it is halted and t3 quarantined
        web stops the rollout of t1 and rolls back on a; it is halted and t1 quarantined
        nothing
        nothing
        nothing
        ");
    }
}
