use super::fakes::{Recorder, serve};
use super::*;
use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::response::IntoResponse as _;
use axum::routing::any;
use futures_util::StreamExt as _;
use lowtide::clients::registry::copy::TagRule;
use lowtide::model::failure::FailureKind;

/// The same repository, reached through another address.
fn through(address: &str, repository: &Repository) -> Repository {
    Repository {
        registry: address.to_owned(),
        path: repository.path.clone(),
    }
}

fn count(seen: &[String], method: &str, part: &str) -> usize {
    seen.iter()
        .filter(|line| line.starts_with(method) && line.contains(part))
        .count()
}

#[tokio::test]
async fn inside_a_registry_blobs_are_mounted_not_sent() {
    let images = Images::new().await;
    let (digest, config) = images.image("v1", "mounted").await;
    let proxy = Recorder::of(open()).await;
    let (from, to) = (
        through(&proxy.address, &images.repository),
        through(&proxy.address, &repository(&open())),
    );
    let registry = anonymous();
    registry
        .copy(&from, &digest, &to, "v1", TagRule::Immutable)
        .await
        .unwrap();
    let seen = proxy.take();
    assert_eq!(count(&seen, "POST", "mount=sha256"), 3, "{seen:#?}");
    assert_eq!(count(&seen, "PUT", "/blobs/"), 0, "{seen:#?}");
    assert_eq!(count(&seen, "PUT", "/manifests/v1"), 1, "{seen:#?}");
    assert_eq!(registry.digest(&tagged(&to, "v1")).await.unwrap(), Some(digest.clone()));
    assert_eq!(registry.image_id(&to, &digest).await.unwrap().as_str(), config.as_str());

    proxy.take();
    registry
        .copy(&from, &digest, &to, "v1", TagRule::Immutable)
        .await
        .unwrap();
    let seen = proxy.take();
    assert_eq!((seen.len(), count(&seen, "HEAD", "/manifests/v1")), (1, 1), "{seen:#?}");
}

#[tokio::test]
async fn across_registries_blobs_are_streamed_and_the_digest_stays() {
    let images = Images::new().await;
    let (digest, _) = images.image("v1", "streamed").await;
    let (registry, _guard) = with_password("tide-secret");
    let to = repository(&guarded());
    registry
        .copy(&images.repository, &digest, &to, "v1", TagRule::Immutable)
        .await
        .unwrap();
    assert_eq!(registry.digest(&tagged(&to, "v1")).await.unwrap(), Some(digest.clone()));
    // And back, which finds every blob there already.
    registry
        .copy(&to, &digest, &images.repository, "back", TagRule::Immutable)
        .await
        .unwrap();
    assert_eq!(
        registry.digest(&tagged(&images.repository, "back")).await.unwrap(),
        Some(digest)
    );
}

#[tokio::test]
async fn an_index_takes_all_its_children_along() {
    let images = Images::new().await;
    let (index, children) = images.index("multi").await;
    let (registry, _guard) = with_password("tide-secret");
    let to = repository(&guarded());
    registry
        .copy(&images.repository, &index, &to, "multi", TagRule::Immutable)
        .await
        .unwrap();
    for digest in children.iter().chain([&index]) {
        let there = registry.digest(&Reference::pinned(&to, digest)).await.unwrap();
        assert_eq!(there.as_ref(), Some(digest));
    }
}

#[tokio::test]
async fn an_immutable_tag_is_never_moved_and_a_moving_one_is() {
    let images = Images::new().await;
    let (one, _) = images.image("one", "one").await;
    let (two, _) = images.image("two", "two").await;
    let (registry, to) = (anonymous(), repository(&open()));
    registry
        .copy(&images.repository, &one, &to, "v1", TagRule::Immutable)
        .await
        .unwrap();
    let error = registry
        .copy(&images.repository, &two, &to, "v1", TagRule::Immutable)
        .await
        .unwrap_err();
    assert_eq!(
        (error.failure().kind, error.retryable()),
        (FailureKind::TagTaken, false)
    );
    let text = shown(&error, &to)
        .replace(one.as_str(), "ONE")
        .replace(two.as_str(), "TWO");
    insta::assert_snapshot!(text, @"OPEN/REPO:v1 is ONE already, not TWO");
    assert_eq!(registry.digest(&tagged(&to, "v1")).await.unwrap(), Some(one.clone()));

    registry
        .copy(&images.repository, &one, &to, "production", TagRule::Moving)
        .await
        .unwrap();
    registry
        .copy(&images.repository, &two, &to, "production", TagRule::Moving)
        .await
        .unwrap();
    assert_eq!(registry.digest(&tagged(&to, "production")).await.unwrap(), Some(two));
    registry.tag_moving(&to, &one, "production").await.unwrap();
    registry.tag_moving(&to, &one, "production").await.unwrap();
    assert_eq!(registry.digest(&tagged(&to, "production")).await.unwrap(), Some(one));
}

#[tokio::test]
async fn a_source_that_has_gone_is_missing() {
    let images = Images::new().await;
    images.image("one", "one").await;
    let gone = digest_of(b"never pushed");
    let to = repository(&open());
    let error = anonymous()
        .copy(&images.repository, &gone, &to, "v1", TagRule::Moving)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Missing { .. }), "{error}");
    assert_eq!(anonymous().digest(&tagged(&to, "v1")).await.unwrap(), None);
}

#[tokio::test]
async fn writing_without_the_right_is_denied() {
    let images = Images::new().await;
    let (digest, _) = images.image("one", "one").await;
    let (registry, _guard) = with_password("wrong");
    let to = repository(&guarded());
    let error = registry
        .copy(&images.repository, &digest, &to, "v1", TagRule::Moving)
        .await
        .unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::RegistryDenied, "{error}");
}

/// A registry with one image whose only blob is `blob`; in its own manifest it is ten bytes long.
async fn source_with(blob: fn() -> Body) -> (Repository, ServedDigest) {
    let digest = digest_of(b"0123456789");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"digest":"{digest}","size":10}},"layers":[]}}"#
    );
    let served = digest_of(manifest.as_bytes());
    let router = Router::new().fallback(any(move |uri: Uri| {
        let manifest = manifest.clone();
        async move {
            match uri.path() {
                path if path.contains("/manifests/") => manifest.into_response(),
                path if path.contains("/blobs/") => blob().into_response(),
                _ => ().into_response(),
            }
        }
    }));
    (repository(&serve(router).await), served)
}

#[tokio::test]
async fn a_blob_that_stops_coming_ends_the_copy() {
    let (from, digest) = source_with(|| {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>("01234")]);
        Body::from_stream(first.chain(futures_util::stream::pending()))
    })
    .await;
    let hurried = Timeouts {
        response: Duration::from_millis(500),
        ..quick()
    };
    let registry = Registry::new(BTreeMap::new(), Credentials::new(BTreeMap::new(), None), hurried).unwrap();
    let to = repository(&open());
    let error = registry
        .copy(&from, &digest, &to, "v1", TagRule::Moving)
        .await
        .unwrap_err();
    assert!(error.retryable(), "{error}");
    assert_eq!(anonymous().digest(&tagged(&to, "v1")).await.unwrap(), None);
}

#[tokio::test]
async fn a_blob_that_is_not_its_digest_never_arrives() {
    let (from, digest) = source_with(|| Body::from("9876543210")).await;
    let to = repository(&open());
    let error = anonymous()
        .copy(&from, &digest, &to, "v1", TagRule::Moving)
        .await
        .unwrap_err();
    assert!(!matches!(error, RegistryError::Missing { .. }), "{error}");
    assert_eq!(anonymous().digest(&tagged(&to, "v1")).await.unwrap(), None);
}
