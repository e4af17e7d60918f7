//! Branches and tags become commits and digests.

use super::assess;
use super::build::aside;
use super::follow;
use super::run::{StageContext, built};
use crate::clients::clock;
use lowtide_core::config::repository_file;
use lowtide_core::fleet::app::{App, RepositoryFile};
use lowtide_core::report::words;
use lowtide_core::yaml::diagnostic::{self, Problem};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::Platform;
use lowtide_model::policy::{ImageOrigin, OwnSettings, Source};
use lowtide_model::stages::resolve::{Base, BasePin, Commit, Resolved, ResolvedOrigin, ResolvedRepository};
use lowtide_packages::dockerfile::bases::Via;
use lowtide_packages::dockerfile::parse::{Dockerfile, parse};
use lowtide_packages::dockerfile::platform;
use std::sync::Arc;

/// # Errors
/// As git, the repository's own file, the registries or the Dockerfile fail.
pub async fn perform(context: &StageContext<'_>) -> Result<Resolved, Failure> {
    let app = &context.run.app;
    let source = match &app.origin {
        ImageOrigin::Built { source, .. } => source,
        ImageOrigin::Followed(policy) => return follow::resolve(context, policy).await,
    };
    let commit = context.bot.git.resolve(source).await.map_err(|e| e.failure())?;
    context.line(&format!("commit {} {}", commit.short(), commit.subject));
    let Some(file) = &app.repository_file else {
        return of_commit(context, commit, None).await;
    };
    let own = own_settings(context, app, file, &commit).await?;
    // What follows looks at the app as its commit wants it.
    let mut run = context.run.clone();
    run.app = run.app.with(own.clone());
    let context = StageContext {
        bot: context.bot,
        fleet: Arc::clone(&context.fleet),
        run: &run,
        attempt: context.attempt,
        cancel: context.cancel,
    };
    of_commit(&context, commit, Some(Box::new(own))).await
}

/// What the repository's file says at this commit. Without one, what the fleet's configuration says: an earlier commit of this run may have
/// had one.
async fn own_settings(
    context: &StageContext<'_>,
    app: &App,
    file: &RepositoryFile,
    commit: &Commit,
) -> Result<OwnSettings, Failure> {
    let read = context.bot.git.read_file(built(app)?.0, &commit.id, &file.path).await;
    let text = read.map_err(|e| e.failure())?;
    let found = if text.is_some() {
        "sets how it is built and tested"
    } else {
        "is not there"
    };
    context.line(&format!("{} {found}", file.path));
    let text = text.unwrap_or_else(|| repository_file::NOTHING.to_vec());
    let (app, file) = (app.clone(), file.clone());
    aside(move || repository_file::own_settings(&app, &file, &text).map_err(|problems| refused(&file.path, &problems)))
        .await
}

fn refused(path: &str, problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(|problem| diagnostic::line(path, problem)).collect();
    let detail = match lines.as_slice() {
        [] | [_] => lines.join(""),
        [first, rest @ ..] => format!(
            "{first} (and {})",
            words::counted(rest.len(), "more problem", "more problems")
        ),
    };
    Failure::new(FailureKind::RepositoryFileRefused, detail).with_excerpt(lines)
}

async fn of_commit(
    context: &StageContext<'_>,
    commit: Commit,
    own: Option<Box<OwnSettings>>,
) -> Result<Resolved, Failure> {
    let app = &context.run.app;
    let (source, build) = built(app)?;
    let (dockerfile, _) = dockerfile(context, source, &commit).await?;
    let version = context
        .fleet
        .engine(&build.host)?
        .version()
        .await
        .map_err(|e| e.failure())?;
    let platform = Platform {
        os: version.os,
        architecture: version.arch,
        variant: None,
    };
    let target = build.target.as_deref();
    let uses = dockerfile
        .external_bases(target, &platform::arguments(&build.args, &platform, target))
        .map_err(|e| Failure::new(FailureKind::DockerfileInvalid, e.to_string()))?;
    let mut bases: Vec<Base> = Vec::new();
    let mut frontend = None;
    for used in uses {
        let requested: Option<Platform> = used.platform.as_deref().and_then(|text| text.parse().ok());
        let base = Base {
            pin: BasePin::Local { image: None },
            platform: requested.filter(|requested| !same(requested, &platform)),
            reference: used.reference,
        };
        let is_frontend = used.via == Via::Frontend;
        let known = |other: &Base| other.reference == base.reference && other.platform == base.platform;
        if !is_frontend && bases.iter().any(known) {
            continue;
        }
        let pin = pin(context, &base, &platform)
            .await
            .map_err(|failure| of(is_frontend, failure))?;
        if let BasePin::Registry { served, .. } = &pin {
            let what = if is_frontend { "frontend" } else { "base" };
            context.line(&format!("{what} {} is {}", base.reference, served.short()));
        }
        let base = Base { pin, ..base };
        if is_frontend {
            frontend = Some(Box::new(base));
        } else {
            bases.push(base);
        }
    }
    let images: Vec<&Base> = frontend.as_deref().into_iter().chain(&bases).collect();
    let inputs = assess::inputs((source, build), &commit, &images);
    let assessment = assess::assess(context, &dockerfile, &platform, inputs).await?;
    let repository = ResolvedRepository {
        commit,
        own,
        bases,
        frontend,
    };
    Ok(Resolved {
        origin: ResolvedOrigin::Repository(repository),
        platform,
        assessment: Box::new(assessment),
    })
}

async fn pin(context: &StageContext<'_>, base: &Base, engine: &Platform) -> Result<BasePin, Failure> {
    let (_, build) = built(&context.run.app)?;
    if build.pull {
        let platform = base.platform.as_ref().unwrap_or(engine);
        let (bases, registry) = (&context.bot.bases, &context.fleet.registry);
        let since = assess::bases_since(&context.run.trigger, context.run.opened);
        let pin = bases.resolve(registry, &base.reference, platform, since, clock::now());
        return pin.await.map_err(|e| e.failure());
    }
    let engine = context.fleet.engine(&build.host)?;
    let found = engine
        .inspect_image(&base.reference.to_string())
        .await
        .map_err(|e| e.failure())?;
    Ok(BasePin::Local {
        image: found.map(|facts| facts.id.to_string()),
    })
}

/// A missing Dockerfile frontend is, like the rest of the builder, not the repository's fault.
fn of(frontend: bool, failure: Failure) -> Failure {
    if frontend && failure.kind == FailureKind::BaseMissing {
        let kind = FailureKind::FrontendMissing;
        return Failure { kind, ..failure };
    }
    failure
}

/// Compares without the variant, which an engine does not report.
fn same(requested: &Platform, engine: &Platform) -> bool {
    requested.os == engine.os && requested.architecture == engine.architecture
}

/// The Dockerfile of a commit, parsed, with its text.
///
/// # Errors
/// `DockerfileMissing`, `DockerfileInvalid`, or as git fails.
pub(super) async fn dockerfile(
    context: &StageContext<'_>,
    source: &Source,
    commit: &Commit,
) -> Result<(Dockerfile, String), Failure> {
    let path = if source.context.is_empty() {
        source.dockerfile.clone()
    } else {
        format!("{}/{}", source.context, source.dockerfile)
    };
    let bytes = context
        .bot
        .git
        .read_file(source, &commit.id, &path)
        .await
        .map_err(|e| e.failure())?;
    let bytes = bytes.ok_or_else(|| {
        Failure::new(
            FailureKind::DockerfileMissing,
            format!("{path} is not in commit {}", commit.short()),
        )
    })?;
    aside(move || {
        let invalid = |why: String| Failure::new(FailureKind::DockerfileInvalid, format!("{path}: {why}"));
        let text = String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
        let parsed = parse(&text).map_err(|e| invalid(e.to_string()))?;
        Ok((parsed, text))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::failure::Fault;

    #[test]
    fn a_frontend_that_is_gone_is_nobody_s_dockerfile() {
        let missing = || Failure::new(FailureKind::BaseMissing, "docker.io/docker/dockerfile:9 does not exist");
        let classified = |frontend: bool| {
            let failure = of(frontend, missing());
            (failure.kind, failure.kind.fault())
        };
        assert_eq!(classified(true), (FailureKind::FrontendMissing, Fault::Infra));
        assert_eq!(classified(false), (FailureKind::BaseMissing, Fault::Repo));
        let denied = Failure::new(FailureKind::RegistryDenied, "denied");
        assert_eq!(of(true, denied).kind, FailureKind::RegistryDenied);
    }

    #[test]
    fn an_engine_s_own_platform_is_not_another_one() {
        let parsed = |text: &str| text.parse::<Platform>().unwrap();
        assert!(same(&parsed("linux/arm/v6"), &parsed("linux/arm")));
        assert!(!same(&parsed("linux/arm64"), &parsed("linux/amd64")));
    }
}
