//! Images in the engine's store: inspect, tag, push, pull, export, remove.

use super::auth;
use super::connect::Engine;
use super::error::{EngineError, is_loose_end};
use crate::clients::credentials::Credential;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::{Stream, StreamExt};
use lowtide_model::image::{ImageId, ManifestDigest, Platform, Reference};
use lowtide_model::inventory::ImageConfig;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Silence after which a push or pull counts as hung; engines report progress several times a second, except while
/// they unpack one large layer on a slow disk.
const SILENCE: Duration = Duration::from_secs(600);
/// Deleting layers and cache of a night's builds on a slow disk.
const PRUNE_LIMIT: Duration = Duration::from_secs(1800);

/// What the engine says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    pub id: ImageId,
    /// Bytes.
    pub size: u64,
    pub platform: Platform,
    pub config: ImageConfig,
    /// Digests of the uncompressed layers, base first.
    pub diff_ids: Vec<String>,
    /// `repository@digest` of every registry it came from or went to.
    pub repo_digests: Vec<String>,
    pub repo_tags: Vec<String>,
    pub has_healthcheck: bool,
    /// It has ONBUILD instructions.
    pub triggers: bool,
}

/// An image of the engine's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    pub id: ImageId,
    pub tags: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub created: i64,
    /// Bytes, shared layers included.
    pub size: u64,
}

/// Bytes the engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUse {
    pub layers: u64,
    pub build_cache: u64,
}

impl Engine {
    /// `None`: the engine does not have it.
    ///
    /// # Errors
    /// As the engine refuses; `Unreadable` when its response has no id.
    pub async fn inspect_image(&self, name: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self.raw_get(&format!("/images/{name}/json")).await {
            Ok(response) => facts(&response).map(Some),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// `NotFound` when the image is gone.
    pub async fn tag_image(&self, image: &ImageId, reference: &Reference) -> Result<(), EngineError> {
        let tag = reference.tag.as_deref().unwrap_or("latest");
        let options = TagImageOptionsBuilder::new()
            .repo(&reference.repository.to_string())
            .tag(tag)
            .build();
        self.docker
            .tag_image(image.as_str(), Some(options))
            .await
            .map_err(|e| self.error(&format!("image {image}"), e))
    }

    /// Removes a name, and the image with its last name. Already gone is done.
    ///
    /// # Errors
    /// `Conflict` when a container uses it.
    pub async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        match self.raw_delete(&format!("/images/{name}")).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Pushes `reference` (which the engine must have under this name). The manifest's digest as the engine reports it;
    /// read it back from the registry before believing it.
    ///
    /// # Errors
    /// `Failed` with the registry's words, which come inside the stream of a push that began well.
    pub async fn push(
        &self,
        reference: &Reference,
        auth: Option<&Credential>,
    ) -> Result<Option<ManifestDigest>, EngineError> {
        let what = format!("push of {reference}");
        let tag = reference.tag.as_deref().unwrap_or("latest");
        let options = PushImageOptionsBuilder::new().tag(tag).build();
        let repository = reference.repository.to_string();
        let mut updates = self
            .docker
            .push_image(&repository, Some(options), credentials(reference, auth));
        let mut digest = None;
        while let Some(update) = next(&what, &mut updates).await? {
            let update = match update {
                // The digest is what a push ends with.
                Err(error) if digest.is_some() && is_loose_end(&error) => break,
                update => update.map_err(|e| self.transfer_error(&what, e))?,
            };
            // `TAG: digest: sha256:… size: 529`
            let status = update.status.unwrap_or_default();
            digest = status.split_whitespace().find_map(|word| word.parse().ok()).or(digest);
        }
        Ok(digest)
    }

    /// Pulls by digest, or else by tag.
    ///
    /// # Errors
    /// `Failed` with the registry's words.
    pub async fn pull(&self, reference: &Reference, auth: Option<&Credential>) -> Result<ImageId, EngineError> {
        let what = format!("pull of {reference}");
        // Without a tag the engine would pull every tag there is.
        let (name, tag) = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => (format!("{}@{digest}", reference.repository), digest.to_string()),
            (None, tag) => {
                let tag = tag.as_deref().unwrap_or("latest");
                (format!("{}:{tag}", reference.repository), tag.to_owned())
            }
        };
        let options = CreateImageOptionsBuilder::new()
            .from_image(&reference.repository.to_string())
            .tag(&tag)
            .build();
        let mut updates = self
            .docker
            .create_image(Some(options), None, credentials(reference, auth));
        let mut done = false;
        while let Some(update) = next(&what, &mut updates).await? {
            let update = match update {
                Err(error) if done && is_loose_end(&error) => break,
                update => update.map_err(|e| self.transfer_error(&what, e))?,
            };
            // `Status: Downloaded newer image for …` or `Status: Image is up to date for …` is what a pull ends with.
            done |= update.status.is_some_and(|status| status.starts_with("Status: "));
        }
        self.image_id(&name).await
    }

    /// Images that carry `label` (`key` or `key=value`), unnamed ones too.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn list_images(&self, label: &str) -> Result<Vec<ListedImage>, EngineError> {
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let response = self
            .raw_get(&format!("/images/json?filters={}", query_value(&filters)))
            .await?;
        let listed = |image: &Value| {
            Some(ListedImage {
                id: image["Id"].as_str()?.parse().ok()?,
                tags: strings(&image["RepoTags"])
                    .into_iter()
                    .filter(|tag| tag != "<none>:<none>")
                    .collect(),
                labels: string_map(&image["Labels"]),
                created: image["Created"].as_i64().unwrap_or(0),
                size: image["Size"].as_u64().unwrap_or(0),
            })
        };
        Ok(response.as_array().into_iter().flatten().filter_map(listed).collect())
    }

    /// What images and build cache take. Slow on an engine with many layers.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn disk_use(&self) -> Result<DiskUse, EngineError> {
        let response = self.raw_get("/system/df").await?;
        let cache = response["BuildCache"].as_array().into_iter().flatten();
        let unshared = cache.filter(|record| record["Shared"].as_bool() != Some(true));
        Ok(DiskUse {
            layers: response["LayersSize"].as_u64().unwrap_or(0),
            build_cache: unshared.filter_map(|record| record["Size"].as_u64()).sum(),
        })
    }

    /// Deletes build cache until at most `limit` bytes are left, the least recently used first. The whole engine's: cache
    /// records carry no owner. Bytes freed.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn prune_build_cache(&self, limit: u64) -> Result<u64, EngineError> {
        let response = self
            .raw_post(&format!("/build/prune?all=1&keep-storage={limit}"), None, PRUNE_LIMIT)
            .await?;
        Ok(response["SpaceReclaimed"].as_u64().unwrap_or(0))
    }

    /// The full id of an image the engine must have.
    pub(super) async fn image_id(&self, name: &str) -> Result<ImageId, EngineError> {
        Ok(self.must_inspect(name).await?.id)
    }

    /// A registry's refusal comes as a status of the engine's when it comes before the first progress message.
    #[expect(clippy::wildcard_enum_match_arm, reason = "bollard's enum is foreign and open")]
    fn transfer_error(&self, what: &str, error: bollard::errors::Error) -> EngineError {
        match error {
            bollard::errors::Error::DockerResponseServerError { message, .. } => EngineError::Failed {
                what: what.to_owned(),
                message,
            },
            error => self.error(what, error),
        }
    }

    pub(super) async fn must_inspect(&self, name: &str) -> Result<ImageFacts, EngineError> {
        self.inspect_image(name).await?.ok_or_else(|| EngineError::NotFound {
            what: format!("image {name}"),
        })
    }
}

fn facts(response: &Value) -> Result<ImageFacts, EngineError> {
    let unreadable = |source| EngineError::Unreadable {
        what: "image inspect".to_owned(),
        source,
    };
    let id = response["Id"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|e| unreadable(Box::new(e)))?;
    let config = &response["Config"];
    let healthcheck = config["Healthcheck"].as_object().filter(|check| !check.is_empty());
    let disabled = config["Healthcheck"]["Test"][0].as_str() == Some("NONE");
    Ok(ImageFacts {
        id,
        size: response["Size"].as_u64().unwrap_or(0),
        platform: Platform {
            os: response["Os"].as_str().unwrap_or_default().to_owned(),
            architecture: response["Architecture"].as_str().unwrap_or_default().to_owned(),
            variant: response["Variant"]
                .as_str()
                .filter(|v| !v.is_empty())
                .map(ToOwned::to_owned),
        },
        config: ImageConfig::from_json(config),
        diff_ids: strings(&response["RootFS"]["Layers"]),
        repo_digests: strings(&response["RepoDigests"]),
        repo_tags: strings(&response["RepoTags"]),
        has_healthcheck: healthcheck.is_some() && !disabled,
        triggers: !strings(&config["OnBuild"]).is_empty(),
    })
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

fn string_map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Percent-encodes everything that is not plain (RFC 3986, 2.3).
fn query_value(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

pub(super) fn credentials(reference: &Reference, auth: Option<&Credential>) -> Option<DockerCredentials> {
    auth.map(|credential| auth::config(&reference.repository.registry, credential))
}

async fn next<T>(what: &str, updates: &mut (impl Stream<Item = T> + Unpin)) -> Result<Option<T>, EngineError> {
    tokio::time::timeout(SILENCE, updates.next())
        .await
        .map_err(|_| EngineError::Timeout {
            what: what.to_owned(),
            seconds: SILENCE.as_secs(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::policy::EngineAddress;
    use std::path::Path;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    /// Responds to every POST with these pieces, each a chunk of its own, and every GET with an image.
    async fn engine(dir: &Path, pieces: &'static [&'static str]) -> Engine {
        let listener = UnixListener::bind(dir.join("s")).unwrap();
        let engine = Engine::connect(&EngineAddress::Unix(dir.join("s"))).unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let read = client.read(&mut head).await.unwrap();
                let image = format!("{{\"Id\":\"sha256:{}\"}}", "1".repeat(64));
                let get = [image.as_str()];
                let pieces = if head[..read].starts_with(b"GET") {
                    &get[..]
                } else {
                    pieces
                };
                let mut response =
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
                for piece in pieces.iter().chain([&""]) {
                    response.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
                }
                client.write_all(response.as_bytes()).await.unwrap();
            }
        });
        engine
    }

    #[tokio::test]
    async fn a_line_break_that_comes_late_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(
            dir.path(),
            &["{\"status\":\"Status: Image is up to date for x:1\"}", "\r\n"],
        )
        .await;
        engine.pull(&"x:1".parse().unwrap(), None).await.unwrap();
    }

    #[tokio::test]
    async fn a_truncated_response_is_unreachable() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path(), &["{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"mess"]).await;
        let error = engine.pull(&"x:1".parse().unwrap(), None).await.unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    }
}
