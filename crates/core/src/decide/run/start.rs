//! Must a candidate be started, and can it be? A base of other images often has no command, and needs none.

use crate::fleet::app::App;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{ReadyCheck, TestPolicy, TestSetup};
use lowtide_model::run::Stage;

#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) enum Start {
    /// Once without the testing tools, before it is published.
    AsItShips,
    /// It has no command, and nothing requires a start.
    NotAtAll,
    /// It has no command, but the configuration requires a start. A retry would fail the same way, so nothing is tried.
    Impossible { stage: Stage, failure: Failure },
}

/// `has_command`: the image has CMD or ENTRYPOINT.
pub(super) fn judge(app: &App, has_command: bool) -> Start {
    if has_command {
        return Start::AsItShips;
    }
    let starts = |test: &TestPolicy| match &test.how {
        TestSetup::Sidecars(_) => true,
        // A compose file may bring a command for the test: whether it does is seen when it is read.
        TestSetup::Compose(_) => false,
    };
    let needs_start = app
        .tests
        .iter()
        .any(starts)
        .then_some((Stage::Bootstrap, "`test` starts it"));
    let needs_start =
        needs_start.or_else(|| (!app.rollout.is_empty()).then_some((Stage::Test, "`rollout` moves containers to it")));
    let needs_start = needs_start
        .or_else(|| (app.ready.check != ReadyCheck::DEFAULT).then_some((Stage::Test, "`ready` asks for a start")));
    match needs_start {
        None => Start::NotAtAll,
        Some((stage, why)) => Start::Impossible {
            stage,
            failure: Failure::new(
                FailureKind::NothingToStart,
                format!("the image has neither CMD nor ENTRYPOINT, and {why}"),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::app;
    use super::*;
    use crate::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
    use crate::kinds::kind::TargetSettings;
    use crate::kinds::list::{TargetKind, TargetPolicy};
    use jiff::SignedDuration;
    use lowtide_model::policy::{ComposeTest, Mode, Order};

    fn base() -> App {
        let mut app = app(Mode::Active, true, false);
        app.ready.check = ReadyCheck::DEFAULT;
        app
    }

    fn target(app: &App) -> TargetPolicy {
        TargetPolicy {
            settings: TargetSettings {
                name: "front".parse().unwrap(),
                channel: None,
                host: app.host().clone(),
                window: None,
                ready: app.ready.clone(),
                bake: SignedDuration::ZERO,
                irreversible: false,
                unhealthy: lowtide_model::policy::Unhealthy::default(),
            },
            kind: TargetKind::Containers(Box::new(ContainersPolicy {
                select: ContainerSelect::Name { name: "web".into() },
                before: vec![],
                after: vec![],
                stop_timeout: None,
                order: Order::Auto,
                router: None,
                preflight: crate::kinds::containers::policy::PreflightPolicy::default(),
            })),
        }
    }

    fn rendered(app: &App) -> String {
        match judge(app, false) {
            Start::AsItShips => "started".to_owned(),
            Start::NotAtAll => "not started".to_owned(),
            Start::Impossible { stage, failure } => format!("{stage}: {}", failure.detail),
        }
    }

    #[test]
    fn an_image_without_a_command_is_a_base_unless_something_requires_a_start() {
        let mut table = Vec::new();
        table.push(rendered(&base()));
        let mut ready = base();
        ready.ready.check = ReadyCheck::Exit { code: 0 };
        table.push(rendered(&ready));
        let mut tested = base();
        tested.tests = app(Mode::Active, true, true).tests;
        table.push(rendered(&tested));
        for test in &mut tested.tests {
            test.how = TestSetup::Compose(ComposeTest::default());
        }
        table.push(rendered(&tested));
        let mut rolled = tested.clone();
        rolled.rollout = vec![target(&rolled)];
        table.push(rendered(&rolled));
        insta::assert_snapshot!(table.join("\n"), @r"
        not started
        test: the image has neither CMD nor ENTRYPOINT, and `ready` asks for a start
        bootstrap: the image has neither CMD nor ENTRYPOINT, and `test` starts it
        not started
        test: the image has neither CMD nor ENTRYPOINT, and `rollout` moves containers to it
        ");
        for app in [base(), ready, tested, rolled] {
            assert_eq!(judge(&app, true), Start::AsItShips);
        }
    }
}
