//! Manifests and indexes, as far as they matter for choosing and copying (OCI image-spec, manifest.md and
//! image-index.md; Docker's schema 2). The bytes themselves are never written anew: their digest is the image.

use lowtide_model::image::{Platform, ServedDigest};
use serde::Deserialize;

pub(super) const ACCEPTED: &[&str] = &[OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A real image has at most 127 layers, a real index some dozen platforms.
const PARTS: usize = 1000;

pub(super) enum Manifest {
    Image {
        media_type: String,
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
    Index {
        media_type: String,
        children: Vec<Child>,
    },
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) digest: ServedDigest,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) media_type: String,
}

#[derive(Deserialize, Clone)]
pub(super) struct Child {
    pub(super) digest: ServedDigest,
    pub(super) platform: Option<ChildPlatform>,
}

#[derive(Deserialize, Clone)]
pub(super) struct ChildPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl Manifest {
    /// The error is the reason, for a person.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            schema_version: u32,
            media_type: Option<String>,
            config: Option<Descriptor>,
            #[serde(default)]
            layers: Vec<Descriptor>,
            manifests: Option<Vec<Child>>,
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if raw.schema_version != 2 {
            return Err(format!("manifests of schema {} are not supported", raw.schema_version));
        }
        let media_type = |default: &str| raw.media_type.clone().unwrap_or_else(|| default.to_owned());
        match (raw.manifests, raw.config) {
            (Some(children), None) if children.len() <= PARTS => Ok(Manifest::Index {
                media_type: media_type(OCI_INDEX),
                children,
            }),
            (None, Some(config)) if raw.layers.len() <= PARTS => Ok(Manifest::Image {
                media_type: media_type(OCI_MANIFEST),
                config,
                layers: raw.layers,
            }),
            (Some(_), None) | (None, Some(_)) => Err(format!("it has more than {PARTS} parts")),
            (Some(_), Some(_)) | (None, None) => Err("it is neither an image nor an index".to_owned()),
        }
    }

    /// Is a manifest of this media type one image, which is no list of others?
    pub(super) fn is_image_type(media_type: &str) -> bool {
        [OCI_MANIFEST, DOCKER_MANIFEST].contains(&media_type)
    }

    pub(super) fn media_type(&self) -> &str {
        match self {
            Manifest::Image { media_type, .. } | Manifest::Index { media_type, .. } => media_type,
        }
    }
}

impl Descriptor {
    /// Layers that may not be distributed stay where they are (Windows bases; image-spec, layer.md).
    pub(super) fn is_foreign(&self) -> bool {
        self.media_type.contains("foreign") || self.media_type.contains("nondistributable")
    }
}

impl Child {
    /// Attestations lie in an index as images for the platform `unknown/unknown`.
    pub(super) fn is_image(&self) -> bool {
        self.platform.as_ref().is_none_or(|p| p.os != "unknown")
    }
    pub(super) fn shown(&self) -> String {
        self.platform.as_ref().map_or_else(
            || "an unnamed platform".to_owned(),
            |p| {
                Platform {
                    os: p.os.clone(),
                    architecture: p.architecture.clone(),
                    variant: p.variant.clone(),
                }
                .to_string()
            },
        )
    }
}

/// The child for a platform: the same variant, or the one that counts as the plain platform.
pub(super) fn choose<'a>(children: &'a [Child], platform: &Platform) -> Option<&'a Child> {
    let wanted = variant(&platform.architecture, platform.variant.as_deref());
    children.iter().filter(|child| child.is_image()).find(|child| {
        child.platform.as_ref().is_some_and(|p| {
            p.os == platform.os
                && p.architecture == platform.architecture
                && variant(&p.architecture, p.variant.as_deref()) == wanted
        })
    })
}

/// containerd's normalisation: arm64 is v8, arm is v7, amd64 is v1 when nothing is said.
fn variant<'a>(architecture: &str, variant: Option<&'a str>) -> &'a str {
    let default = match architecture {
        "arm64" => "v8",
        "arm" => "v7",
        "amd64" => "v1",
        _ => "",
    };
    variant.filter(|v| !v.is_empty()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str, Option<&str>)]) -> Vec<Child> {
        let child = |(n, (os, architecture, variant)): (usize, &(&str, &str, Option<&str>))| Child {
            digest: format!("sha256:{n:064}").parse().unwrap(),
            platform: Some(ChildPlatform {
                os: (*os).to_owned(),
                architecture: (*architecture).to_owned(),
                variant: variant.map(ToOwned::to_owned),
            }),
        };
        platforms.iter().enumerate().map(child).collect()
    }

    #[test]
    fn the_platform_s_own_image_is_chosen() {
        let children = index(&[
            ("unknown", "unknown", None),
            ("linux", "arm", Some("v5")),
            ("linux", "arm", Some("v7")),
            ("linux", "arm64", Some("v8")),
            ("windows", "amd64", None),
            ("linux", "amd64", None),
        ]);
        let chosen = |architecture: &str, variant: Option<&str>| {
            let platform = Platform {
                os: "linux".to_owned(),
                architecture: architecture.to_owned(),
                variant: variant.map(ToOwned::to_owned),
            };
            choose(&children, &platform).map(|c| children.iter().position(|o| o.digest == c.digest).unwrap())
        };
        assert_eq!(chosen("amd64", None), Some(5));
        assert_eq!(chosen("arm64", None), Some(3));
        assert_eq!(chosen("arm", None), Some(2));
        assert_eq!(chosen("arm", Some("v5")), Some(1));
        assert_eq!(chosen("arm", Some("v6")), None);
        assert_eq!(chosen("s390x", None), None);
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let said = |text: &str| Manifest::parse(text.as_bytes()).err().unwrap_or_default();
        assert_eq!(
            said(r#"{"schemaVersion":1}"#),
            "manifests of schema 1 are not supported"
        );
        assert_eq!(said(r#"{"schemaVersion":2}"#), "it is neither an image nor an index");
        assert!(
            said(r#"{"schemaVersion":2,"config":{"digest":"sha256:../../x","size":1}}"#)
                .contains("not a sha256 digest")
        );
    }
}
