//! Branch and tags become a commit and digests.

use super::build::aside;
use super::outlook;
use super::run::Scene;
use crate::clients::clock;
use crate::model::failure::{Failure, FailureKind};
use crate::model::fleet::Source;
use crate::model::image::Platform;
use crate::model::stages::resolve::{Base, BasePin, Commit, Resolved};
use crate::packages::dockerfile::parse::{Dockerfile, parse};

/// # Errors
/// As git, the registries or the Dockerfile fail.
pub async fn perform(scene: &Scene<'_>) -> Result<Resolved, Failure> {
    let app = &scene.run.app;
    let commit = scene.bot.git.resolve(&app.source).await.map_err(|e| e.failure())?;
    scene.line(&format!("commit {} {}", commit.short(), commit.subject));
    let (dockerfile, _) = dockerfile(scene, &app.source, &commit).await?;
    let version = scene
        .fleet
        .engine(&app.build.host)?
        .version()
        .await
        .map_err(|e| e.failure())?;
    let platform = Platform {
        os: version.os,
        architecture: version.arch,
        variant: None,
    };
    let uses = dockerfile
        .external_bases(app.build.target.as_deref(), &app.build.args)
        .map_err(|e| Failure::new(FailureKind::DockerfileInvalid, e.to_string()))?;
    let mut bases: Vec<Base> = Vec::new();
    for used in uses {
        if bases.iter().any(|base| base.reference == used.reference) {
            continue;
        }
        let pin = if app.build.pull {
            let (bases, registry) = (&scene.bot.bases, &scene.fleet.registry);
            let since = outlook::bases_since(&scene.run.trigger, scene.run.opened);
            let pin = bases.resolve(registry, &used.reference, &platform, since, clock::now());
            pin.await.map_err(|e| e.failure())?
        } else {
            let engine = scene.fleet.engine(&app.build.host)?;
            let found = engine
                .inspect_image(&used.reference.to_string())
                .await
                .map_err(|e| e.failure())?;
            BasePin::Local {
                image: found.map(|facts| facts.id.to_string()),
            }
        };
        if let BasePin::Registry { served, .. } = &pin {
            scene.line(&format!("base {} is {}", used.reference, served.short()));
        }
        bases.push(Base {
            reference: used.reference,
            pin,
        });
    }
    let inputs = outlook::inputs(app, &commit, &bases);
    let outlook = outlook::outlook(scene, &dockerfile, inputs).await?;
    Ok(Resolved {
        commit,
        bases,
        platform,
        outlook: Box::new(outlook),
    })
}

/// The Dockerfile of a commit, parsed, with its text.
///
/// # Errors
/// `DockerfileMissing`, `DockerfileInvalid`, or as git fails.
pub(super) async fn dockerfile(
    scene: &Scene<'_>,
    source: &Source,
    commit: &Commit,
) -> Result<(Dockerfile, String), Failure> {
    let path = if source.context.is_empty() {
        source.dockerfile.clone()
    } else {
        format!("{}/{}", source.context, source.dockerfile)
    };
    let bytes = scene
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
