//! The pinned commit on the pinned bases becomes an image.

use super::environment::Stop;
use super::hidden::Hidden;
use super::run::{StageContext, built};
use super::stack::read;
use super::{ignore, resolve, room};
use crate::clients::engine::build::BuildRequest;
use crate::clients::engine::builderror::BuildError;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::context::Limits;
use crate::clients::engine::logfile::LogFile;
use crate::clients::secrets;
use bytes::Bytes;
use lowtide_model::failure::{Failure, FailureKind, Finding};
use lowtide_model::hide::masked;
use lowtide_model::image::{ImageId, Reference, Repository, ServedDigest};
use lowtide_model::policy::{BuildPolicy, Source};
use lowtide_model::secret::{Secret, SecretRef};
use lowtide_model::stages::build::{Build, Built};
use lowtide_model::stages::resolve::{BasePin, Commit};
use lowtide_packages::dockerfile::parse::Dockerfile;
use lowtide_packages::dockerfile::pin::pinned_args;
use lowtide_packages::dockerfile::platform;
use lowtide_packages::stale_index::is_stale_index;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// # Errors
/// As the checkout or the build fails, or there is too little disk.
pub async fn perform(context: &StageContext<'_>, effect: &Build) -> Result<Built, Stop> {
    let app = &context.run.app;
    let (source, policy) = built(app)?;
    let engine = engine_with_room(context).await?;
    let directory = context.bot.run_directory(context.run.id);
    let commit = &effect.from.commit;
    // Arguments of a build are in its output whenever a step echoes them.
    let hidden = Hidden::of(app);
    let checkout = checkout(context, &directory, commit)
        .await
        .map_err(|stop| stop.masked(&hidden))?;
    let (dockerfile, text) = resolve::dockerfile(context, source, commit).await?;
    let (pins, target) = (pins(effect), policy.target.as_deref());
    let all = platform::arguments(&policy.args, &effect.platform, target);
    let pinned = sent(policy, &dockerfile, dockerfile.pin(&text, &all, &pins), &all)?;
    let context_dir = checkout.path.join(&source.context);
    let (at, named) = (context_dir.clone(), source.dockerfile.clone());
    let request = BuildRequest {
        ignore: aside(move || ignore::read(&at, &named)).await?,
        context_dir,
        dockerfile: source.dockerfile.clone(),
        replace: vec![(source.dockerfile.clone(), Bytes::from(pinned))],
        limits: Limits {
            bytes: source.max_size,
            ..Limits::default()
        },
        step_limits: policy.limits,
        commit_time: commit.time.as_second(),
        tag: effect.tag.clone(),
        args: pinned_args(&policy.args, &pins),
        target: policy.target.clone(),
        labels: effect.labels.clone(),
        timeout: policy.timeout.unsigned_abs(),
        nocache: true,
        // Bases are pinned to digests already; asking again would only cost time. Local bases must not be pulled.
        pull: false,
        registry_auth: auth(context, effect).await?,
        secrets: values(&policy.secrets)?,
        ssh: values(&policy.ssh)?,
        is_stale_index,
    };
    let log_path = directory.join("build.log");
    let cap = usize::try_from(policy.max_log).unwrap_or(usize::MAX);
    let mut log = LogFile::create(&log_path, cap).map_err(|e| local_file(&log_path, &e))?;
    let mut broken = None;
    let secrets = hidden.secrets();
    let mut sink = |line: &str| {
        let line = masked(line, &secrets);
        context.line(&line);
        if let Err(e) = log.line(&line) {
            broken.get_or_insert(e);
        }
    };
    let built = engine.build(request, &mut sink, context.cancel).await;
    close(log, broken);
    match built {
        Ok(built) => {
            forget_earlier(context, &engine, &built.image).await;
            Ok(Built {
                image: built.image,
                size: built.size,
            })
        }
        Err(error @ BuildError::Cancelled) => {
            tracing::info!(%error);
            Err(Stop::Cancelled)
        }
        Err(error) => Err(stopped(source, &error).masked(&hidden)),
    }
}

fn stopped(source: &Source, error: &BuildError) -> Stop {
    let Some(failure) = error.failure() else {
        return Stop::Cancelled;
    };
    Stop::Failed(match error.step() {
        Some((line, title)) => failure.with_findings([finding(source, line, title, error)]),
        None => failure,
    })
}

/// The line of the Dockerfile that failed.
fn finding(source: &Source, line: u32, title: String, error: &BuildError) -> Finding {
    let folder = source.context.trim_end_matches('/');
    Finding {
        path: if folder.is_empty() {
            source.dockerfile.clone()
        } else {
            format!("{folder}/{}", source.dockerfile)
        },
        line,
        title,
        message: vec![error.to_string()],
    }
}

/// The commit in a folder of its own. A stack that will not be run is refused before anything is built.
async fn checkout(context: &StageContext<'_>, directory: &Path, commit: &Commit) -> Result<WorkTree, Stop> {
    let app = &context.run.app;
    let checkout = WorkTree::new(directory.join("source"))?;
    let checked_out = context.bot.git.checkout(built(app)?.0, &commit.id, &checkout.path);
    tokio::select! {
        done = checked_out => done.map_err(|e| Stop::Failed(e.failure()))?,
        () = context.cancel.cancelled() => return Err(Stop::Cancelled),
    }
    let (tree, app) = (checkout.path.clone(), app.clone());
    aside(move || read::check(&tree, &app)).await?;
    Ok(checkout)
}

fn values(secrets: &BTreeMap<String, SecretRef>) -> Result<BTreeMap<String, Secret>, Failure> {
    secrets
        .iter()
        .map(|(id, secret)| Ok((id.clone(), secrets::read(secret)?)))
        .collect()
}

/// A build that went well is not undone by its log.
fn close(log: LogFile, broken: Option<std::io::Error>) {
    if let Some(e) = broken {
        tracing::warn!(error = %e, "the build log is incomplete");
    }
    if let Err(e) = log.finish() {
        tracing::warn!(error = %e, "the end of the build log could not be written");
    }
}

/// The engine that builds or pulls. There has to be room beside our state, and where the engine keeps its layers.
pub(super) async fn engine_with_room(context: &StageContext<'_>) -> Result<Engine, Failure> {
    let (host, needed) = (context.run.app.host(), context.fleet.fleet.limits.min_free_disk);
    room::enough(&context.bot.state, needed)?;
    let engine = context.fleet.engine(host)?.clone();
    room::enough_on(&engine, host, &context.bot.via, needed).await?;
    Ok(engine)
}

/// The Dockerfile as the builder gets it.
fn sent(
    policy: &BuildPolicy,
    dockerfile: &Dockerfile,
    pinned: String,
    args: &BTreeMap<String, String>,
) -> Result<String, Failure> {
    if !policy.upgrade {
        return Ok(pinned);
    }
    dockerfile
        .with_upgrade(&pinned, policy.target.as_deref(), args)
        .map_err(|e| Failure::new(FailureKind::DockerfileInvalid, e.to_string()))
}

/// Removes images that earlier, unjournalled builds of this run left: the current build took their tag. Only untagged
/// images are removed: one with a tag may be in use by someone.
async fn forget_earlier(context: &StageContext<'_>, engine: &Engine, built: &ImageId) {
    let label = format!("{}={}", lowtide_core::decide::labels::RUN, context.run.id);
    let earlier = match engine.list_images(&label).await {
        Ok(images) => images,
        Err(error) => return tracing::warn!(%error, "images of earlier attempts were not looked for"),
    };
    for image in earlier
        .iter()
        .filter(|image| image.id != *built && image.tags.is_empty())
    {
        if let Err(error) = engine.remove_image(image.id.as_str()).await {
            tracing::warn!(%error, image = image.id.short(), "the image of an earlier attempt could not be removed");
        }
    }
}

/// A work tree that is removed again, also when the stage is dropped. Removed before, too: a kill may have left one.
pub(super) struct WorkTree {
    pub(super) path: PathBuf,
}

impl WorkTree {
    pub(super) fn new(path: PathBuf) -> Result<Self, Failure> {
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|e| local_file(&path, &e))?;
        Ok(Self { path })
    }
}

impl Drop for WorkTree {
    fn drop(&mut self) {
        // The next build and the sweep at start remove it again.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Reads or parses the content of a repository on a blocking thread.
///
/// # Errors
/// As `work` fails.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let panicked = |e: tokio::task::JoinError| Err(Failure::new(FailureKind::Invariant, e.to_string()));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(panicked)
}

pub(super) fn local_file(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(path.display(), error)
}

fn pins(effect: &Build) -> BTreeMap<Reference, ServedDigest> {
    let bases = effect.from.images();
    bases
        .filter_map(|base| match &base.pin {
            BasePin::Registry { served, .. } => Some((base.reference.clone(), served.clone())),
            BasePin::Local { .. } => None,
        })
        .collect()
}

async fn auth(
    context: &StageContext<'_>,
    effect: &Build,
) -> Result<crate::clients::engine::session::RegistryAuth, Failure> {
    let bases = effect.from.images();
    let repositories: Vec<Repository> = bases.map(|base| base.reference.repository.clone()).collect();
    context.fleet.credentials.logins(&repositories).await
}
