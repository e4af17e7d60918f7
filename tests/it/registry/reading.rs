use super::fakes::serve;
use super::*;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{any, get};
use lowtide::clients::registry::copy::TagRule;
use lowtide::model::failure::FailureKind;
use lowtide::model::stages::resolve::BasePin;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

fn pin(pin: BasePin) -> (String, String) {
    let BasePin::Registry { served, manifest } = pin else {
        panic!("not from a registry")
    };
    (served.to_string(), manifest.to_string())
}

/// The registry itself is nowhere: all is read at its mirror, with the path that stands for it there, and what is copied as well.
#[tokio::test]
async fn a_mirror_is_read_in_place_of_its_registry() {
    let images = Images::new().await;
    let (digest, _) = images.image("1.0", "mirrored").await;
    let prefixed = Repository {
        path: format!("hub/{}", images.repository.path),
        ..images.repository.clone()
    };
    let direct = anonymous();
    let copied = direct.copy(&images.repository, &digest, &prefixed, "1.1", TagRule::Immutable);
    copied.await.unwrap();
    let host = &images.repository.registry;
    let at = |mirror: String| {
        let access = RegistryAccess {
            username: None,
            password: None,
            plain_http: false,
            mirror: Some(mirror),
        };
        let registries = BTreeMap::from([("upstream.example.org".to_owned(), access)]);
        Registry::new(registries.clone(), Credentials::new(registries, None), quick()).unwrap()
    };
    let upstream = Repository {
        registry: "upstream.example.org".to_owned(),
        path: images.repository.path.clone(),
    };
    let (plain, hub) = (at(host.clone()), at(format!("{host}/hub")));
    for (registry, tag) in [(&plain, "1.0"), (&hub, "1.1")] {
        let reference = tagged(&upstream, tag);
        let resolved = pin(registry.resolve(&reference, &amd64()).await.unwrap());
        assert_eq!(resolved.0, digest.to_string());
        assert!(registry.tags(&upstream, 10).await.unwrap().contains(tag));
    }
    assert_eq!(hub.digest(&tagged(&upstream, "1.0")).await.unwrap(), None);
    let ours = repository(&open());
    hub.copy(&upstream, &digest, &ours, "t", TagRule::Immutable)
        .await
        .unwrap();
    assert_eq!(hub.digest(&tagged(&ours, "t")).await.unwrap(), Some(digest));
}

#[tokio::test]
async fn a_tag_stands_for_its_manifest() {
    let images = Images::new().await;
    let (digest, config) = images.image("latest", "one").await;
    let registry = anonymous();
    let untagged = Reference {
        tag: None,
        ..tagged(&images.repository, "latest")
    };
    for reference in [
        tagged(&images.repository, "latest"),
        untagged,
        Reference::pinned(&images.repository, &digest),
    ] {
        let resolved = pin(registry.resolve(&reference, &amd64()).await.unwrap());
        assert_eq!(resolved, (digest.to_string(), digest.to_string()));
        assert_eq!(registry.digest(&reference).await.unwrap(), Some(digest.clone()));
    }
    let id = registry.image_id(&images.repository, &digest).await.unwrap();
    assert_eq!(id.as_str(), config.as_str());
}

#[tokio::test]
async fn of_an_index_our_platform_is_taken() {
    let images = Images::new().await;
    let (index, children) = images.index("multi").await;
    let registry = anonymous();
    let reference = tagged(&images.repository, "multi");
    let resolved = pin(registry.resolve(&reference, &amd64()).await.unwrap());
    assert_eq!(resolved, (index.to_string(), children[0].to_string()));
    let arm = Platform {
        architecture: "arm64".to_owned(),
        variant: Some("v8".to_owned()),
        ..amd64()
    };
    assert_eq!(
        pin(registry.resolve(&reference, &arm).await.unwrap()).1,
        children[1].to_string()
    );
    let other = Platform {
        architecture: "s390x".to_owned(),
        ..amd64()
    };
    let error = registry.resolve(&reference, &other).await.unwrap_err();
    insta::assert_snapshot!(shown(&error, &images.repository), @"OPEN/REPO:multi has no image for linux/s390x, only for linux/amd64, linux/arm64");
    let error = registry.image_id(&images.repository, &index).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_missing() {
    let images = Images::new().await;
    images.image("here", "one").await;
    let registry = anonymous();
    for absent in [tagged(&images.repository, "gone"), tagged(&repository(&open()), "gone")] {
        assert_eq!(registry.digest(&absent).await.unwrap(), None);
        let error = registry.resolve(&absent, &amd64()).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(shown(&error, &absent.repository), @"OPEN/REPO:gone does not exist");
        }
        assert_eq!(
            (error.failure().kind, error.retryable()),
            (FailureKind::BaseMissing, false)
        );
    }
}

#[tokio::test]
async fn credentials_are_needed_right_and_wrong() {
    let (right, _guard) = with_password("tide-secret\n");
    right.check_login(&guarded()).await.unwrap();
    let absent = tagged(&repository(&guarded()), "x");
    assert_eq!(right.digest(&absent).await.unwrap(), None);

    let (wrong, _guard) = with_password("canary-password");
    let error = wrong.check_login(&guarded()).await.unwrap_err();
    insta::assert_snapshot!(shown(&error, &absent.repository), @"the registry GUARDED denies the login with the credential of `registries.GUARDED`");
    let error = wrong.digest(&absent).await.unwrap_err();
    insta::assert_snapshot!(shown(&error, &absent.repository), @"the registry GUARDED denies GUARDED/REPO:x with the credential of `registries.GUARDED`");
    assert_eq!(
        (error.failure().kind, error.retryable()),
        (FailureKind::RegistryDenied, false)
    );

    let error = anonymous().digest(&absent).await.unwrap_err();
    insta::assert_snapshot!(shown(&error, &absent.repository), @"the registry GUARDED denies access to GUARDED/REPO without a credential");
    anonymous().check_login(&open()).await.unwrap();
}

#[tokio::test]
async fn a_rotated_password_needs_no_new_client() {
    let (registry, file) = with_password("old");
    let absent = tagged(&repository(&guarded()), "x");
    assert!(matches!(
        registry.digest(&absent).await,
        Err(RegistryError::Denied { .. })
    ));
    std::fs::write(file.path(), "tide-secret").unwrap();
    assert_eq!(registry.digest(&absent).await.unwrap(), None);
    std::fs::write(file.path(), "old again").unwrap();
    assert!(matches!(
        registry.digest(&absent).await,
        Err(RegistryError::Denied { .. })
    ));
}

#[tokio::test]
async fn a_credential_helper_logs_in() {
    let place = tempfile::tempdir().unwrap();
    let config = serde_json::json!({ "credHelpers": { guarded(): "it" } });
    std::fs::write(place.path().join("config.json"), config.to_string()).unwrap();
    let helper = place.path().join("docker-credential-it");
    std::fs::write(
        &helper,
        "#!/bin/sh\ncat >/dev/null\necho '{\"Username\":\"lowtide\",\"Secret\":\"tide-secret\"}'\n",
    )
    .unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", place.path().display());
    let credentials = Credentials::new(BTreeMap::new(), Some(place.path().to_owned()))
        .with_helpers(path.into(), Duration::from_secs(10));
    let registry = Registry::new(BTreeMap::new(), credentials, quick()).unwrap();
    registry.check_login(&guarded()).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_is_down_may_be_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = anonymous()
        .digest(&tagged(&repository(&address), "x"))
        .await
        .unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(&address, "DOWN"), @"the registry DOWN does not answer: Connection refused (os error 111)");
    assert_eq!(
        (error.failure().kind, error.retryable()),
        (FailureKind::RegistryUnreachable, true)
    );
}

#[tokio::test]
async fn a_registry_that_hangs_is_left() {
    // Accepted by the kernel, never answered.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let hurried = Timeouts {
        response: Duration::from_millis(100),
        ..quick()
    };
    let registry = Registry::new(BTreeMap::new(), Credentials::new(BTreeMap::new(), None), hurried).unwrap();
    let error = registry.digest(&tagged(&repository(&address), "x")).await.unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(&address, "SLOW"), @"the registry SLOW did not finish within 100ms: the login");
    assert!(error.retryable());

    let half = serve(
        Router::new()
            .route("/v2/", get(|| async {}))
            .fallback(any(std::future::pending::<()>)),
    )
    .await;
    let reference = tagged(&repository(&half), "x");
    let error = registry.digest(&reference).await.unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_lying_registry_is_caught() {
    let liar = serve(Router::new().fallback(any(|| async { r#"{"schemaVersion":2,"manifests":[]}"# }))).await;
    let reference = Reference::pinned(&repository(&liar), &digest_of(b"something else"));
    let error = anonymous().resolve(&reference, &amd64()).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::DigestMismatch, "{error}");

    let page = serve(Router::new().fallback(any(|| async { "<html>welcome</html>" }))).await;
    let error = anonymous()
        .resolve(&tagged(&repository(&page), "x"), &amd64())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Unreadable { .. }), "{error}");

    let sick = serve(Router::new().fallback(any(|| async { (StatusCode::BAD_GATEWAY, "<html>") }))).await;
    let error = anonymous()
        .resolve(&tagged(&repository(&sick), "x"), &amd64())
        .await
        .unwrap_err();
    assert!(error.retryable(), "{error}");
}

/// A registry with a token server: none of the two real ones has one.
async fn token_registry(realm: Option<&'static str>) -> String {
    let address = Arc::new(std::sync::OnceLock::<String>::new());
    let known = address.clone();
    let router = Router::new().fallback(any(move |request: Request| {
        let realm = realm.map_or_else(|| format!("http://{}/token", known.get().unwrap()), ToOwned::to_owned);
        async move {
            let (parts, body) = request.into_parts();
            let header = |name| {
                parts
                    .headers
                    .get(name)
                    .map(|v| v.to_str().unwrap().to_owned())
                    .unwrap_or_default()
            };
            let body = String::from_utf8(axum::body::to_bytes(body, 1 << 16).await.unwrap().to_vec()).unwrap();
            let query = parts.uri.query().unwrap_or_default().to_owned();
            match (
                parts.method.as_str(),
                parts.uri.path(),
                header("authorization").as_str(),
            ) {
                (_, "/v2/", "") => {
                    let challenge = format!("Bearer realm=\"{realm}\",service=\"fake\"");
                    (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
                }
                ("POST", "/token", "") if body.contains("refresh_token=idt%2F1") => {
                    assert!(
                        body.contains("grant_type=refresh_token") && body.contains("service=fake"),
                        "{body}"
                    );
                    r#"{"access_token":"granted"}"#.into_response()
                }
                // hub:pw
                ("GET", "/token", "Basic aHViOnB3") if query.contains("service=fake") => {
                    r#"{"token":"granted"}"#.into_response()
                }
                ("GET" | "POST", "/token", _) => StatusCode::UNAUTHORIZED.into_response(),
                (_, _, "Bearer granted") => {
                    ([("docker-content-digest", digest_of(b"x").to_string())], "x").into_response()
                }
                _ => StatusCode::UNAUTHORIZED.into_response(),
            }
        }
    }));
    let serving = serve(router).await;
    address.set(serving.clone()).unwrap();
    serving
}

fn with_docker_entry(registry: &str, entry: serde_json::Value) -> (Registry, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let config = serde_json::json!({ "auths": { registry: entry } });
    std::fs::write(place.path().join("config.json"), config.to_string()).unwrap();
    let credentials = Credentials::new(BTreeMap::new(), Some(place.path().to_owned()));
    (Registry::new(BTreeMap::new(), credentials, quick()).unwrap(), place)
}

#[tokio::test]
async fn token_servers_grant_for_passwords_and_identity_tokens() {
    let address = token_registry(None).await;
    let reference = tagged(&repository(&address), "x");
    for entry in [
        serde_json::json!({ "identitytoken": "idt/1" }),
        serde_json::json!({ "auth": "aHViOnB3" }),
        serde_json::json!({ "registrytoken": "granted" }),
    ] {
        let (registry, _place) = with_docker_entry(&address, entry);
        assert_eq!(registry.digest(&reference).await.unwrap(), Some(digest_of(b"x")));
    }
    for entry in [serde_json::json!({ "identitytoken": "revoked" }), serde_json::json!({})] {
        let (registry, _place) = with_docker_entry(&address, entry);
        let error = registry.digest(&reference).await.unwrap_err();
        assert_eq!(error.failure().kind, FailureKind::RegistryDenied, "{error}");
        assert!(registry.check_login(&address).await.is_err());
    }
}

#[tokio::test]
async fn a_password_goes_to_no_odd_realm() {
    let address = token_registry(Some("ftp://elsewhere.example.org/token")).await;
    let (registry, _place) = with_docker_entry(&address, serde_json::json!({ "auth": "aHViOnB3" }));
    let error = registry.check_login(&address).await.unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(&address, "FAKE"), @"the answer of the registry FAKE to the login cannot be read: its token server has no https address");
}
