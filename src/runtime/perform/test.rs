//! *test*: the repository's own tests inside the candidate, then one start in the mode that ships.

use super::environment::{Stop, TestEnvironment};
use super::hidden::Hidden;
use super::launch;
use super::ready::{self, Role};
use super::reports::ParseReport;
use super::stage_log::StageLog;
use super::steps::Steps;
use crate::clients::engine::error::EngineError;
use lowtide_core::report::words;
use lowtide_model::hide::masked;
use lowtide_model::policy::{TestNetwork, TestSetup};
use lowtide_model::stages::bootstrap::Bootstrapped;
use lowtide_model::stages::test::{Production, Test, Tested};
use std::path::Path;

/// Runs the steps in the containers that *bootstrap* left, then the tester, then starts the image once without the testing tools. Output
/// goes to `test.log` and `production.log`, artefacts to `artefacts/`. Whatever happens, nothing is left on the engine. `tree`: the work
/// tree of the commit, where a step copies from it.
///
/// # Errors
/// The first failing step, an unreadable or failing report, or an image that does not become ready as it ships.
pub async fn perform(
    environment: &TestEnvironment<'_>,
    effect: &Test,
    tree: Option<&Path>,
    parse: ParseReport,
) -> Result<Tested, Stop> {
    let done = prove(environment, effect, tree, parse).await;
    environment.clean_up().await;
    match done {
        Ok(tested) => Ok(masked_proof(tested, environment.hidden)),
        Err(stop) => Err(stop.masked(environment.hidden)),
    }
}

/// Masks secrets in commands, in names of tests and in their failure messages.
fn masked_proof(mut tested: Tested, hidden: &Hidden) -> Tested {
    let secrets = hidden.secrets();
    for result in &mut tested.steps {
        result.step = masked(&result.step, &secrets);
    }
    for test in tested.report.iter_mut().flat_map(|report| &mut report.failed) {
        test.name = masked(&test.name, &secrets);
        for line in &mut test.message {
            *line = masked(line, &secrets);
        }
    }
    tested
}

/// Reads the secrets of *bootstrap*'s containers again from the engine: lowtide may have restarted since.
async fn learn(environment: &TestEnvironment<'_>, bootstrapped: &Bootstrapped) -> Result<(), Stop> {
    for id in &bootstrapped.leftovers {
        match environment.engine.environment(id).await {
            Ok(env) => environment.hidden.learn(&env),
            // A network, or a container that is gone: neither writes anything.
            Err(EngineError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn prove(
    environment: &TestEnvironment<'_>,
    effect: &Test,
    tree: Option<&Path>,
    parse: ParseReport,
) -> Result<Tested, Stop> {
    let mut steps = Vec::new();
    let mut report = None;
    let mut networks = match (&effect.bootstrapped, environment.policy()) {
        (Some(bootstrapped), Some(policy)) => {
            let container = &bootstrapped.container;
            let seen = environment.engine.look(container).await?;
            learn(environment, bootstrapped).await?;
            let mut log = StageLog::open(environment, "test.log")?;
            let mut test = Steps::new(environment, policy, bootstrapped, tree, parse);
            let walked = test.walk(&mut log).await;
            test.store_artefacts(&mut log).await;
            (steps, report) = walked?;
            environment.engine.remove_own(container).await?;
            // Those of the test itself: what ships is not put on a network of the host.
            let is_own = |network: &String| bootstrapped.leftovers.contains(network);
            seen.networks.into_iter().filter(is_own).collect()
        }
        (None, _) | (Some(_), None) => Vec::new(),
    };
    let production_ready_ms = match effect.production {
        Production::Start => {
            if networks.is_empty() {
                networks.push(launch::network(environment, "test", TestNetwork::Egress).await?);
            }
            Some(as_it_ships(environment, effect, &networks).await?)
        }
        Production::HasNoCommand => {
            (environment.say)(words::NOT_STARTED);
            None
        }
        Production::NotNow => None,
    };
    Ok(Tested {
        steps,
        report,
        production_ready_ms,
    })
}

/// The mode that ships: the test environment is off, the sidecars are still there.
async fn as_it_ships(environment: &TestEnvironment<'_>, effect: &Test, networks: &[String]) -> Result<u64, Stop> {
    environment.go_on()?;
    let mut log = StageLog::open(environment, "production.log")?;
    log.note("the image as it ships, without the testing tools");
    // In a stack of the repository its name may be another service's.
    let aliases = match environment.policy().map(|test| &test.how) {
        Some(TestSetup::Compose(_)) => Vec::new(),
        Some(TestSetup::Sidecars(_)) | None => vec![environment.app.name.as_str().to_owned()],
    };
    let (network, others) = networks
        .split_first()
        .map_or(("none", &[][..]), |(first, rest)| (first, rest));
    let spec = launch::production(environment, effect.image.as_str(), network, aliases)?;
    let created = environment.create(&spec).await;
    let container = created.map_err(|e| ready::not_created(&Role::Production, &e))?;
    for network in others {
        environment
            .engine
            .connect_container(network, &container, &[], &[])
            .await?;
    }
    let after = ready::start(
        environment,
        &container,
        &Role::Production,
        &environment.app.ready,
        &mut log,
    )
    .await?;
    Ok(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
}
