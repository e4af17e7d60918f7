//! What happens to an effect that was started and never ended because lowtide was killed.

use lowtide_model::run::{Effect, Stage};

/// What to do with an effect that was started and has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Recovery {
    /// Sweep what this run left on the engine, then go on from `back_to`.
    Repeat { back_to: Stage },
}

/// The match is exhaustive on purpose: a new effect does not compile until its recovery is defined.
///
/// Publish is repeated too: an immutable tag that holds our digest already is "done", one that holds another digest is
/// refused, and moving a tag twice to the same digest is harmless. Steps of a rollout need no recovery here: a rollout
/// observes the actual state before each step.
pub fn run_effect(effect: &Effect) -> Recovery {
    match effect {
        Effect::Resolve(_) => Recovery::Repeat {
            back_to: Stage::Resolve,
        },
        Effect::Build(_) => Recovery::Repeat { back_to: Stage::Build },
        Effect::Pull(_) => Recovery::Repeat { back_to: Stage::Pull },
        Effect::Inspect(_) => Recovery::Repeat {
            back_to: Stage::Inspect,
        },
        // The test needs the very container that bootstrap made; half-run tests are not continued.
        Effect::Bootstrap(_) | Effect::Test(_) => Recovery::Repeat {
            back_to: Stage::Bootstrap,
        },
        Effect::Publish(_) => Recovery::Repeat {
            back_to: Stage::Publish,
        },
    }
}
