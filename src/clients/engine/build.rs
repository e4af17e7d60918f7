//! Building an image: BuildKit, or the classic builder where an engine has none.

use super::agent::Agent;
use super::auth;
use super::builderror::{BuildError, failed, stale_error, timed_out};
use super::buildlog::BuildLog;
use super::connect::Engine;
use super::context::{Context, ContextError, Ignore, Limits};
use super::error::{EngineError, is_loose_end};
use super::image::ImageFacts;
use super::session::{Offer, RegistryAuth, Session};
use super::steps::Steps;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use lowtide_model::image::ImageId;
use lowtide_model::policy::BuildLimits;
use lowtide_model::secret::Secret;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the engine may take to receive a cancel.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of a Dockerfile that is read from the work tree: as much as is read from a commit.
const MAX_DOCKERFILE: u64 = 1 << 20;

type Archive = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// All that a build depends on.
#[derive(Clone)]
pub struct BuildRequest {
    /// The folder that is the build context.
    pub context_dir: PathBuf,
    /// Path of the Dockerfile inside the context.
    pub dockerfile: String,
    /// Contents that take the place of files' (path inside the context): the Dockerfile with its bases pinned.
    pub replace: Vec<(String, Bytes)>,
    pub ignore: Ignore,
    pub limits: Limits,
    /// What each step may use; BuildKit does not heed it.
    pub step_limits: BuildLimits,
    /// Seconds since 1970; the time of every file sent.
    pub commit_time: i64,
    /// Local name the image gets.
    pub tag: String,
    pub args: BTreeMap<String, String>,
    /// The stage to build; `None`: the last.
    pub target: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub timeout: Duration,
    /// Run every instruction anew: no package layer of an earlier day.
    pub nocache: bool,
    /// Ask the registry for each base even when the engine has it.
    pub pull: bool,
    pub registry_auth: RegistryAuth,
    /// For `RUN --mount=type=secret`, by their ids. Only BuildKit has them.
    pub secrets: BTreeMap<String, Secret>,
    /// Private keys for `RUN --mount=type=ssh`, by their ids. Only BuildKit has such mounts.
    pub ssh: BTreeMap<String, Secret>,
    /// Does this line of the output say that a package index was not refreshed? Such a build may lack the fixes it was
    /// made for.
    pub is_stale_index: fn(&str) -> bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub image: ImageId,
    /// Bytes, as the engine counts them.
    pub size: u64,
    pub builder: Builder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    BuildKit,
    Classic,
}

impl Engine {
    /// Builds. `log` gets each line of the builder's output as it comes. Dropping the future, the time limit and
    /// `cancel` all end the build on the engine.
    ///
    /// # Errors
    /// [`BuildError`]; a sign of a stale package index in the output is one even when the builder is content.
    pub async fn build(
        &self,
        request: BuildRequest,
        log: &mut (dyn FnMut(&str) + Send),
        cancel: &CancellationToken,
    ) -> Result<Built, BuildError> {
        let dockerfile = read_dockerfile(&request).await?;
        let steps = Steps::parse(&String::from_utf8_lossy(&dockerfile));
        let id = format!("lowtide-{}", ulid::Ulid::generate().to_string().to_ascii_lowercase());
        let mut log = BuildLog::new(&steps, request.is_stale_index, log);
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(BuildError::Cancelled),
            ended = tokio::time::timeout(request.timeout, self.run(&request, dockerfile, &id, &mut log)) => {
                ended.unwrap_or_else(|_| Err(timed_out(&mut log, request.timeout)))
            }
        };
        self.discard(log.intermediate(), request.nocache).await;
        match ended {
            // Closing the connection has ended the build. A proxy may keep that from the engine, so it also gets a
            // cancel request.
            Err(error @ (BuildError::Cancelled | BuildError::Timeout { .. })) => {
                let _ = self
                    .raw_post_only(&format!("/build/cancel?id={id}"), None, CANCEL_LIMIT)
                    .await;
                Err(error)
            }
            Err(error) => Err(error),
            Ok((image, builder)) => {
                if let Some(stale) = log.stale.take() {
                    // The tag must not point at an image built from a stale package index.
                    self.remove_image(&request.tag).await?;
                    return Err(stale_error(&steps, stale));
                }
                let named = self.must_inspect(&request.tag).await?;
                if named.id != image {
                    let message = format!("{} is {}, not the built {image}", request.tag, named.id);
                    return Err(EngineError::Failed {
                        what: "the build".to_owned(),
                        message,
                    }
                    .into());
                }
                Ok(Built {
                    image,
                    size: named.size,
                    builder,
                })
            }
        }
    }

    /// When the classic builder fails, it leaves the layers it has finished. A build without cache shares them with no
    /// other build, so they are removed, except for layers that have been tagged since.
    async fn discard(&self, layers: Vec<String>, ours: bool) {
        for layer in layers.iter().rev().filter(|_| ours) {
            let nameless = |facts: &ImageFacts| facts.repo_tags.is_empty() && facts.repo_digests.is_empty();
            if matches!(self.inspect_image(layer).await, Ok(Some(facts)) if nameless(&facts))
                && let Err(error) = self.remove_image(layer).await
            {
                tracing::debug!(layer, %error, "a layer of a failed build stays");
            }
        }
    }

    async fn run(
        &self,
        request: &BuildRequest,
        dockerfile: Bytes,
        id: &str,
        log: &mut BuildLog<'_>,
    ) -> Result<(ImageId, Builder), BuildError> {
        let name = request.dockerfile.rsplit('/').next().unwrap_or(&request.dockerfile);
        let offer = Offer {
            context: Arc::new(scan(request, &[]).await?),
            dockerfile: Arc::new(Context::single(name, dockerfile, request.commit_time)),
            auth: request.registry_auth.clone(),
            secrets: request.secrets.clone(),
            ssh: agents(&request.ssh).await?,
        };
        let docker = self.docker.clone().with_timeout(request.timeout);
        if let Some(session) = self.session(id, offer).await? {
            let options = options(request)
                .dockerfile(name)
                .remote("client-session")
                .session(&session.id)
                .build();
            if request.step_limits != BuildLimits::default() {
                log.note(
                    "BuildKit does not know build.limits: the steps of this build may use what the engine itself may.",
                );
            }
            let docker = mark(docker, id, true, BuildLimits::default());
            let ended = self.follow(&docker, options, None, None, log).await;
            return ended
                .map(|image| (image, Builder::BuildKit))
                .map_err(|e| context_first(&session, e));
        }
        if !request.secrets.is_empty() || !request.ssh.is_empty() {
            return Err(BuildError::NoSecrets);
        }
        log.note("This engine offers no BuildKit; its classic builder builds.");
        // The classic builder reads both from the archive, and leaves them out of the image itself where they are ignored.
        let context = Arc::new(scan(request, &[&request.dockerfile, ".dockerignore"]).await?);
        let (body, broken) = context.stream();
        let options = options(request)
            .dockerfile(&request.dockerfile)
            .rm(true)
            .forcerm(true)
            .build();
        let docker = mark(docker, id, false, request.step_limits);
        let auth = Some(classic_auth(&request.registry_auth));
        let ended = self.follow(&docker, options, auth, Some(Box::pin(body)), log).await;
        let ended = ended.map(|image| (image, Builder::Classic));
        ended.map_err(|error| broken.take().map_or(error, BuildError::Context))
    }

    async fn follow(
        &self,
        docker: &Docker,
        options: BuildImageOptions,
        auth: Option<HashMap<String, DockerCredentials>>,
        archive: Option<Archive>,
        log: &mut BuildLog<'_>,
    ) -> Result<ImageId, BuildError> {
        let mut image = None;
        let body = archive.map_or_else(|| bollard::body_full(Bytes::new()), bollard::body_try_stream);
        let mut responses = docker.build_image(options, auth, Some(body));
        while let Some(response) = responses.next().await {
            match response {
                Ok(BuildInfo {
                    aux: Some(BuildInfoAux::BuildKit(status)),
                    ..
                }) => log.buildkit(status),
                Ok(BuildInfo {
                    aux: Some(BuildInfoAux::Default(id)),
                    ..
                }) => image = id.id.or(image),
                Ok(BuildInfo { stream: Some(text), .. }) => image = log.classic(&text).or(image),
                Ok(_) => {}
                Err(bollard::errors::Error::DockerStreamError { error }) => return Err(failed(log, error)),
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 400 | 500,
                    message,
                }) => {
                    // The Dockerfile does not parse: the classic builder says so before its stream begins.
                    return Err(failed(log, message));
                }
                // Only the image's name follows its id in the stream, and `build` inspects that itself.
                Err(error) if is_loose_end(&error) => break,
                Err(error) => return Err(self.error("the build", error).into()),
            }
        }
        // A stream that just stops is an engine that went away; the tag may still be an older image's.
        let Some(image) = image else {
            return Err(EngineError::Failed {
                what: "the build".to_owned(),
                message: "it ended without an image".to_owned(),
            }
            .into());
        };
        Ok(self.image_id(&image).await?)
    }
}

/// What bollard 0.21 cannot say: its options know no `buildid`, no memory of more than 2 GiB, and with version 2 it would open a session of its own,
/// which serves credentials only, under the id of ours.
fn mark(docker: Docker, id: &str, buildkit: bool, limits: BuildLimits) -> Docker {
    let besides = format!("&buildid={id}{}", limits_query(limits));
    docker.with_request_modifier(move |mut request| {
        let mut uri = format!("{}{besides}", request.uri());
        if buildkit {
            uri = uri.replacen("&version=1", "&version=2", 1);
        }
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        request
    })
}

/// Microseconds in which a CPU quota is counted: the kernel's default.
const CPU_PERIOD: u32 = 100_000;

fn limits_query(limits: BuildLimits) -> String {
    // As much swap as memory is none: the second number is the sum.
    let memory = limits.memory.map(|bytes| format!("&memory={bytes}&memswap={bytes}"));
    let cpus = limits.cpus.map(|cpus| {
        let quota = (cpus * f64::from(CPU_PERIOD)).round();
        format!("&cpuperiod={CPU_PERIOD}&cpuquota={quota}")
    });
    format!("{}{}", memory.unwrap_or_default(), cpus.unwrap_or_default())
}

fn options(request: &BuildRequest) -> BuildImageOptionsBuilder {
    let map = |from: &BTreeMap<String, String>| from.clone().into_iter().collect::<HashMap<_, _>>();
    let mut options = BuildImageOptionsBuilder::new()
        .t(&request.tag)
        .nocache(request.nocache)
        .buildargs(&map(&request.args))
        .labels(&map(&request.labels));
    if let Some(target) = &request.target {
        options = options.target(target);
    }
    if request.pull {
        options = options.pull("1");
    }
    options
}

fn classic_auth(logins: &RegistryAuth) -> HashMap<String, DockerCredentials> {
    let named = logins.iter().map(|(host, credential)| {
        let key = auth::key(host);
        (key.to_owned(), auth::config(key, credential))
    });
    named.collect()
}

/// Before the build: a key that no agent takes would end as a failure of some step.
async fn agents(keys: &BTreeMap<String, Secret>) -> Result<BTreeMap<String, Agent>, BuildError> {
    let mut agents = BTreeMap::new();
    for (id, key) in keys {
        let agent = Agent::start(key).await;
        let agent = agent.map_err(|source| BuildError::Agent { id: id.clone(), source })?;
        agents.insert(id.clone(), agent);
    }
    Ok(agents)
}

async fn scan(request: &BuildRequest, always: &[&str]) -> Result<Context, ContextError> {
    let request = request.clone();
    let always: Vec<String> = always.iter().map(|&path| path.to_owned()).collect();
    blocking(move || {
        let always: Vec<&str> = always.iter().map(String::as_str).collect();
        // BuildKit gets the Dockerfile apart; what `COPY .` sees is the repository's.
        let mut replace = request.replace;
        replace.retain(|(path, _)| *path != request.dockerfile || always.contains(&path.as_str()));
        Context::scan(
            &request.context_dir,
            &*request.ignore,
            &always,
            &replace,
            request.commit_time,
            request.limits,
        )
    })
    .await
}

async fn read_dockerfile(request: &BuildRequest) -> Result<Bytes, ContextError> {
    if let Some((_, bytes)) = request.replace.iter().find(|(path, _)| *path == request.dockerfile) {
        return Ok(bytes.clone());
    }
    let (dir, path) = (request.context_dir.clone(), request.dockerfile.clone());
    blocking(move || {
        let failed = |source: io::Error| {
            if source.kind() == io::ErrorKind::NotFound {
                ContextError::Missing { path: path.clone() }
            } else {
                ContextError::Io {
                    path: path.clone(),
                    source,
                }
            }
        };
        // It may be a symlink, but not one that leads out.
        let (root, file) = (
            dir.canonicalize().map_err(failed)?,
            dir.join(&path).canonicalize().map_err(failed)?,
        );
        if !file.starts_with(&root) || !file.is_file() {
            return Err(ContextError::Missing { path });
        }
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened
            .take(MAX_DOCKERFILE + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > MAX_DOCKERFILE {
            return Err(ContextError::TooLarge { limit: MAX_DOCKERFILE });
        }
        Ok(Bytes::from(bytes))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ContextError> + Send + 'static,
) -> Result<T, ContextError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panicked| {
        Err(ContextError::Io {
            path: "the build context".to_owned(),
            source: io::Error::other(panicked),
        })
    })
}

/// When the context could not be sent, the engine's complaint is only its echo.
fn context_first(session: &Session, error: BuildError) -> BuildError {
    session.broken.take().map_or(error, BuildError::Context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_in_the_engines_units() {
        let query = |memory, cpus| limits_query(BuildLimits { memory, cpus });
        assert_eq!(query(None, None), "");
        assert_eq!(query(Some(4 << 30), None), "&memory=4294967296&memswap=4294967296");
        assert_eq!(query(None, Some(1.5)), "&cpuperiod=100000&cpuquota=150000");
        assert_eq!(
            query(Some(6 << 20), Some(0.01)),
            "&memory=6291456&memswap=6291456&cpuperiod=100000&cpuquota=1000"
        );
    }
}
