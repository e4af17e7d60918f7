//! The images of the services beside the candidate: pulled, or built from the same commit.

use super::tree::{self, Found};
use crate::clients::clock;
use crate::clients::credentials::denied_with;
use crate::clients::engine::build::BuildRequest;
use crate::clients::engine::builderror::BuildError;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::context::Limits;
use crate::clients::engine::error::EngineError;
use crate::runtime::perform::build::aside;
use crate::runtime::perform::environment::{SidecarImages, Stop, TestEnvironment};
use crate::runtime::perform::ignore;
use crate::runtime::perform::run;
use crate::runtime::perform::stage_log::StageLog;
use bytes::Bytes;
use lowtide_compose::mounts::Content;
use lowtide_compose::service::{Build, Dockerfile, Image};
use lowtide_compose::stack::Stack;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::{ImageId, Reference, Repository};
use lowtide_model::secret::Secret;
use lowtide_model::stages::resolve::BasePin;
use lowtide_packages::dockerfile::parse::parse;
use lowtide_packages::hash;
use lowtide_packages::stale_index::is_stale_index;
use std::collections::BTreeMap;
use std::path::Path;

/// On images that are built for one test, with the run; they go with it.
const LABEL: &str = "io.lowtide.stack";
/// Whose they are.
const INSTANCE: &str = "io.lowtide.instance";
/// Where an inline Dockerfile is put in its context: no file of the repository is called so.
const INLINE: &str = ".lowtide.inline.Dockerfile";
/// Bytes of a Dockerfile that are read for its bases.
const MAX_DOCKERFILE: u64 = 1 << 20;
/// Bytes of a secret: BuildKit takes no more (session/secrets).
const MAX_SECRET: u64 = 500 << 10;

/// An image that is on the engine.
pub(in crate::runtime::perform) struct Brought {
    /// What to call it there.
    pub(in crate::runtime::perform) image: String,
    /// Where a registry was asked: the reference, and the digest of our platform's manifest.
    pub(in crate::runtime::perform) resolved: Option<(String, String)>,
}

impl Brought {
    fn local(image: String) -> Self {
        Self { image, resolved: None }
    }
}

/// Brings an image to the engine, for `who`, as a sentence names them. `tree`: the work tree of the commit.
///
/// # Errors
/// As the pull or the build fails.
pub(in crate::runtime::perform) async fn bring(
    environment: &TestEnvironment<'_>,
    who: &str,
    image: &Image,
    candidate: &str,
    tree: Option<&Path>,
    log: &mut StageLog<'_>,
) -> Result<Brought, Stop> {
    match (image, tree) {
        (Image::Candidate, _) => Ok(Brought::local(candidate.to_owned())),
        (Image::Reference(reference), _) => {
            log.note(&format!("{who}: {reference}"));
            fetch(environment, who, reference, log).await
        }
        (Image::Build(build), Some(tree)) => {
            log.note(&format!("{who}: built from {}", shown(&build.context)));
            self::build(environment, who, build, tree, log)
                .await
                .map(|id| Brought::local(id.to_string()))
        }
        (Image::Build(_), None) => Err(Failure::new(
            FailureKind::Invariant,
            format!("{who} is built, and there is no work tree"),
        )
        .into()),
    }
}

/// Can every image of the stack be named or built? Blocks.
///
/// # Errors
/// `ComposeRefused` for a reference that is none or a folder that is not in the commit, `DockerfileMissing`.
pub(super) fn check(stack: &Stack, tree: &Path) -> Result<(), Failure> {
    for service in stack.services() {
        let who = format!("sidecar {}", service.name);
        match &service.image {
            Image::Candidate => {}
            Image::Reference(image) => drop(reference(&who, image)?),
            Image::Build(build) => drop(context(tree, build).map_err(|failure| of_service(&who, failure))?),
        }
    }
    Ok(())
}

/// Removes what was built for this run.
pub(in crate::runtime::perform) async fn remove_built(environment: &TestEnvironment<'_>) {
    let instance = environment.labels.get(INSTANCE).cloned().unwrap_or_default();
    let own = run(environment);
    for (built, image) in built(environment.engine, &instance).await {
        if built == own {
            remove(environment.engine, &image).await;
        }
    }
}

/// The images that tests of this instance have built beside their candidates, with their runs. They go with their run; a kill may have
/// left some.
pub(in crate::runtime) async fn built(engine: &Engine, instance: &str) -> Vec<(String, ImageId)> {
    let images = match engine.list_images(LABEL).await {
        Ok(images) => images,
        Err(error) => {
            tracing::warn!(%error, "images of stacks were not looked for");
            return Vec::new();
        }
    };
    let ours = images
        .into_iter()
        .filter(|image| image.labels.get(INSTANCE).is_some_and(|own| own == instance));
    ours.filter_map(|image| Some((image.labels.get(LABEL)?.clone(), image.id)))
        .collect()
}

pub(in crate::runtime) async fn remove(engine: &Engine, image: &ImageId) {
    if let Err(error) = engine.remove_image(image.as_str()).await {
        tracing::warn!(%error, image = image.short(), "an image of a stack could not be removed");
    }
}

fn run(environment: &TestEnvironment<'_>) -> String {
    let label = environment.labels.get(lowtide_core::decide::labels::RUN);
    label.cloned().unwrap_or_default()
}

fn labels(environment: &TestEnvironment<'_>) -> BTreeMap<String, String> {
    let instance = environment.labels.get(INSTANCE).cloned().unwrap_or_default();
    BTreeMap::from([(LABEL.to_owned(), run(environment)), (INSTANCE.to_owned(), instance)])
}

fn shown(context: &str) -> String {
    format!("./{context}")
}

fn reference(who: &str, image: &str) -> Result<Reference, Failure> {
    image.parse().map_err(|e| {
        let detail = format!("{who}: {image} is no image: {e}");
        Failure::new(FailureKind::ComposeRefused, detail)
    })
}

fn of_service(who: &str, failure: Failure) -> Failure {
    Failure {
        detail: format!("{who}: {}", failure.detail),
        ..failure
    }
}

/// What the image's tag means in its registry now; what the engine has of that name, where the registry cannot say.
async fn fetch(
    environment: &TestEnvironment<'_>,
    who: &str,
    image: &str,
    log: &mut StageLog<'_>,
) -> Result<Brought, Stop> {
    let reference = reference(who, image)?;
    let SidecarImages::Registry {
        bases,
        registry,
        platform,
        since,
    } = environment.sidecar_images
    else {
        pull(environment, who, &reference).await?;
        return Ok(Brought::local(image.to_owned()));
    };
    let asked = bases.resolve(registry, &reference, platform, since, clock::now());
    let error = match environment.unless_cancelled(asked).await? {
        Ok(BasePin::Registry { served, manifest }) => {
            let pinned = Reference::pinned(&reference.repository, &served);
            pull(environment, who, &pinned).await?;
            name_ours(environment, &reference, &pinned).await;
            return Ok(Brought {
                image: pinned.to_string(),
                resolved: Some((reference.to_string(), manifest.to_string())),
            });
        }
        Ok(BasePin::Local { .. }) => {
            pull(environment, who, &reference).await?;
            return Ok(Brought::local(image.to_owned()));
        }
        Err(error) => error.failure(),
    };
    if environment.engine.inspect_image(image).await?.is_some() {
        log.note(&format!(
            "{who}: {image} is the one that the engine has: {}",
            error.detail
        ));
        return Ok(Brought::local(image.to_owned()));
    }
    let detail = format!("the image {image} of {who} cannot be had: {}", error.detail);
    let is_missing = error.kind == FailureKind::BaseMissing;
    let kind = if is_missing {
        FailureKind::SidecarFailed
    } else {
        error.kind
    };
    Err(Failure { kind, detail, ..error }.into())
}

async fn pull(environment: &TestEnvironment<'_>, who: &str, reference: &Reference) -> Result<(), Stop> {
    let auth = environment.credentials.login(&reference.repository).await?;
    let credential = auth.as_ref().map(|found| &found.credential);
    let pull = environment.engine.ensure_image(reference, credential);
    let pulled = environment.unless_cancelled(pull).await?;
    Ok(pulled.map_err(|e| denied_with(auth.as_ref(), not_pulled(who, &reference.to_string(), &e)))?)
}

/// Names the image `lowtide-sidecar/…`, and removes the image that had this name before, unless something else uses it. No other name is
/// moved: a container of this host may be recreated from a tag of its owner's. If this fails, only disk space is lost, so it is logged.
async fn name_ours(environment: &TestEnvironment<'_>, reference: &Reference, pinned: &Reference) {
    let named = hash::of(reference.to_string().as_bytes());
    let name = format!(
        "lowtide-sidecar/{}:{}",
        environment.app.name,
        &named[..16.min(named.len())]
    );
    let kept = async {
        let engine = environment.engine;
        let before = engine.inspect_image(&name).await?;
        let Some(now) = engine.inspect_image(&pinned.to_string()).await? else {
            return Ok(());
        };
        let Ok(name) = name.parse::<Reference>() else {
            return Ok(());
        };
        engine.tag_image(&now.id, &name).await?;
        if let Some(before) = before.filter(|before| before.id != now.id) {
            match engine.remove_image(before.id.as_str()).await {
                // Something else uses it.
                Ok(()) | Err(EngineError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok::<(), EngineError>(())
    };
    if let Err(error) = kept.await {
        tracing::warn!(%error, image = %pinned, "the image of a sidecar was not named");
    }
}

async fn build(
    environment: &TestEnvironment<'_>,
    who: &str,
    build: &Build,
    tree: &Path,
    log: &mut StageLog<'_>,
) -> Result<ImageId, Stop> {
    let of_service = |failure| of_service(who, failure);
    let app = environment.app;
    let (source, policy) = run::built(app)?;
    let (root, wanted) = (tree.to_owned(), build.clone());
    let found = aside(move || context(&root, &wanted)).await.map_err(of_service)?;
    let registry_auth = environment.credentials.logins(&found.repositories).await;
    let registry_auth = registry_auth.map_err(of_service)?;
    // Named as a file in /run/secrets is, a value is a secret.
    let named = |(id, secret): (&String, &Secret)| (format!("/run/secrets/{id}"), secret.expose().to_owned());
    let masked: Vec<(String, String)> = found.secrets.iter().map(named).collect();
    let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
    let request = BuildRequest {
        context_dir: found.dir,
        dockerfile: found.dockerfile,
        replace: found.replace,
        ignore: found.ignore,
        limits: Limits {
            bytes: source.max_size,
            ..Limits::default()
        },
        step_limits: policy.limits,
        // Its files have no other time: nothing of it is published.
        commit_time: 0,
        tag: format!("lowtide-stack/{}:{id}", app.name),
        args: build.args.clone(),
        target: build.target.clone(),
        labels: labels(environment),
        timeout: policy.timeout.unsigned_abs(),
        nocache: false,
        pull: false,
        registry_auth,
        secrets: found.secrets,
        ssh: BTreeMap::new(),
        is_stale_index,
    };
    environment.hidden.learn(&build.args);
    environment.hidden.learn(masked.iter().map(|(name, text)| (name, text)));
    let mut sink = |line: &str| {
        log.write(line.as_bytes());
        log.write(b"\n");
    };
    match environment.engine.build(request, &mut sink, environment.cancel).await {
        Ok(built) => Ok(built.image),
        Err(BuildError::Cancelled) => Err(Stop::Cancelled),
        Err(error) => Err(error
            .failure()
            .map_or(Stop::Cancelled, |failure| Stop::Failed(of_service(failure)))),
    }
}

struct BuildContext {
    dir: std::path::PathBuf,
    dockerfile: String,
    replace: Vec<(String, Bytes)>,
    ignore: crate::clients::engine::context::Ignore,
    /// Where its bases come from.
    repositories: Vec<Repository>,
    secrets: BTreeMap<String, Secret>,
}

fn context(tree: &Path, build: &Build) -> Result<BuildContext, Failure> {
    let Found::Folder(dir) = tree::find(tree, &build.context)? else {
        let detail = format!("{} is no folder of the commit", shown(&build.context));
        return Err(Failure::new(FailureKind::ComposeRefused, detail));
    };
    let (dockerfile, text, replace) = match &build.dockerfile {
        Dockerfile::Inline(text) => {
            let bytes = Bytes::from(text.clone());
            (INLINE.to_owned(), text.clone(), vec![(INLINE.to_owned(), bytes)])
        }
        Dockerfile::File(file) => {
            let path = format!("{}/{file}", build.context);
            let bytes = tree::bytes(tree, path.trim_start_matches('/'), MAX_DOCKERFILE)?.ok_or_else(|| {
                let detail = format!("{file} is not in {}", shown(&build.context));
                Failure::new(FailureKind::DockerfileMissing, detail)
            })?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // It may stand outside the folder that is built.
            if file.split('/').any(|part| part == "..") {
                (INLINE.to_owned(), text, vec![(INLINE.to_owned(), Bytes::from(bytes))])
            } else {
                (file.clone(), text, Vec::new())
            }
        }
    };
    // What cannot be read here the builder refuses with better words; only logins are looked for.
    let bases = parse(&text).ok().and_then(|parsed| {
        let uses = parsed.external_bases(build.target.as_deref(), &build.args);
        uses.ok()
    });
    let repositories = bases.into_iter().flatten().map(|used| used.reference.repository);
    Ok(BuildContext {
        secrets: secrets(tree, build)?,
        ignore: ignore::read(&dir, &dockerfile)?,
        dir,
        dockerfile,
        replace,
        repositories: repositories.collect(),
    })
}

/// What the build's steps may mount, as it is in the commit or in the compose file.
fn secrets(tree: &Path, build: &Build) -> Result<BTreeMap<String, Secret>, Failure> {
    let read = |(id, content): (&String, &Content)| {
        let refused = |why: &str| {
            Failure::new(
                FailureKind::ComposeRefused,
                format!("the secret {id} of its build {why}"),
            )
        };
        let text = match content {
            Content::Text(text) => text.clone(),
            Content::Repository(path) => {
                let bytes = tree::bytes(tree, path, MAX_SECRET)?;
                let bytes = bytes.ok_or_else(|| refused(&format!("is ./{path}, which is not in the commit")))?;
                String::from_utf8(bytes).map_err(|_| refused(&format!("is ./{path}, which is not text")))?
            }
        };
        if text.len() as u64 > MAX_SECRET {
            return Err(refused(&format!("has more than {} KiB", MAX_SECRET >> 10)));
        }
        Ok((id.clone(), Secret::new(text)))
    };
    build.secrets.iter().map(read).collect()
}

/// The failure when a sidecar's image cannot be pulled: an unreachable registry is not the repository's fault, a
/// missing image is.
fn not_pulled(who: &str, image: &str, error: &EngineError) -> Failure {
    let words = error.to_string();
    let detail = format!("the image {image} of {who} cannot be had: {words}");
    let unreachable = [
        "no such host",
        "i/o timeout",
        "connection refused",
        "connection reset",
        "TLS handshake timeout",
        "Client.Timeout",
        "server misbehaving",
        "EOF",
        "unexpected status code 5",
    ];
    if ["toomanyrequests", "Too Many Requests"]
        .iter()
        .any(|sign| words.contains(sign))
    {
        return Failure::new(FailureKind::RegistryBusy, detail);
    }
    if unreachable.iter().any(|sign| words.contains(sign)) {
        return Failure::new(FailureKind::RegistryUnreachable, detail);
    }
    match error {
        EngineError::Refused { message, .. } if message.contains("no space left on device") => error.failure(),
        EngineError::Refused { .. } | EngineError::NotFound { .. } => Failure::new(FailureKind::SidecarFailed, detail),
        EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::Conflict { .. }
        | EngineError::Failed { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => error.failure(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_image_that_cannot_be_had() {
        let kind = |message: &str| {
            let error = EngineError::Refused {
                status: 500,
                message: message.to_owned(),
            };
            not_pulled("sidecar db", "registry.example.org/db:1", &error).kind
        };
        for (message, expected) in [
            (
                "manifest for registry.example.org/db:1 not found: manifest unknown",
                FailureKind::SidecarFailed,
            ),
            (
                "pull access denied for db, repository does not exist",
                FailureKind::SidecarFailed,
            ),
            (
                "Get \"https://registry.example.org/v2/\": dial tcp: lookup registry.example.org: no such host",
                FailureKind::RegistryUnreachable,
            ),
            (
                "Get \"https://registry.example.org/v2/\": net/http: TLS handshake timeout",
                FailureKind::RegistryUnreachable,
            ),
            (
                "toomanyrequests: You have reached your unauthenticated pull rate limit.",
                FailureKind::RegistryBusy,
            ),
            ("write /x: no space left on device", FailureKind::DiskFull),
        ] {
            assert_eq!(kind(message), expected, "{message}");
        }
    }
}
