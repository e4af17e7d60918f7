//! *bootstrap*: launches the candidate with the testing tools on, which are installed now. An unreachable mirror is not
//! the repository's fault.

use super::bench::{Bench, Stop};
use super::launch::{self, Setup};
use super::ready::{self, Role};
use super::trail::Trail;
use crate::model::failure::{Failure, FailureKind};
use crate::model::stages::bootstrap::{Bootstrap, Bootstrapped};
use serde_json::Value;
use tokio::time::Instant;

/// Brings up the network, the sidecars and the candidate; output goes to `bootstrap.log`. What an earlier try of the same
/// attempt left is removed first. `compose` is the parsed compose file where the app's test names one.
///
/// # Errors
/// Nothing is left on the engine then.
pub async fn perform(bench: &Bench<'_>, effect: &Bootstrap, compose: Option<&Value>) -> Result<Bootstrapped, Stop> {
    bench.clean_up().await;
    let done = bring_up(bench, effect, compose).await;
    if done.is_err() {
        bench.clean_up().await;
    }
    done.map_err(|stop| stop.masked(bench.hidden))
}

async fn bring_up(bench: &Bench<'_>, effect: &Bootstrap, compose: Option<&Value>) -> Result<Bootstrapped, Stop> {
    let Some(test) = &bench.app.test else {
        return Err(Failure::new(FailureKind::Invariant, "bootstrap of an app without tests").into());
    };
    let begun = Instant::now();
    let setup = Setup::read(bench, test, compose)?;
    let mut trail = Trail::open(bench, "bootstrap.log")?;
    let network = launch::network(bench, test.network).await?;
    let mut leftovers = setup.start_companions(bench, &network, &mut trail).await?;
    trail.note("the image under test, with the testing tools on");
    bench.go_on()?;
    let spec = setup.candidate(bench, test, effect.image.as_str(), &network);
    let created = bench.create(&spec).await;
    let container = created.map_err(|e| ready::not_created(&Role::Tools, &e))?;
    ready::start(bench, &container, &Role::Tools, &test.ready, &mut trail).await?;
    leftovers.push(container.clone());
    leftovers.push(network);
    Ok(Bootstrapped {
        container,
        leftovers,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
