//! Building an image: BuildKit, or the classic builder where an engine has none.

use super::buildlog::{BuildLog, FailedStep, StaleIndex};
use super::connect::Engine;
use super::context::{Context, ContextError, Ignore, Limits};
use super::error::{EngineError, disk_full, registry_kind};
use super::session::{Offer, RegistryAuth, Session};
use super::steps::Steps;
use crate::model::failure::{Failure, FailureKind};
use crate::model::image::ImageId;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the engine may take to hear of a cancel.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

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

/// Where in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    pub line: Option<u32>,
    /// The instruction on one line, or the builder's name for the step.
    pub instruction: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{place}: {message}")]
    Failed {
        place: Place,
        message: String,
        excerpt: Vec<String>,
    },
    /// A base image cannot be had.
    #[error("{place}: {message}")]
    Base {
        place: Place,
        kind: FailureKind,
        message: String,
    },
    /// The output says so, whatever the exit code.
    #[error("{place}: {sign}")]
    PackageIndexStale {
        place: Place,
        sign: String,
        excerpt: Vec<String>,
    },
    #[error("{place}: no end after {} s", limit.as_secs())]
    Timeout {
        place: Place,
        limit: Duration,
        excerpt: Vec<String>,
    },
    #[error("the build was cancelled")]
    Cancelled,
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl BuildError {
    /// `None`: it was cancelled, which is nobody's failure.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let with =
            |kind, excerpt: &[String]| Failure::new(kind, self.to_string()).with_excerpt(excerpt.iter().cloned());
        Some(match self {
            BuildError::Failed { message, excerpt, .. } => {
                let full = disk_full(message) || excerpt.iter().any(|line| disk_full(line));
                with(
                    if full {
                        FailureKind::DiskFull
                    } else {
                        FailureKind::BuildFailed
                    },
                    excerpt,
                )
            }
            BuildError::Base { kind, .. } => with(*kind, &[]),
            BuildError::PackageIndexStale { excerpt, .. } => with(FailureKind::PackageIndexStale, excerpt),
            BuildError::Timeout { excerpt, .. } => with(FailureKind::BuildTimeout, excerpt),
            BuildError::Cancelled => return None,
            BuildError::Context(error) => error.failure(),
            BuildError::Engine(error) => error.failure(),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, &self.instruction) {
            (Some(line), Some(instruction)) => write!(f, "Dockerfile line {line}, `{}`", clipped(instruction)),
            (Some(line), None) => write!(f, "Dockerfile line {line}"),
            (None, Some(instruction)) => write!(f, "`{}`", clipped(instruction)),
            (None, None) => f.write_str("the build"),
        }
    }
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
        let mut log = BuildLog::new(&steps, log);
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(BuildError::Cancelled),
            ended = tokio::time::timeout(request.timeout, self.run(&request, dockerfile, &id, &mut log)) => {
                ended.unwrap_or_else(|_| Err(timed_out(&mut log, request.timeout)))
            }
        };
        match ended {
            // The connection is closed by now, which ends the build; an engine behind a proxy hears it this way.
            Err(error @ (BuildError::Cancelled | BuildError::Timeout { .. })) => {
                let _ = self
                    .raw_post(&format!("/build/cancel?id={id}"), None, CANCEL_LIMIT)
                    .await;
                Err(error)
            }
            Err(error) => Err(error),
            Ok((image, builder)) => {
                if let Some(stale) = log.stale.take() {
                    return Err(stale_error(&steps, stale));
                }
                let size = self.image_size(&image).await?;
                Ok(Built { image, size, builder })
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
        };
        let docker = self.docker.clone().with_timeout(request.timeout);
        if let Some(session) = self.session(id, offer).await? {
            let options = options(request)
                .dockerfile(name)
                .remote("client-session")
                .session(&session.id)
                .build();
            let docker = mark(docker, id, true);
            let ended = self.follow(&docker, options, None, None, log).await;
            return ended
                .map(|image| (image, Builder::BuildKit))
                .map_err(|e| context_first(&session, e));
        }
        // The classic builder reads both from the archive, and leaves them out of the image itself where they are ignored.
        let context = Arc::new(scan(request, &[&request.dockerfile, ".dockerignore"]).await?);
        let (body, broken) = context.stream();
        let options = options(request)
            .dockerfile(&request.dockerfile)
            .rm(true)
            .forcerm(true)
            .build();
        let docker = mark(docker, id, false);
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
        let mut answers = docker.build_image(options, auth, Some(body));
        while let Some(answer) = answers.next().await {
            match answer {
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

/// What bollard 0.21 cannot say: its options know no `buildid`, and with version 2 it would open a session of its own,
/// which serves credentials only, under the id of ours.
fn mark(docker: Docker, id: &str, buildkit: bool) -> Docker {
    let id = id.to_owned();
    docker.with_request_modifier(move |mut request| {
        let mut uri = format!("{}&buildid={id}", request.uri());
        if buildkit {
            uri = uri.replacen("&version=1", "&version=2", 1);
        }
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        request
    })
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

fn classic_auth(auth: &RegistryAuth) -> HashMap<String, DockerCredentials> {
    let named = auth.iter().map(|(host, (user, secret))| {
        // The key Docker has always used for its Hub.
        let key = if host == "docker.io" {
            "https://index.docker.io/v1/"
        } else {
            host.as_str()
        };
        let credentials = DockerCredentials {
            username: Some(user.clone()),
            password: Some(secret.expose().to_owned()),
            serveraddress: Some(key.to_owned()),
            ..DockerCredentials::default()
        };
        (key.to_owned(), credentials)
    });
    named.collect()
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
        std::fs::read(file).map(Bytes::from).map_err(failed)
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

fn failed(log: &mut BuildLog<'_>, message: String) -> BuildError {
    let failed = log.failed();
    let steps = log.steps();
    let message = essence(&message);
    if let Some(stale) = log.stale.take() {
        return stale_error(steps, stale);
    }
    let Some(FailedStep { name, step, excerpt }) = failed else {
        let line = parse_error_line(&message);
        let instruction = line.and_then(|line| steps.at_line(line)).map(|step| step.text.clone());
        return BuildError::Failed {
            place: Place { line, instruction },
            message,
            excerpt: log.excerpt(),
        };
    };
    let base = name.strip_prefix("[internal] load metadata for ");
    let step = step.or_else(|| steps.naming(base?).cloned());
    let from = base.is_some() || step.as_ref().is_some_and(|step| step.keyword == "FROM");
    let instruction = step.as_ref().map_or(Some(name.clone()), |step| Some(step.text.clone()));
    let place = Place {
        line: step.map(|step| step.line),
        instruction,
    };
    match registry_kind(&message).filter(|_| from && !disk_full(&message)) {
        Some(kind) => BuildError::Base { place, kind, message },
        None => BuildError::Failed {
            place,
            message,
            excerpt,
        },
    }
}

fn stale_error(steps: &Steps, stale: StaleIndex) -> BuildError {
    let instruction = stale
        .line
        .and_then(|line| steps.at_line(line))
        .map(|step| step.text.clone());
    let place = Place {
        line: stale.line,
        instruction,
    };
    BuildError::PackageIndexStale {
        place,
        sign: stale.sign,
        excerpt: stale.excerpt,
    }
}

fn timed_out(log: &mut BuildLog<'_>, limit: Duration) -> BuildError {
    let (place, excerpt) = match log.unfinished() {
        Some(FailedStep { name, step, excerpt }) => {
            let instruction = step.as_ref().map_or(name, |step| step.text.clone());
            (
                Place {
                    line: step.map(|step| step.line),
                    instruction: Some(instruction),
                },
                excerpt,
            )
        }
        None => (Place::default(), log.excerpt()),
    };
    BuildError::Timeout { place, limit, excerpt }
}

/// A builder's error without the names of its own parts and without the command, which the place shows already.
fn essence(message: &str) -> String {
    let mut rest = message.trim();
    for part in [
        "failed to solve with frontend ",
        "failed to solve: ",
        "failed to build LLB: ",
        "failed to create LLB definition: ",
    ] {
        if let Some(after) = rest.strip_prefix(part) {
            rest = if part.ends_with("frontend ") {
                after.split_once(": ").map_or(after, |(_, after)| after)
            } else {
                after
            };
        }
    }
    for (command, end) in [
        ("executor failed running [", "]: "),
        ("process \"", "\" did not complete successfully: "),
        ("The command '", "' returned a "),
    ] {
        if rest.starts_with(command)
            && let Some((_, after)) = rest.rsplit_once(end)
        {
            rest = after;
        }
    }
    rest.to_owned()
}

/// `dockerfile parse error line 3: …`, `… on line 3: …`, `Dockerfile parse error line 3: …`.
fn parse_error_line(message: &str) -> Option<u32> {
    let (_, after) = message.split_once("parse error ")?;
    let after = after.strip_prefix("on ").unwrap_or(after).strip_prefix("line ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn clipped(text: &str) -> String {
    // Longer ones are shell scripts; their first words say which.
    const WIDTH: usize = 120;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}
