//! *bootstrap* and *test* on the build host: the environment, and what they are given besides.

use super::environment::{Stop, TestEnvironment};
use super::hidden::Hidden;
use super::run::StageContext;
use super::{bootstrap, build, test};
use lowtide_core::yaml::second;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::TestSetup;
use lowtide_model::stages::bootstrap::{Bootstrap, Bootstrapped};
use lowtide_model::stages::test::{Test, TestReport, Tested};
use lowtide_packages::junit;
use serde_json::Value;

/// # Errors
/// As bootstrap fails or is cancelled.
pub async fn bootstrap(context: &StageContext<'_>, effect: &Bootstrap) -> Result<Bootstrapped, Stop> {
    let compose = compose_file(context, effect.round).await?;
    in_environment(context, effect.round, async |environment| {
        bootstrap::perform(environment, effect, compose.as_ref()).await
    })
    .await
}

/// # Errors
/// As the tests fail or are cancelled.
pub async fn test(context: &StageContext<'_>, effect: &Test) -> Result<Tested, Stop> {
    in_environment(context, effect.round, async |environment| {
        test::perform(environment, effect, &parse).await
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
        engine: context.fleet.engine(&context.run.app.build().host)?,
        credentials: &context.fleet.credentials,
        app: &context.run.app,
        round,
        labels: &labels,
        via: &context.bot.via,
        work: &directory,
        cancel: context.cancel,
        hidden: &hidden,
        say: &say,
    };
    work(&environment).await
}

/// The repository's own compose file, of the commit under test.
async fn compose_file(context: &StageContext<'_>, round: u16) -> Result<Option<Value>, Failure> {
    let Some(TestSetup::Compose { file, .. }) = context.run.app.tests.get(usize::from(round)).map(|test| &test.how)
    else {
        return Ok(None);
    };
    let refused = |why: String| Failure::new(FailureKind::ComposeRefused, format!("{file}: {why}"));
    let Some((build, _)) = &context.run.build else {
        return Err(Failure::new(FailureKind::Invariant, "a test before its build"));
    };
    let commit = &build.resolved.commit.id;
    let bytes = context
        .bot
        .git
        .read_file(context.run.app.source(), commit, file)
        .await
        .map_err(|e| e.failure())?;
    let bytes = bytes.ok_or_else(|| refused("it is not in the commit".to_owned()))?;
    let file = file.clone();
    let read = build::aside(move || {
        let refused = |why: String| Failure::new(FailureKind::ComposeRefused, format!("{file}: {why}"));
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        second::yaml_value(&text).map_err(refused)
    });
    read.await.map(Some)
}
