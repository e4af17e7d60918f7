//! Bringing a release's image to the host.

use super::json::text;
use super::tag;
use crate::clients::credentials::Credential;
use crate::clients::engine::auth::header;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::raw::encode;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::image::{ImageId, ManifestDigest, Repository};
use lowtide_model::release::Release;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// An engine that pulls says something every second or so; a layer being unpacked can be silent for longer.
const SILENCE: Duration = Duration::from_secs(300);

/// All of it.
const PULL_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Bytes of one progress message.
const MESSAGE_LIMIT: usize = 1 << 20;

/// Brings the image to the host by its digest, makes sure that it is the tested one, and gives it the release's tag; its id
/// on this host. An image that is there already is not pulled; one without a digest must be there.
///
/// # Errors
/// `RegistryDenied`, `RegistryUnreachable`, `RegistryBusy`, `DiskFull`, `DigestMismatch` when another image arrives.
pub async fn pull(engine: &Engine, release: &Release, auth: Option<&Credential>) -> Result<ImageId, Failure> {
    let repository = &release.reference.repository;
    let tested = &release.images.first().image;
    let mut found = image(engine, tested.as_str()).await?;
    let fetched = found.is_none() && release.digest.is_some();
    if let (None, Some(digest)) = (&found, &release.digest) {
        let fetching = fetch(engine, repository, digest, auth);
        let late = |_| {
            Failure::new(
                FailureKind::RegistryUnreachable,
                format!("{repository}: the pull took too long"),
            )
        };
        tokio::time::timeout(PULL_LIMIT, fetching).await.map_err(late)??;
        found = image(engine, &format!("{repository}@{digest}")).await?;
    }
    let id = found.ok_or_else(|| {
        let detail = format!("{} is not on the host and in no registry", tested.short());
        Failure::new(FailureKind::EngineRefused, detail)
    })?;
    // Engines with the containerd store name an image by its manifest.
    let by_manifest = release.digest.as_ref().is_some_and(|d| d.as_str() == id.as_str());
    // Tested on an engine with a containerd store, rolled out to one without: the ids differ, but an image pulled by
    // the digest of the tested manifest is the tested image.
    let by_digest = fetched && release.digest.as_ref().is_some_and(|d| d.as_str() == tested.as_str());
    if id != *tested && !by_manifest && !by_digest {
        let detail = format!("{repository} brought {}, tested was {}", id.short(), tested.short());
        return Err(Failure::new(FailureKind::DigestMismatch, detail));
    }
    if let Some(name) = &release.reference.tag {
        tag::give(engine, &id, &repository.to_string(), name)
            .await
            .map_err(|e| e.failure())?;
    }
    Ok(id)
}

/// Id of a local image.
async fn image(engine: &Engine, reference: &str) -> Result<Option<ImageId>, Failure> {
    match engine.raw_get(&format!("/images/{}/json", encode(reference))).await {
        Ok(found) => super::json::image_id(&found, "/Id").map(Some).map_err(|e| e.failure()),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.failure()),
    }
}

async fn fetch(
    engine: &Engine,
    repository: &Repository,
    digest: &ManifestDigest,
    auth: Option<&Credential>,
) -> Result<(), Failure> {
    let from = encode(&repository.to_string());
    let path = format!("/images/create?fromImage={from}&tag={}", encode(digest.as_str()));
    let refused = |e: &EngineError| refused(repository, e);
    let mut stream = engine
        .raw_stream(Method::POST, &path, None, header(&repository.registry, auth), SILENCE)
        .await
        .map_err(|e| refused(&e))?;
    let mut pending = Vec::new();
    while let Some(piece) = stream.next().await.map_err(|e| refused(&e))? {
        pending.extend_from_slice(&piece);
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            said(repository, &pending.drain(..=end).collect::<Vec<u8>>())?;
        }
        if pending.len() > MESSAGE_LIMIT {
            return Err(pull_failure(repository, "the engine's progress cannot be read"));
        }
    }
    said(repository, &pending)
}

/// Why an engine does not begin, or go on with, a pull.
fn refused(repository: &Repository, error: &EngineError) -> Failure {
    match error {
        // A registry that hides a repository from us responds 404 too; only the message tells the two cases apart.
        EngineError::NotFound { what } => match pull_failure(repository, what) {
            denied if denied.kind == FailureKind::RegistryDenied => denied,
            missing => Failure::new(FailureKind::DigestMismatch, missing.detail),
        },
        EngineError::Refused { message, .. } | EngineError::Failed { message, .. } => pull_failure(repository, message),
        EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::Conflict { .. }
        | EngineError::Timeout { .. }
        | EngineError::Unreadable { .. } => error.failure(),
    }
}

/// The engine responds 200 before it begins; a failed pull is reported inside the stream only.
fn said(repository: &Repository, message: &[u8]) -> Result<(), Failure> {
    let message: Value = serde_json::from_slice(message).unwrap_or(Value::Null);
    match text(&message, "/error") {
        "" => Ok(()),
        error => Err(pull_failure(repository, error)),
    }
}

pub(in crate::runtime) fn pull_failure(repository: &Repository, error: &str) -> Failure {
    let lower = error.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    let kind = if says(&["toomanyrequests", "too many requests"]) {
        FailureKind::RegistryBusy
    } else if says(&["unauthorized", "denied", "authentication required", "no basic auth"]) {
        FailureKind::RegistryDenied
    } else if says(&["no space left on device"]) {
        FailureKind::DiskFull
    } else if says(&[
        "manifest unknown",
        "not found",
        "no matching manifest",
        "does not match the specified platform",
    ]) {
        FailureKind::DigestMismatch
    } else {
        FailureKind::RegistryUnreachable
    };
    Failure::new(kind, format!("{repository}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_registry_hides_is_reported_from_what_it_has_not() {
        let failure_kind = |message: &str| {
            let what = format!("POST /images/create ({message})");
            refused(
                &"registry.example.org/web".parse().unwrap(),
                &EngineError::NotFound { what },
            )
            .kind
        };
        let denied = "pull access denied for web, repository does not exist or may require 'docker login'";
        assert_eq!(failure_kind(denied), FailureKind::RegistryDenied);
        assert_eq!(failure_kind("manifest unknown"), FailureKind::DigestMismatch);
        assert_eq!(failure_kind("something new"), FailureKind::DigestMismatch);
    }

    #[test]
    fn a_failed_pull_is_reported_by_its_cause() {
        let repository: Repository = "registry.example.org/a/b".parse().unwrap();
        for (error, kind) in [
            ("pull access denied for a/b", FailureKind::RegistryDenied),
            ("Head \"…\": no basic auth credentials", FailureKind::RegistryDenied),
            (
                "manifest for a/b@sha256:… not found: manifest unknown",
                FailureKind::DigestMismatch,
            ),
            (
                "no matching manifest for linux/amd64 in the manifest list entries",
                FailureKind::DigestMismatch,
            ),
            ("write /x: no space left on device", FailureKind::DiskFull),
            (
                "toomanyrequests: You have reached your unauthenticated pull rate limit.",
                FailureKind::RegistryBusy,
            ),
            ("dial tcp: connection refused", FailureKind::RegistryUnreachable),
        ] {
            let message = json!({"errorDetail": {"message": error}, "error": error}).to_string();
            assert_eq!(said(&repository, message.as_bytes()).unwrap_err().kind, kind, "{error}");
        }
        assert_eq!(said(&repository, b"{\"status\":\"Pulling\"}\r\n"), Ok(()));
        assert_eq!(said(&repository, b""), Ok(()));
    }
}
