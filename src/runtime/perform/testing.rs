//! *bootstrap* and *test* on the build host: the bench, and what they are given besides.

use super::bench::{Bench, Stop};
use super::hidden::Hidden;
use super::run::Scene;
use super::{bootstrap, build, test};
use crate::config::raw;
use crate::model::failure::{Failure, FailureKind};
use crate::model::fleet::TestSetup;
use crate::model::stages::bootstrap::{Bootstrap, Bootstrapped};
use crate::model::stages::test::{Test, TestReport, Tested};
use crate::packages::junit;
use serde_json::Value;

/// # Errors
/// As bootstrap fails or is cancelled.
pub async fn bootstrap(scene: &Scene<'_>, effect: &Bootstrap) -> Result<Bootstrapped, Stop> {
    let compose = compose_file(scene).await?;
    on_bench(scene, async |bench| {
        bootstrap::perform(bench, effect, compose.as_ref()).await
    })
    .await
}

/// # Errors
/// As the tests fail or are cancelled.
pub async fn test(scene: &Scene<'_>, effect: &Test) -> Result<Tested, Stop> {
    on_bench(scene, async |bench| test::perform(bench, effect, &parse).await).await
}

fn parse(xml: &[u8]) -> Result<TestReport, String> {
    junit::parse(xml).map_err(|e| e.to_string())
}

async fn on_bench<T>(scene: &Scene<'_>, work: impl AsyncFnOnce(&Bench<'_>) -> Result<T, Stop>) -> Result<T, Stop> {
    let directory = scene.bot.run_directory(scene.run.id);
    std::fs::create_dir_all(&directory).map_err(|e| build::local_file(&directory, &e))?;
    let labels = scene.labels();
    let say = |line: &str| scene.line(line);
    let hidden = Hidden::of(&scene.run.app);
    let bench = Bench {
        engine: scene.fleet.engine(&scene.run.app.build.host)?,
        credentials: &scene.fleet.credentials,
        app: &scene.run.app,
        labels: &labels,
        via: &scene.bot.via,
        work: &directory,
        cancel: scene.cancel,
        hidden: &hidden,
        say: &say,
    };
    work(&bench).await
}

/// The repository's own compose file, of the commit under test.
async fn compose_file(scene: &Scene<'_>) -> Result<Option<Value>, Failure> {
    let Some(TestSetup::Compose { file, .. }) = scene.run.app.test.as_ref().map(|test| &test.how) else {
        return Ok(None);
    };
    let refused = |why: String| Failure::new(FailureKind::ComposeRefused, format!("{file}: {why}"));
    let Some((build, _)) = &scene.run.build else {
        return Err(Failure::new(FailureKind::Invariant, "a test before its build"));
    };
    let commit = &build.resolved.commit.id;
    let bytes = scene
        .bot
        .git
        .read_file(&scene.run.app.source, commit, file)
        .await
        .map_err(|e| e.failure())?;
    let bytes = bytes.ok_or_else(|| refused("it is not in the commit".to_owned()))?;
    let file = file.clone();
    let read = build::aside(move || {
        let refused = |why: String| Failure::new(FailureKind::ComposeRefused, format!("{file}: {why}"));
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        raw::yaml_value(&text).map_err(refused)
    });
    read.await.map(Some)
}
