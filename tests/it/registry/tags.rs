//! Listing and removing tags.

use super::fakes::{Recorder, serve};
use super::*;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use lowtide::clients::registry::remove::Removal;
use lowtide::clients::registry::tags::Seen;
use std::collections::BTreeSet;

fn none<'a>() -> BTreeSet<&'a str> {
    BTreeSet::new()
}

async fn contents(registry: &Registry, repository: &Repository, known: &[&str]) -> Result<Seen, RegistryError> {
    let known = known.iter().copied().collect();
    registry.contents(repository, &none(), &known, &BTreeSet::new()).await
}

#[tokio::test]
async fn a_repository_is_seen_with_what_its_indexes_consist_of() {
    let images = Images::new().await;
    let (index, children) = images.index("multi").await;
    let (one, _) = images.image("one", "one").await;
    let referrer = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": images.blob(b"{}").await, "layers": [],
        "subject": { "mediaType": MANIFEST, "digest": one, "size": 1 },
    });
    images.manifest("signature", MANIFEST, &referrer).await;
    let registry = anonymous();
    let close = BTreeSet::from(["signature"]);
    let seen = registry
        .contents(
            &images.repository,
            &close,
            &none(),
            &BTreeSet::from([index.clone(), digest_of(b"absent")]),
        )
        .await
        .unwrap();
    let tags: Vec<&str> = seen.tags.keys().map(String::as_str).collect();
    assert_eq!(tags, ["amd64", "arm64", "multi", "one", "signature", "unknown"]);
    let all: BTreeSet<ServedDigest> = children.into_iter().collect();
    assert_eq!((&seen.tags["multi"].digest, &seen.tags["multi"].refers), (&index, &all));
    assert_eq!(seen.parts, all);
    assert_eq!(seen.tags["signature"].refers, BTreeSet::from([one.clone()]));
    assert_eq!((&seen.tags["one"].digest, seen.tags["one"].refers.len()), (&one, 0));

    let absent = repository(&open());
    let error = contents(&registry, &absent, &[]).await.unwrap_err();
    assert!(matches!(error, RegistryError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn a_tag_is_removed_and_others_stay() {
    let images = Images::new().await;
    let (old, _) = images.image("old", "old").await;
    let (new, _) = images.image("new", "new").await;
    let registry = anonymous();
    let remove = async |tag: &str, digest: &ServedDigest| registry.remove(&images.repository, tag, digest).await;
    assert_eq!(remove("new", &old).await.unwrap(), Removal::Moved);
    assert_eq!(remove("old", &old).await.unwrap(), Removal::Gone);
    assert_eq!(remove("old", &old).await.unwrap(), Removal::Gone, "twice");
    let digest = async |tag| registry.digest(&tagged(&images.repository, tag)).await.unwrap();
    assert_eq!((digest("old").await, digest("new").await), (None, Some(new)));
}

#[tokio::test]
async fn a_credential_is_used_to_remove() {
    let (registry, _guard) = with_password("tide-secret");
    let images = Images::new().await;
    let (digest, _) = images.image("x", "guarded").await;
    let to = repository(&guarded());
    let rule = lowtide::clients::registry::copy::TagRule::Immutable;
    registry
        .copy(&images.repository, &digest, &to, "x", rule)
        .await
        .unwrap();
    let error = anonymous().remove(&to, "x", &digest).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    assert_eq!(registry.remove(&to, "x", &digest).await.unwrap(), Removal::Gone);
    assert_eq!(registry.digest(&tagged(&to, "x")).await.unwrap(), None);
}

/// How a registry answers to deletions.
#[derive(Clone, Copy)]
enum Deletion {
    /// Says yes and does nothing.
    Ignored,
    NotAllowed,
    /// 400 with the code of the distribution-spec.
    CodeOnly,
    /// By tag only.
    ByTag,
    Broken,
    Busy,
}

/// The open registry with another mind about deletions.
async fn deleting(how: Deletion) -> String {
    let forward = async |State(how): State<Deletion>, request: Request| -> Response {
        let path = request.uri().path().to_owned();
        let unsupported = r#"{"errors":[{"code":"UNSUPPORTED","message":"no"}]}"#;
        if request.method() == Method::DELETE {
            return match how {
                Deletion::Ignored => StatusCode::ACCEPTED.into_response(),
                Deletion::NotAllowed => StatusCode::METHOD_NOT_ALLOWED.into_response(),
                Deletion::CodeOnly => (StatusCode::BAD_REQUEST, unsupported).into_response(),
                Deletion::ByTag if path.contains("sha256:") => StatusCode::METHOD_NOT_ALLOWED.into_response(),
                Deletion::ByTag => {
                    GONE.lock().unwrap().insert(path);
                    StatusCode::ACCEPTED.into_response()
                }
                Deletion::Broken => StatusCode::BAD_GATEWAY.into_response(),
                Deletion::Busy => StatusCode::TOO_MANY_REQUESTS.into_response(),
            };
        }
        if GONE.lock().unwrap().contains(&path) {
            return StatusCode::NOT_FOUND.into_response();
        }
        let url = format!("http://{}{path}", open());
        let client = reqwest::Client::new();
        let sent = client
            .request(request.method().clone(), url)
            .headers(request.headers().clone());
        let sent = sent.send().await.unwrap();
        let (status, headers) = (sent.status(), sent.headers().clone());
        (status, headers, sent.bytes().await.unwrap()).into_response()
    };
    serve(Router::new().fallback(any(forward)).with_state(how)).await
}

static GONE: std::sync::Mutex<BTreeSet<String>> = std::sync::Mutex::new(BTreeSet::new());

#[tokio::test]
async fn what_a_registry_says_is_checked() {
    let images = Images::new().await;
    let (digest, _) = images.image("x", "one").await;
    let removed = async |how: Deletion| {
        let through: Repository = format!("{}/{}", deleting(how).await, images.repository.path)
            .parse()
            .unwrap();
        anonymous().remove(&through, "x", &digest).await
    };
    assert_eq!(removed(Deletion::Ignored).await.unwrap(), Removal::Kept);
    assert_eq!(removed(Deletion::NotAllowed).await.unwrap(), Removal::Unsupported);
    assert_eq!(removed(Deletion::CodeOnly).await.unwrap(), Removal::Unsupported);
    let error = removed(Deletion::Broken).await.unwrap_err();
    assert!(error.retryable(), "{error}");
    let error = removed(Deletion::Busy).await.unwrap_err();
    assert!(matches!(error, RegistryError::Busy { .. }), "{error}");
    assert_eq!(removed(Deletion::ByTag).await.unwrap(), Removal::Gone);
    let there = anonymous().digest(&tagged(&images.repository, "x")).await.unwrap();
    assert_eq!(there, Some(digest), "the others did not touch it");
}

/// A registry whose list has pages of two.
async fn paged(link: &'static str) -> String {
    let list = async move |request: Request| -> Response {
        let path = request.uri().path().to_owned();
        if path == "/v2/" || path.contains("/manifests/") {
            let digest = digest_of(b"x").to_string();
            let headers = [("docker-content-digest", digest), ("content-type", MANIFEST.to_owned())];
            return (headers, "{}").into_response();
        }
        let query = request.uri().query().unwrap_or_default();
        let tags = if query.contains("last=b") {
            r#"["c"]"#
        } else {
            r#"["a","b"]"#
        };
        let body = format!(r#"{{"name":"web","tags":{tags}}}"#);
        if query.contains("last=b") && !link.contains("always") {
            return body.into_response();
        }
        ([("link", link.replace("PATH", &path))], body).into_response()
    };
    serve(Router::new().fallback(any(list))).await
}

#[tokio::test]
async fn a_list_is_read_to_its_end_or_not_at_all() {
    let seen = async |link: &'static str, known: &[&str]| {
        let address = paged(link).await;
        contents(&anonymous(), &repository(&address), known).await
    };
    let whole = seen(r#"<PATH?last=b&n=2>; rel="next""#, &["a", "c"]).await.unwrap();
    assert_eq!(whole.tags.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    // Without the link of a second page, a tag that lowtide pushed shows that there is more.
    let error = seen("", &["a", "c"]).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreadable { .. }), "{error}");
    let error = seen(r#"<PATH?last=b&always>; rel="next""#, &[]).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreadable { .. }), "{error}");
}

/// The real registry, as the requests show, has no deletion of a tag alone.
#[tokio::test]
async fn a_digest_is_deleted_where_a_tag_cannot_be() {
    let images = Images::new().await;
    let (digest, _) = images.image("x", "one").await;
    let recorder = Recorder::of(open()).await;
    let through: Repository = format!("{}/{}", recorder.address, images.repository.path)
        .parse()
        .unwrap();
    assert_eq!(anonymous().remove(&through, "x", &digest).await.unwrap(), Removal::Gone);
    let deletions: Vec<String> = recorder
        .take()
        .into_iter()
        .filter(|line| line.starts_with("DELETE"))
        .collect();
    let shown = deletions
        .join("\n")
        .replace(&images.repository.path, "REPO")
        .replace(digest.as_str(), "DIGEST");
    insta::assert_snapshot!(shown, @r"
    DELETE /v2/REPO/manifests/x -> 400
    DELETE /v2/REPO/manifests/DIGEST -> 202
    ");
}
