//! Two images, wherever they are, compared.

use super::error::ReadError;
use super::seen::Seen;
use super::tables::Tables;
use super::{engine, registry};
use crate::clients::credentials::Credentials;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::image::ImageFacts;
use crate::clients::registry::connect::{Registry, Timeouts};
use crate::clients::registry::error::RegistryError;
use crate::clients::registry::layers::RemoteImage;
use crate::runtime::blocking::run_blocking;
use lowtide_model::comparison::{ComparedImage, Comparison, Place};
use lowtide_model::image::{ContentDigest, ImageId, ManifestDigest, Platform, Reference};
use lowtide_model::policy::EngineAddress;
use lowtide_packages::compare::{Side, compare};
use lowtide_packages::diff;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where images are looked for.
pub struct Places {
    pub engine: Engine,
    pub registry: Registry,
    pub tables: Tables,
    /// Of a multi-platform image in a registry, this one.
    pub platform: Platform,
}

/// An image as a person names it: `engine:NAME`, `registry:NAME`, or the name alone (the engine first).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub place: Option<Place>,
    pub name: String,
}

/// What was compared, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    pub old: ComparedImage,
    pub new: ComparedImage,
    pub comparison: Comparison,
}

impl Named {
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (place, name) = match text.split_once(':') {
            Some(("engine", name)) => (Some(Place::Engine), name),
            Some(("registry", name)) => (Some(Place::Registry), name),
            Some(_) | None => (None, text),
        };
        let name = name.to_owned();
        Self { place, name }
    }
}

/// An image that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub image: ComparedImage,
    pub seen: Seen,
    pub content: ContentDigest,
    /// Where a registry has it.
    pub digest: Option<ManifestDigest>,
}

/// Reads one image.
///
/// # Errors
/// When it is nowhere, or cannot be read.
pub async fn image(places: &Places, named: &Named) -> Result<Read, ReadError> {
    let found = places.find(named).await?;
    let seen = places.read(&found).await?;
    Ok(Read {
        image: found.known(places, Some(&seen)),
        content: diff::content(&seen.inventory),
        digest: found.manifest().cloned(),
        seen,
    })
}

/// Compares two images. The same image twice is not read at all.
///
/// # Errors
/// When one of them is nowhere, or cannot be read.
pub async fn images(places: &Places, old: &Named, new: &Named) -> Result<Compared, ReadError> {
    let (old, new) = tokio::try_join!(places.find(old), places.find(new))?;
    if old.id() == new.id() {
        return Ok(Compared {
            old: old.known(places, None),
            new: new.known(places, None),
            comparison: Comparison::same(),
        });
    }
    let (before, after) = tokio::try_join!(places.read(&old), places.read(&new))?;
    let (old, new) = (old.known(places, Some(&before)), new.known(places, Some(&after)));
    let comparison = run_blocking(move || compared(&before, &after)).await;
    Ok(Compared { old, new, comparison })
}

fn compared(before: &Seen, after: &Seen) -> Comparison {
    let [before, after] = [before, after].map(|seen| Side {
        inventory: &seen.inventory,
        contents: &seen.kept,
    });
    // Which archive a version is from is in no image.
    compare(before, after, &|_| None)
}

/// An image that is there, not read yet.
pub(in crate::runtime) enum Found {
    Engine { name: String, facts: Box<ImageFacts> },
    Registry { reference: Reference, remote: RemoteImage },
}

impl Found {
    pub(in crate::runtime) fn id(&self) -> &ImageId {
        match self {
            Found::Engine { facts, .. } => &facts.id,
            Found::Registry { remote, .. } => &remote.id,
        }
    }

    pub(in crate::runtime) fn manifest(&self) -> Option<&ManifestDigest> {
        match self {
            Found::Engine { .. } => None,
            Found::Registry { remote, .. } => Some(&remote.manifest),
        }
    }

    fn known(&self, places: &Places, seen: Option<&Seen>) -> ComparedImage {
        let os = seen.and_then(|seen| seen.inventory.os.as_ref());
        let (name, place, platform) = match self {
            Found::Engine { name, facts } => (name.clone(), Place::Engine, &facts.platform),
            Found::Registry { reference, .. } => (reference.to_string(), Place::Registry, &places.platform),
        };
        ComparedImage {
            image: name,
            place,
            id: self.id().clone(),
            platform: seen.map_or(platform, |seen| &seen.inventory.platform).clone(),
            os: os.map(|os| os.pretty_name.clone().unwrap_or_else(|| os.id.clone())),
        }
    }
}

impl Places {
    /// The engine at `engine`, and registries with the credentials in the directory of Docker's own configuration.
    ///
    /// # Errors
    /// When the engine's socket has no usable path, or TLS cannot be set up.
    pub fn of_this_machine(
        engine: &EngineAddress,
        docker_config: Option<PathBuf>,
        tables: Tables,
        platform: Platform,
    ) -> Result<Self, ReadError> {
        let credentials = Credentials::new(BTreeMap::new(), docker_config);
        Ok(Self {
            engine: Engine::connect(engine)?,
            registry: Registry::new(BTreeMap::new(), credentials, Timeouts::default())?,
            tables,
            platform,
        })
    }

    pub(in crate::runtime) async fn find(&self, named: &Named) -> Result<Found, ReadError> {
        let nowhere = || ReadError::Nowhere {
            image: named.name.clone(),
        };
        if named.place != Some(Place::Registry) {
            match self.engine.inspect_image(&named.name).await {
                Ok(Some(facts)) => {
                    return Ok(Found::Engine {
                        name: named.name.clone(),
                        facts: Box::new(facts),
                    });
                }
                Ok(None) if named.place.is_some() => return Err(nowhere()),
                Ok(None) => {}
                // Where no engine is named, none is needed.
                Err(EngineError::Unreachable { .. } | EngineError::Denied { .. }) if named.place.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let reference: Reference = named.name.parse().map_err(|_| nowhere())?;
        match self.registry.image(&reference, &self.platform).await {
            Ok(remote) => Ok(Found::Registry { reference, remote }),
            Err(RegistryError::Missing { .. }) if named.place.is_none() => Err(nowhere()),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::runtime) async fn read(&self, found: &Found) -> Result<Seen, ReadError> {
        match found {
            Found::Engine { facts, .. } => engine::read(&self.engine, facts, &self.tables).await,
            Found::Registry { reference, remote } => {
                registry::read(&self.registry, reference, remote, &self.tables).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_before_the_name() {
        let named = |text: &str| {
            let Named { place, name } = Named::parse(text);
            format!("{} {name}", place.map_or_else(|| "any".to_owned(), |p| p.to_string()))
        };
        assert_eq!(named("debian:12"), "any debian:12");
        assert_eq!(named("engine:debian:12"), "engine debian:12");
        assert_eq!(
            named("registry:r.example.org:5000/a@sha256:1"),
            "registry r.example.org:5000/a@sha256:1"
        );
        assert_eq!(named("sha256:abc"), "any sha256:abc");
    }
}
