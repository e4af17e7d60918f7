//! What the stages *bootstrap* and *test* share: the engine, the app, the labels of everything they create, and the
//! clean-up.

use super::hidden::Hidden;
use super::stack::images;
use crate::clients::credentials::Credentials;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::probe::ProbePath;
use crate::clients::engine::spec::Spec;
use crate::clients::registry::connect::Registry;
use crate::runtime::bases::Bases;
use jiff::Timestamp;
use lowtide_core::fleet::app::App;
use lowtide_model::failure::Failure;
use lowtide_model::image::Platform;
use lowtide_model::policy::{ContainerLimits, TestPolicy, TestSetup};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Where one attempt of a run tests its candidate.
#[derive(Clone, Copy)]
pub struct TestEnvironment<'a> {
    pub engine: &'a Engine,
    /// For the images of sidecars.
    pub credentials: &'a Credentials,
    pub sidecar_images: SidecarImages<'a>,
    pub app: &'a App,
    /// Position in the app's rounds of tests.
    pub round: u16,
    /// Put on everything that is created. Clean-up selects by two of them: `io.lowtide.instance` and `io.lowtide.run`.
    pub labels: &'a BTreeMap<String, String>,
    pub via: &'a ProbePath,
    /// An existing directory of this run's own, for logs and artefacts.
    pub work: &'a Path,
    pub cancel: &'a CancellationToken,
    /// Secrets to mask in everything that is shown, stored or journalled.
    pub hidden: &'a Hidden,
    /// Called with each line of output as it arrives.
    pub say: &'a (dyn Fn(&str) + Send + Sync),
}

/// Where the images of sidecars and testers come from.
#[derive(Clone, Copy)]
pub enum SidecarImages<'a> {
    /// The engine's own store (`build.pull: false`); pulled only where it has none of that name.
    Engine,
    /// Their registries: what a tag means is asked in each run, as for base images.
    Registry {
        bases: &'a Bases,
        registry: &'a Registry,
        platform: &'a Platform,
        /// An answer of this time or later is good enough.
        since: Timestamp,
    },
}

/// Why a stage ends without its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    Failed(Failure),
    /// The token was cancelled; everything is cleaned up.
    Cancelled,
}

impl Stop {
    /// The same with secrets masked.
    pub(super) fn masked(self, hidden: &Hidden) -> Self {
        match self {
            Stop::Failed(failure) => Stop::Failed(failure.masked(&hidden.secrets())),
            Stop::Cancelled => Stop::Cancelled,
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Stop::Failed(error.failure())
    }
}

/// For an app that has no test policy of its own.
const LIMITS: ContainerLimits = ContainerLimits {
    memory: 1 << 30,
    cpus: 2.0,
    pids: 1_024,
    output: 16 << 20,
    disk: 10 << 30,
};

impl TestEnvironment<'_> {
    pub(super) fn limits(&self) -> ContainerLimits {
        self.policy().map_or(LIMITS, |test| test.limits)
    }

    /// `None`: the app has no tests.
    pub(super) fn policy(&self) -> Option<&TestPolicy> {
        self.app.tests.get(usize::from(self.round))
    }

    /// Fails once the token is cancelled; checked before each thing that is created.
    pub(super) fn go_on(&self) -> Result<(), Stop> {
        if self.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        Ok(())
    }

    /// Drops `what` when the token is cancelled. Only for futures that leave nothing behind when dropped.
    pub(super) async fn unless_cancelled<T>(&self, what: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
            done = what => Ok(done),
        }
    }

    /// Creates a container of ours. From here on, values in its environment that look like secrets are masked,
    /// including those from its image.
    pub(super) async fn create(&self, spec: &Spec) -> Result<String, EngineError> {
        self.hidden.learn(&spec.env);
        let id = self.engine.create_own(spec).await?;
        self.hidden.learn(&self.engine.environment(&id).await?);
        Ok(id)
    }

    /// Removes everything that this run created. Not cancellable; what cannot be removed now is left to a later sweep.
    pub(super) async fn clean_up(&self) {
        // Select without attempt and term: *test* cleans up what *bootstrap* created in another attempt, or before a
        // restart.
        let ours = |key: &str| key == "io.lowtide.instance" || key == "io.lowtide.run";
        let labels = self.labels.clone().into_iter();
        let selector: Vec<(String, String)> = labels.filter(|(key, _)| ours(key)).collect();
        match self.engine.sweep(&selector).await {
            Ok(swept) => tracing::debug!(?swept, "cleaned up"),
            Err(error) => tracing::warn!(%error, "leftovers of the test stay until the next sweep"),
        }
        if matches!(self.policy().map(|test| &test.how), Some(TestSetup::Compose(_))) {
            images::remove_built(self).await;
        }
    }
}
