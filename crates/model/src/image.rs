//! Image identities. The digests of an image's config, of its manifest and of an index are different things with the
//! same look (OCI image-spec, descriptor.md), so each has its own type.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is not `sha256:` followed by 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a sha256 digest")]
pub struct InvalidDigest {
    pub text: String,
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// The digest that these bytes of a finished sha256 are.
            #[must_use]
            pub fn of_sha256(hash: &[u8; 32]) -> Self {
                let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                Self(format!("sha256:{hex}"))
            }
            /// The first 12 hex digits: what people recognise an image by.
            #[must_use]
            pub fn short(&self) -> &str {
                &self.0[7..19]
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidDigest;
            fn try_from(text: String) -> Result<Self, InvalidDigest> {
                let hex = text.strip_prefix("sha256:").unwrap_or_default();
                if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
                    Ok(Self(text))
                } else {
                    Err(InvalidDigest { text })
                }
            }
        }
        impl FromStr for $name {
            type Err = InvalidDigest;
            fn from_str(text: &str) -> Result<Self, InvalidDigest> {
                text.to_owned().try_into()
            }
        }
        impl From<$name> for String {
            fn from(digest: $name) -> String {
                digest.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

digest!(
    /// An engine's local image id: the digest of the image config.
    ImageId
);
digest!(
    /// The digest of one platform's image manifest, as a registry serves it.
    ManifestDigest
);

/// A platform's manifest can be requested by its own digest.
impl From<ManifestDigest> for ServedDigest {
    fn from(digest: ManifestDigest) -> Self {
        Self(digest.0)
    }
}
digest!(
    /// The digest a registry serves for a reference: a manifest's, or that of a multi-platform index.
    ServedDigest
);
digest!(
    /// The digest of one layer's tar archive, uncompressed (OCI image-spec, config.md: `rootfs.diff_ids`). A registry
    /// serves the same layer compressed, under another digest.
    DiffId
);
digest!(
    /// The digest of what an image contains (packages, files, config), blind to timestamps: two builds with the same
    /// bits have the same content digest though their image ids differ.
    ContentDigest
);

/// `linux/amd64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |v| write!(f, "/{v}"))
    }
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a platform")]
pub struct InvalidPlatform {
    pub text: String,
}

impl FromStr for Platform {
    type Err = InvalidPlatform;
    /// `os/architecture` with or without a variant, or an architecture of Linux; other names that machines have are
    /// normalised (containerd/platforms, `database.go`).
    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let legal =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let (os, architecture, variant) = match parts.as_slice() {
            [architecture] => ("linux", *architecture, None),
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some(*variant)),
            _ => ("", "", None),
        };
        if ![os, architecture].iter().all(legal) || !variant.iter().all(legal) {
            return Err(InvalidPlatform { text: text.to_owned() });
        }
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("i386", variant) => ("386", variant),
            ("armhf" | "arm", None | Some("7")) => ("arm", Some("v7")),
            ("armel", None) | ("arm", Some("6")) => ("arm", Some("v6")),
            (other, variant) => (other, variant),
        };
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(ToOwned::to_owned),
        })
    }
}

/// A repository in a registry, without tag or digest. Docker's short names are normalised (`debian` is
/// `docker.io/library/debian`), as in distribution/reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    /// Host and optional port.
    pub registry: String,
    pub path: String,
}

/// An image reference: repository plus tag and/or served digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    pub repository: Repository,
    pub tag: Option<String>,
    pub digest: Option<ServedDigest>,
}

/// A text that is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image reference: {why}")]
pub struct InvalidReference {
    pub text: String,
    pub why: &'static str,
}

impl Reference {
    /// The same repository under another tag, without digest.
    #[must_use]
    pub fn tagged(repository: &Repository, tag: &str) -> Self {
        Self {
            repository: repository.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        }
    }
    /// `repository@digest`.
    #[must_use]
    pub fn pinned(repository: &Repository, digest: &ServedDigest) -> Self {
        Self {
            repository: repository.clone(),
            tag: None,
            digest: Some(digest.clone()),
        }
    }
}

impl FromStr for Repository {
    type Err = InvalidReference;
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let reference: Reference = text.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(InvalidReference {
                text: text.to_owned(),
                why: "a repository carries no tag and no digest",
            });
        }
        Ok(reference.repository)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |why| InvalidReference {
            text: text.to_owned(),
            why,
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(
                    digest
                        .parse()
                        .map_err(|_| invalid("its digest is not sha256 and 64 hex digits"))?,
                ),
            ),
            None => (text, None),
        };
        // A colon after the last slash separates the tag; one before it belongs to the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            Some(_) | None => (rest, None),
        };
        if tag.as_deref().is_some_and(|t| !is_tag(t)) {
            return Err(invalid(
                "a tag is 1 to 128 of letters, digits, '_', '.' and '-', not starting with '.' or '-'",
            ));
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            Some(_) | None => ("docker.io", name),
        };
        // Its old name, and its own images by their short one.
        let registry = if registry == "index.docker.io" {
            "docker.io"
        } else {
            registry
        };
        let path = if registry == "docker.io" && !path.contains('/') && !path.is_empty() {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if name.is_empty() || !is_path(&path) {
            return Err(invalid(
                "each part of its path is lower-case letters, digits, '.', '_' and '-'",
            ));
        }
        if !registry
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b))
        {
            return Err(invalid("its registry is not a host name"));
        }
        Ok(Self {
            repository: Repository {
                registry: registry.to_owned(),
                path,
            },
            tag,
            digest,
        })
    }
}

/// Can it be a repository's path, or the beginning of one?
#[must_use]
pub fn is_path(text: &str) -> bool {
    text.split('/').all(|part| {
        let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().next().is_some_and(|b| alphanumeric(&b))
            && part.bytes().next_back().is_some_and(|b| alphanumeric(&b))
            && part.bytes().all(|b| alphanumeric(&b) || b"._-".contains(&b))
    })
}

/// The tag rule of the OCI distribution-spec.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

macro_rules! text_form {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidReference;
            fn try_from(text: String) -> Result<Self, InvalidReference> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}
text_form!(Repository);
text_form!(Reference);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_normalised_as_docker_does() {
        for (text, shown) in [
            ("debian", "docker.io/library/debian"),
            ("debian:12", "docker.io/library/debian:12"),
            ("unb/drupal:10.x", "docker.io/unb/drupal:10.x"),
            ("ghcr.io/unb/drupal", "ghcr.io/unb/drupal"),
            ("localhost:5000/a/b:t", "localhost:5000/a/b:t"),
            ("localhost/a", "localhost/a"),
            ("docker.io/debian:12", "docker.io/library/debian:12"),
            ("docker.io/library/debian", "docker.io/library/debian"),
            ("index.docker.io/debian", "docker.io/library/debian"),
            ("index.docker.io/unb/drupal:1", "docker.io/unb/drupal:1"),
            ("registry.example.org/debian", "registry.example.org/debian"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn platforms_are_normalised_as_containerd_does() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), shown);
        }
        for text in ["", "linux/", "a/b/c/d", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn hostile_references_are_refused() {
        for text in [
            "",
            "UPPER",
            "a//b",
            "a:",
            "a:-x",
            "a@sha256:12",
            "ghcr.io/",
            "docker.io/",
            "a b",
            "x/../y",
            "x$",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
