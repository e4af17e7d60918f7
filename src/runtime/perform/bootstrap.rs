//! *bootstrap*: launches the candidate with the testing tools on, which are installed now. An unreachable mirror is not
//! the repository's fault.

use super::environment::{Stop, TestEnvironment};
use super::launch::{self, Setup};
use super::ready::{self, Role};
use super::stage_log::StageLog;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::stages::bootstrap::{Bootstrap, Bootstrapped};
use serde_json::Value;
use tokio::time::Instant;

/// Brings up the network, the sidecars and the candidate; output goes to `bootstrap.log`. What an earlier try of the same
/// attempt left is removed first. `compose` is the parsed compose file where the app's test names one.
///
/// # Errors
/// Nothing is left on the engine then.
pub async fn perform(
    environment: &TestEnvironment<'_>,
    effect: &Bootstrap,
    compose: Option<&Value>,
) -> Result<Bootstrapped, Stop> {
    environment.clean_up().await;
    let done = bring_up(environment, effect, compose).await;
    if done.is_err() {
        environment.clean_up().await;
    }
    done.map_err(|stop| stop.masked(environment.hidden))
}

async fn bring_up(
    environment: &TestEnvironment<'_>,
    effect: &Bootstrap,
    compose: Option<&Value>,
) -> Result<Bootstrapped, Stop> {
    let Some(test) = environment.policy() else {
        return Err(Failure::new(FailureKind::Invariant, "bootstrap of an app without tests").into());
    };
    let begun = Instant::now();
    let setup = Setup::read(environment, test, compose)?;
    let mut log = StageLog::open(environment, "bootstrap.log")?;
    let network = launch::network(environment, test.network).await?;
    let mut leftovers = setup.start_companions(environment, &network, &mut log).await?;
    log.note("the image under test, with the testing tools on");
    environment.go_on()?;
    let spec = setup.candidate(environment, test, effect.image.as_str(), &network);
    let created = environment.create(&spec).await;
    let container = created.map_err(|e| ready::not_created(&Role::Tools, &e))?;
    ready::start(environment, &container, &Role::Tools, &test.ready, &mut log).await?;
    leftovers.push(container.clone());
    leftovers.push(network);
    Ok(Bootstrapped {
        container,
        leftovers,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
