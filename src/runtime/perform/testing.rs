//! *bootstrap* and *test* on the build host: the environment, and what they are given besides.

use super::build::WorkTree;
use super::environment::{SidecarImages, Stop, TestEnvironment};
use super::hidden::Hidden;
use super::run::{StageContext, built};
use super::{assess, bootstrap, build, test};
use lowtide_core::report::words;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::hide::masked;
use lowtide_model::policy::{StepAction, TestPolicy, TestSetup};
use lowtide_model::run::Stage;
use lowtide_model::stages::bootstrap::{Bootstrap, Bootstrapped};
use lowtide_model::stages::test::{Test, TestReport, Tested};
use lowtide_packages::junit;

/// # Errors
/// As bootstrap fails or is cancelled.
pub async fn bootstrap(context: &StageContext<'_>, effect: &Bootstrap) -> Result<Bootstrapped, Stop> {
    let tree = work_tree(context, effect.round, |test| matches!(test.how, TestSetup::Compose(_))).await?;
    in_environment(context, effect.round, async |environment| {
        bootstrap::perform(environment, effect, tree.as_ref().map(|tree| tree.path.as_path())).await
    })
    .await
}

/// # Errors
/// As the tests fail or are cancelled.
pub async fn test(context: &StageContext<'_>, effect: &Test) -> Result<Tested, Stop> {
    let copies = |test: &TestPolicy| {
        let mut actions = test.steps.iter().map(|step| &step.action);
        actions.any(|action| matches!(action, StepAction::CopyIn { .. }))
    };
    let tree = work_tree(context, effect.round, copies).await?;
    in_environment(context, effect.round, async |environment| {
        test::perform(
            environment,
            effect,
            tree.as_ref().map(|tree| tree.path.as_path()),
            &parse,
        )
        .await
    })
    .await
}

fn parse(xml: &[u8]) -> Result<TestReport, String> {
    junit::parse(xml).map_err(|e| e.to_string())
}

async fn in_environment<T>(
    context: &StageContext<'_>,
    round: u16,
    work: impl AsyncFnOnce(&TestEnvironment<'_>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut directory = context.bot.run_directory(context.run.id);
    if round > 0 {
        directory.push(format!("round-{}", round + 1));
    }
    std::fs::create_dir_all(&directory).map_err(|e| build::local_file(&directory, &e))?;
    let labels = context.labels();
    let say = |line: &str| context.line(line);
    let hidden = Hidden::of(&context.run.app);
    let environment = TestEnvironment {
        engine: context.fleet.engine(context.run.app.host())?,
        credentials: &context.fleet.credentials,
        sidecar_images: sidecar_images(context),
        app: &context.run.app,
        round,
        labels: &labels,
        via: &context.bot.via,
        work: &directory,
        cancel: context.cancel,
        hidden: &hidden,
        say: &say,
    };
    let set = environment.policy().and_then(|test| words::of_set(&test.matrix));
    let set = set.map(|set| masked(&set, &hidden.secrets()));
    if let Some(set) = &set {
        context.line(&words::round(round, context.run.app.tests.len(), set));
    }
    let is_retest = context.run.is_retest(Stage::Test);
    let moved = is_retest.then(|| words::moved_sidecars(context.run.moved_sidecars()));
    let circumstances: Vec<String> = set.map(|set| format!("with {set}")).into_iter().chain(moved).collect();
    if circumstances.is_empty() {
        return work(&environment).await;
    }
    work(&environment).await.map_err(|stop| match stop {
        Stop::Failed(failure) => Stop::Failed(Failure {
            detail: format!("{}: {}", circumstances.join(", "), failure.detail),
            ..failure
        }),
        Stop::Cancelled => Stop::Cancelled,
    })
}

fn sidecar_images<'a>(context: &'a StageContext<'_>) -> SidecarImages<'a> {
    match &context.run.resolved {
        Some(resolved) if context.run.app.pulls() => SidecarImages::Registry {
            bases: &context.bot.bases,
            registry: &context.fleet.registry,
            platform: &resolved.platform,
            since: assess::bases_since(&context.run.trigger, context.run.opened),
        },
        Some(_) | None => SidecarImages::Engine,
    }
}

/// The work tree of the commit under test, where the round needs it.
async fn work_tree(
    context: &StageContext<'_>,
    round: u16,
    is_needed: impl Fn(&TestPolicy) -> bool,
) -> Result<Option<WorkTree>, Stop> {
    let app = &context.run.app;
    if !app.tests.get(usize::from(round)).is_some_and(is_needed) {
        return Ok(None);
    }
    let Some(resolved) = &context.run.resolved else {
        return Err(Failure::new(FailureKind::Invariant, "a test before its commit is known").into());
    };
    let (source, _) = built(app)?;
    let Some(commit) = resolved.commit() else {
        return Err(Failure::new(FailureKind::Invariant, "a test of a repository without its commit").into());
    };
    let tree = WorkTree::new(context.bot.run_directory(context.run.id).join("stack"))?;
    let checkout = context.bot.git.checkout(source, &commit.id, &tree.path);
    tokio::select! {
        done = checkout => done.map_err(|e| Stop::Failed(e.failure()))?,
        () = context.cancel.cancelled() => return Err(Stop::Cancelled),
    }
    Ok(Some(tree))
}
