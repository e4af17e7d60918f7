//! *bootstrap*: launches the candidate with the testing tools on, which are installed now. An unreachable mirror is not
//! the repository's fault.

use super::build::aside;
use super::environment::{Stop, TestEnvironment};
use super::launch::{self, Launched, Setup};
use super::stack::read;
use super::stage_log::StageLog;
use crate::clients::credentials::denied_with;
use crate::clients::secrets;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{TestPolicy, TestSetup};
use lowtide_model::stages::bootstrap::{Bootstrap, Bootstrapped};
use std::path::Path;
use tokio::time::Instant;

/// Brings up the networks, the services and the candidate; output goes to `bootstrap.log`. What an earlier try of the same
/// attempt left is removed first. `tree`: the work tree of the commit, where the app's test runs the repository's own stack.
///
/// # Errors
/// Nothing is left on the engine then.
pub async fn perform(
    environment: &TestEnvironment<'_>,
    effect: &Bootstrap,
    tree: Option<&Path>,
) -> Result<Bootstrapped, Stop> {
    environment.clean_up().await;
    let done = bring_up(environment, effect, tree).await;
    if done.is_err() {
        environment.clean_up().await;
    }
    done.map_err(|stop| stop.masked(environment.hidden))
}

async fn bring_up(
    environment: &TestEnvironment<'_>,
    effect: &Bootstrap,
    tree: Option<&Path>,
) -> Result<Bootstrapped, Stop> {
    let Some(test) = environment.policy() else {
        return Err(Failure::new(FailureKind::Invariant, "bootstrap of an app without tests").into());
    };
    let begun = Instant::now();
    let setup = setup(environment, test, tree).await?;
    let mut log = StageLog::open(environment, "bootstrap.log")?;
    let candidate = candidate(environment, effect).await?;
    let Launched {
        container,
        services,
        tester,
        sidecars,
        leftovers,
    } = launch::launch(environment, test, &setup, tree, &candidate, &mut log).await?;
    Ok(Bootstrapped {
        container,
        services,
        sidecars,
        tester,
        leftovers,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// What the engine calls the image under test. A release that is tested again may have been removed from the build host.
async fn candidate(environment: &TestEnvironment<'_>, effect: &Bootstrap) -> Result<String, Stop> {
    let image = effect.image.as_str();
    let Some(pull) = &effect.pull else {
        return Ok(image.to_owned());
    };
    if environment.engine.inspect_image(image).await?.is_some() {
        return Ok(image.to_owned());
    }
    let auth = environment.credentials.login(&pull.repository).await?;
    let credential = auth.as_ref().map(|found| &found.credential);
    let pulled = environment.engine.ensure_image(pull, credential);
    let pulled = environment.unless_cancelled(pulled).await?;
    pulled.map_err(|error| denied_with(auth.as_ref(), error.failure()))?;
    Ok(pull.to_string())
}

async fn setup(environment: &TestEnvironment<'_>, test: &TestPolicy, tree: Option<&Path>) -> Result<Setup, Failure> {
    let setup = match (&test.how, tree) {
        (TestSetup::Sidecars(sidecars), _) => Setup::of_sidecars(environment.app.name.as_str(), sidecars)?,
        (TestSetup::Compose(_), Some(tree)) => {
            let (tree, app, test) = (tree.to_owned(), environment.app.clone(), test.clone());
            Setup::of_stack(aside(move || read::stack(&tree, &app, &test)).await?)
        }
        (TestSetup::Compose(_), None) => {
            return Err(Failure::new(FailureKind::Invariant, "a stack without its work tree"));
        }
    };
    Ok(match &test.tester {
        Some(tester) => setup.with_tester(tester, secrets::environment(&tester.env)?),
        None => setup,
    })
}
