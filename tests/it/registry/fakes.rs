//! Servers for what a real registry cannot be made to do.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::{Arc, Mutex};

/// Serves `router` on a port of its own until the test ends; its address.
pub(super) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A proxy in front of a registry that notes each request as `METHOD path?query → status`.
pub(super) struct Recorder {
    pub(super) address: String,
    seen: Seen,
}

type Seen = Arc<Mutex<Vec<String>>>;

impl Recorder {
    pub(super) async fn of(registry: String) -> Self {
        let seen = Seen::default();
        let router = Router::new()
            .fallback(forward)
            .with_state((registry, seen.clone(), reqwest::Client::new()));
        Self {
            address: serve(router).await,
            seen,
        }
    }

    /// What was asked since the last call, `GET /v2/` left out.
    pub(super) fn take(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.into_iter().filter(|line| !line.starts_with("GET /v2/ ")).collect()
    }
}

async fn forward(
    State((registry, seen, client)): State<(String, Seen, reqwest::Client)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let sent = client
        .request(parts.method.clone(), format!("http://{registry}{path}"))
        .headers(parts.headers)
        .body(axum::body::to_bytes(body, 64 << 20).await.unwrap())
        .send()
        .await
        .unwrap();
    let status = sent.status();
    seen.lock()
        .unwrap()
        .push(format!("{} {path} -> {}", parts.method, status.as_u16()));
    let mut response = Response::builder().status(status);
    for (name, value) in sent.headers() {
        response = response.header(name, value);
    }
    response.body(Body::from(sent.bytes().await.unwrap())).unwrap()
}
