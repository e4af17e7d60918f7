//! A registry that takes no more requests, and does so again later.

use super::fakes::serve;
use super::*;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use jiff::{SignedDuration, Timestamp};
use lowtide::clients::registry::copy::TagRule;
use lowtide::clients::registry::quotas::{Quotas, RegistryQuota};
use lowtide::model::failure::{FailureKind, Fault};
use std::sync::{Arc, Mutex};

/// A registry that lets everybody in and has one image, whose layer is its config.
struct Limited {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Paths that end so are refused, with this `Retry-After`.
    refuses: Option<(String, Option<String>)>,
    remaining: Option<&'static str>,
    requests: usize,
}

const IMAGE: &[u8] = b"content";

fn manifest() -> String {
    let part = serde_json::json!({ "mediaType": "x", "digest": digest_of(IMAGE), "size": IMAGE.len() });
    serde_json::json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": part, "layers": [part] }).to_string()
}

impl Limited {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let answer = move |request: Request| {
            let response = respond(&mut shared.lock().unwrap(), request.uri().path());
            async move { response }
        };
        let address = serve(Router::new().fallback(any(answer))).await;
        Self { address, state }
    }

    fn refuse(&self, suffix: &str, after: Option<&str>) {
        self.state.lock().unwrap().refuses = Some((suffix.to_owned(), after.map(ToOwned::to_owned)));
    }

    fn recover(&self) {
        self.state.lock().unwrap().refuses = None;
    }

    /// Requests since the last call.
    fn requests(&self) -> usize {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    fn reference(&self) -> Reference {
        format!("{}/acme/web:v1", self.address).parse().unwrap()
    }
}

fn respond(state: &mut State, path: &str) -> Response {
    state.requests += 1;
    if let Some((suffix, after)) = &state.refuses
        && path.ends_with(suffix.as_str())
    {
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        let mut response = (StatusCode::TOO_MANY_REQUESTS, body).into_response();
        if let Some(after) = after {
            response.headers_mut().insert("retry-after", after.parse().unwrap());
        }
        return response;
    }
    if path.contains("/blobs/") {
        return IMAGE.into_response();
    }
    if !path.contains("/manifests/") {
        return StatusCode::OK.into_response();
    }
    let mut response = (
        [("docker-content-digest", digest_of(manifest().as_bytes()).to_string())],
        manifest(),
    )
        .into_response();
    if let Some(remaining) = state.remaining {
        let headers = response.headers_mut();
        headers.insert("ratelimit-limit", "100;w=21600".parse().unwrap());
        headers.insert("ratelimit-remaining", remaining.parse().unwrap());
    }
    response
}

/// A client of one revision of the configuration, with this user's password, or none.
fn client(registry: &Limited, username: Option<&str>, quotas: &Arc<Quotas>) -> (Registry, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret").unwrap();
    let access = username.map(|username| RegistryAccess {
        username: Some(username.to_owned()),
        password: Some(SecretRef::File(file.path().to_owned())),
        plain_http: false,
        mirror: None,
    });
    let registries: BTreeMap<String, RegistryAccess> = access
        .into_iter()
        .map(|access| (registry.address.clone(), access))
        .collect();
    let client = Registry::new(registries.clone(), Credentials::new(registries, None), quick()).unwrap();
    (client.with_quotas(quotas.clone()), file)
}

/// Until when, if the registry is busy.
fn busy(error: &RegistryError) -> Timestamp {
    let RegistryError::Busy { until, .. } = error else {
        panic!("{error}")
    };
    *until
}

fn is_in(time: Timestamp, minutes: i64) -> bool {
    let away = time.duration_since(Timestamp::now());
    away <= SignedDuration::from_mins(minutes) && away > SignedDuration::from_mins(minutes - 1)
}

#[tokio::test]
async fn nothing_is_sent_before_the_time_that_the_registry_names() {
    let registry = Limited::start().await;
    let reference = registry.reference();
    let quotas = Arc::default();
    let (hub, _password) = client(&registry, Some("hub"), &quotas);
    registry.refuse("/manifests/v1", Some("1860"));
    let error = hub.digest(&reference).await.unwrap_err();
    let until = busy(&error);
    assert!(is_in(until, 31), "{until}");
    let failure = error.failure();
    assert_eq!(
        (failure.kind, failure.fault(), error.retryable()),
        (FailureKind::RegistryBusy, Fault::Infra, true)
    );
    assert_eq!(failure.not_before, Some(until));
    // The login and one HEAD; a GET in its place would be one more of what is limited.
    assert_eq!(registry.requests(), 2);

    // Neither does the next revision of the configuration ask, with a new client and a new password of the same user.
    let (next, password) = client(&registry, Some("hub"), &quotas);
    std::fs::write(password.path(), "rotated").unwrap();
    registry.recover();
    let other: Repository = format!("{}/acme/other", registry.address).parse().unwrap();
    for client in [&hub, &next] {
        assert_eq!(busy(&client.digest(&reference).await.unwrap_err()), until);
        assert_eq!(
            busy(&client.resolve(&tagged(&other, "v2"), &amd64()).await.unwrap_err()),
            until
        );
        assert_eq!(busy(&client.check_login(&registry.address).await.unwrap_err()), until);
        let digest = digest_of(manifest().as_bytes());
        let copied = client
            .copy(&reference.repository, &digest, &other, "v1", TagRule::Immutable)
            .await;
        assert_eq!(busy(&copied.unwrap_err()), until);
    }
    assert_eq!(registry.requests(), 0);

    // Another account of that registry, and another registry, are not held.
    let (anonymous, _) = client(&registry, None, &quotas);
    assert_eq!(
        anonymous.digest(&reference).await.unwrap(),
        Some(digest_of(manifest().as_bytes()))
    );
    let elsewhere = Limited::start().await;
    assert!(next.digest(&elsewhere.reference()).await.unwrap().is_some());
}

#[tokio::test]
async fn it_is_asked_again_when_its_time_has_come() {
    let registry = Limited::start().await;
    let (client, _) = client(&registry, None, &Arc::default());
    for come in ["0", "Fri, 06 Nov 2020 02:31:00 GMT"] {
        registry.refuse("/manifests/v1", Some(come));
        busy(&client.digest(&registry.reference()).await.unwrap_err());
        busy(&client.resolve(&registry.reference(), &amd64()).await.unwrap_err());
        registry.recover();
        assert!(client.digest(&registry.reference()).await.unwrap().is_some(), "{come}");
        client.resolve(&registry.reference(), &amd64()).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_login_or_layer_holds_it_too() {
    let login = Limited::start().await;
    let (registry, _) = client(&login, None, &Arc::default());
    login.refuse("/v2/", Some("600"));
    let until = busy(&registry.check_login(&login.address).await.unwrap_err());
    assert!(is_in(until, 10), "{until}");
    assert_eq!(busy(&registry.digest(&login.reference()).await.unwrap_err()), until);
    assert_eq!(login.requests(), 1);

    // Whose header is not seen: the wait is ours.
    let layers = Limited::start().await;
    let (registry, _) = client(&layers, None, &Arc::default());
    let image = registry.image(&layers.reference(), &amd64()).await.unwrap();
    layers.refuse(image.layers[0].digest.as_str(), Some("600"));
    let read = |_: &mut dyn std::io::Read| Ok::<(), std::io::Error>(());
    let repository = layers.reference().repository;
    let until = busy(
        &registry
            .read_layer(&repository, &image.layers[0], read)
            .await
            .unwrap_err(),
    );
    assert!(is_in(until, 5), "{until}");
    layers.recover();
    assert_eq!(busy(&registry.digest(&layers.reference()).await.unwrap_err()), until);
}

#[tokio::test]
async fn what_remains_is_known_to_the_metrics() {
    let registry = Limited::start().await;
    let quotas = Arc::default();
    let (client, _) = client(&registry, None, &quotas);
    let shown = || quotas.all(Timestamp::now()).remove(&registry.address);
    client.digest(&registry.reference()).await.unwrap();
    assert_eq!(shown(), None, "it says nothing of a limit");
    registry.state.lock().unwrap().remaining = Some("4;w=21600");
    client.digest(&registry.reference()).await.unwrap();
    let remaining = Some(4);
    assert_eq!(shown(), Some(RegistryQuota { held: false, remaining }));
    registry.refuse("/manifests/v1", Some("60"));
    busy(&client.digest(&registry.reference()).await.unwrap_err());
    assert_eq!(shown(), Some(RegistryQuota { held: true, remaining }));
}
