//! A repository that its maintainer works in, on this machine: what `lowtide check --repo` and `lowtide test` look at.

use crate::clients::engine::connect::Engine;
use crate::clients::git::local;
use crate::runtime::self_container;
use lowtide_core::channels::list::Channels;
use lowtide_core::decide::labels;
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_model::failure::Failure;
use lowtide_model::name::RunId;
use lowtide_model::policy::{EngineAddress, GitRef, Host, ImageOrigin, Mode, Schedule, Source};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A commit, and where it is built.
pub struct Here {
    /// The top folder of the repository.
    pub top: PathBuf,
    /// Full id.
    pub commit: String,
    /// Instead of the configuration's.
    pub context: Option<String>,
    /// Instead of the configuration's.
    pub dockerfile: Option<String>,
    pub engine: EngineAddress,
}

/// The top folder of the repository that `folder` is in.
///
/// # Errors
/// As git fails.
pub async fn top(folder: &Path) -> Result<PathBuf, Failure> {
    local::top(folder).await.map_err(|e| e.failure())
}

/// The full id of the commit that `name` means there, as git understands it.
///
/// # Errors
/// As git fails.
pub async fn commit(folder: &Path, name: &str) -> Result<String, Failure> {
    local::commit(folder, name).await.map_err(|e| e.failure())
}

/// The fleet as it is on this machine: its apps, which have a repository, are built from this commit by this engine; nothing is pushed, rolled out or told to anybody.
#[must_use]
pub fn here(fleet: Fleet, here: &Here) -> Fleet {
    let app = |app: Arc<App>| {
        let ImageOrigin::Built { source, build } = app.origin.clone() else {
            return app;
        };
        let source = Source {
            repo: format!("file://{}", here.top.display()),
            git_ref: GitRef::Commit(here.commit.clone()),
            context: here.context.clone().unwrap_or(source.context),
            dockerfile: here.dockerfile.clone().unwrap_or(source.dockerfile),
            username: None,
            token: None,
            ssh_key: None,
            ..source
        };
        Arc::new(App {
            mode: Mode::Observe,
            origin: ImageOrigin::Built { source, build },
            publish: None,
            schedule: Schedule::Never,
            rollout: Vec::new(),
            github_repo: None,
            maintainers: Vec::new(),
            ..(*app).clone()
        })
    };
    let host = Host {
        address: here.engine.clone(),
    };
    Fleet {
        hosts: fleet.hosts.into_keys().map(|name| (name, host.clone())).collect(),
        channels: Channels::default(),
        apps: fleet.apps.into_iter().map(|(name, it)| (name, app(it))).collect(),
        ..fleet
    }
}

/// Removes the containers, networks and volumes of the lowtide of this state, and the images of these runs. An interrupt leaves them to the
/// next start, and there is none.
///
/// # Errors
/// As the engine fails.
pub async fn leave_nothing(engine: &EngineAddress, state: &Path, runs: &[RunId]) -> Result<(), Failure> {
    let instance = self_container::instance(state).map_err(|e| Failure::local(state.display(), &e))?;
    let engine = Engine::connect(engine).map_err(|e| e.failure())?;
    let ours = [("io.lowtide.instance".to_owned(), instance)];
    engine.sweep(&ours).await.map_err(|e| e.failure())?;
    for run in runs {
        let label = format!("{}={run}", labels::RUN);
        let images = engine.list_images(&label).await.map_err(|e| e.failure())?;
        for image in images {
            let removed = engine.remove_image(image.id.as_str()).await;
            removed.map_err(|e| e.failure())?;
        }
    }
    Ok(())
}
