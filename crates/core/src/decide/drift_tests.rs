use super::*;
use crate::decide::app_state::AppState;
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::journal::Recorded;
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::rollout::RolloutConclusion;
use ulid::Ulid;

fn placed(image: char) -> Placed {
    Placed {
        kind: KindName::Containers,
        image: id(image),
    }
}

fn id(image: char) -> String {
    format!("sha256:{}", image.to_string().repeat(64))
}

/// What the targets of a kind run.
type Seen = (KindName, Vec<Sighted>);

fn containers(images: &str) -> Seen {
    let one = |image: char| Sighted {
        image: id(image),
        named: format!("shop:{image}"),
    };
    (KindName::Containers, images.chars().map(one).collect())
}

fn services(images: &[&str]) -> Seen {
    let one = |image: &&str| Sighted {
        image: (*image).to_owned(),
        named: (*image).to_owned(),
    };
    (KindName::Services, images.iter().map(one).collect())
}

fn runs(image: &str, others: usize, of: usize) -> Option<Drift> {
    Some(Drift::Runs {
        image: image.to_owned(),
        others,
        of,
    })
}

#[test]
fn what_runs_is_compared_by_its_bits() {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let (one, two) = (digest("1"), digest("2"));
    let service = Placed {
        kind: KindName::Services,
        image: format!("registry.example.org/shop:t1@{one}"),
    };
    let same = format!("registry.example.org/shop:other@{one}");
    let other = format!("registry.example.org/shop:t1@{two}");
    let by_tag = Placed {
        kind: KindName::Services,
        image: "lowtide/shop:t1".to_owned(),
    };
    let table = [
        (placed('a'), containers("a"), None),
        (placed('a'), containers("aa"), None),
        (placed('a'), containers("b"), runs("shop:b", 1, 1)),
        (placed('a'), containers("aba"), runs("shop:b", 1, 3)),
        (placed('a'), containers("cb"), runs("shop:c", 2, 2)),
        (placed('a'), containers(""), Some(Drift::Gone)),
        (service.clone(), services(&[&same]), None),
        (service.clone(), services(&[&same, &other]), runs(&other, 1, 2)),
        // A tag without a digest proves nothing.
        (
            service.clone(),
            services(&["registry.example.org/shop:t1"]),
            runs("registry.example.org/shop:t1", 1, 1),
        ),
        (service.clone(), services(&[]), Some(Drift::Gone)),
        (by_tag.clone(), services(&["lowtide/shop:t1"]), None),
        (by_tag, services(&["lowtide/shop:t2"]), runs("lowtide/shop:t2", 1, 1)),
        // The target's kind has changed since: nothing to compare until its next rollout.
        (service, containers("a"), None),
        (placed('a'), services(&[&same]), None),
    ];
    for (placed, (kind, sighted), drift) in table {
        assert_eq!(compare(&placed, kind, &sighted), drift, "{placed:?} {sighted:?}");
    }
}

#[derive(Default)]
struct Story {
    app_state: AppState,
    before: Option<Option<Drift>>,
    second: i64,
}

impl Story {
    fn push(&mut self, event: AppEvent) {
        self.second += 1;
        let at = Timestamp::from_second(self.second).unwrap();
        self.app_state.apply(&Recorded { seq: 0, at, event });
    }

    fn opened(&mut self, rollout: u128) {
        self.push(AppEvent::RolloutOpened {
            target: target(),
            release: RunId(Ulid(rollout)),
            rollout: RolloutId(Ulid(rollout)),
        });
    }

    fn arrived(&mut self, rollout: u128, image: char) {
        self.opened(rollout);
        self.push(AppEvent::RolloutEnded {
            target: target(),
            release: RunId(Ulid(rollout)),
            rollout: RolloutId(Ulid(rollout)),
            conclusion: RolloutConclusion::Done,
            worked: None,
            placed: Some(placed(image)),
        });
    }

    /// The event that an observation adds to the journal.
    fn look(&mut self, images: &str) -> Option<AppEvent> {
        let state = &self.app_state.targets[&target()];
        let (kind, sighted) = containers(images);
        let now = compare(&state.placed.as_ref().unwrap().1, kind, &sighted);
        let fact = learnt(&target(), state, self.before.as_ref(), &now);
        self.before = Some(now);
        if let Some(fact) = fact.clone() {
            self.push(fact);
        }
        fact
    }

    fn drift(&self) -> Option<Drift> {
        self.app_state.targets[&target()].drift.clone().map(|(_, drift)| drift)
    }
}

fn target() -> TargetName {
    "front".parse().unwrap()
}

#[test]
fn a_drift_is_known_after_two_looks_and_over_after_two() {
    let mut story = Story::default();
    story.arrived(1, 'a');
    assert_eq!(story.look("a"), None);
    // An observation between the stop of a container and the start of its replacement.
    assert_eq!(story.look(""), None);
    assert_eq!(story.look("a"), None);
    assert_eq!(story.look("b"), None);
    assert!(story.look("b").is_some());
    assert_eq!(story.drift(), runs("shop:b", 1, 1));
    // Drift is journalled once, and its start time does not change.
    let since = story.app_state.targets[&target()].drift.clone().unwrap().0;
    assert_eq!(story.look("b"), None);
    assert_eq!(story.look("c"), None);
    assert!(story.look("c").is_some());
    assert_eq!(story.app_state.targets[&target()].drift.clone().unwrap().0, since);
    assert_eq!(story.look("a"), None);
    assert!(story.look("a").is_some());
    assert_eq!(story.drift(), None);
}

/// A half-finished state is the rollout's own doing, not drift.
#[test]
fn after_a_rollout_that_got_stuck_nobody_else_is_blamed() {
    let mut story = Story::default();
    story.arrived(1, 'a');
    story.look("b");
    story.look("b");
    story.opened(2);
    story.push(AppEvent::RolloutEnded {
        target: target(),
        release: RunId(Ulid(2)),
        rollout: RolloutId(Ulid(2)),
        conclusion: RolloutConclusion::Stuck {
            failure: Failure::new(FailureKind::StartFailed, "x"),
        },
        worked: None,
        placed: None,
    });
    assert_eq!(story.drift(), None);
    let state = &story.app_state.targets[&target()];
    assert_eq!(
        learnt(&target(), state, Some(&runs("shop:b", 1, 1)), &runs("shop:b", 1, 1)),
        None
    );
}

#[test]
fn a_rollout_ends_a_drift_and_is_not_judged_by_looks_at_the_one_before() {
    let mut story = Story::default();
    story.arrived(1, 'a');
    story.look("b");
    let late = story.look("b").unwrap();
    assert_eq!(story.drift(), runs("shop:b", 1, 1));
    story.opened(2);
    // While a rollout is in progress no drift is recorded.
    story.before = Some(None);
    assert_eq!(story.look("a"), None);
    story.arrived(2, 'b');
    assert_eq!(story.drift(), None);
    story.push(late);
    assert_eq!(story.drift(), None, "of an earlier rollout");
}
