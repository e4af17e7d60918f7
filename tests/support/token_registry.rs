//! A real registry (`docker-registry`) that takes tokens only, and the token server it trusts (distribution's "Token
//! Authentication Specification"). A user may do everything below one path; for other paths a token says nothing.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Name, password, and the path below which it may do everything.
pub(crate) type User = (&'static str, &'static str, &'static str);

/// What a user's identity token is.
pub(crate) fn identity_token(user: &str) -> String {
    format!("identity-of-{user}")
}

pub(crate) struct TokenRegistry {
    /// Host and port.
    pub(crate) address: String,
    issued: Issued,
    process: Child,
    _dir: tempfile::TempDir,
}

/// `user: scope scope`, for each token.
type Issued = Arc<Mutex<Vec<String>>>;

impl TokenRegistry {
    pub(crate) async fn start(users: &'static [User]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = Arc::new(Signer::new(dir.path()));
        let issued = Issued::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let realm = format!("http://{}/token", listener.local_addr().unwrap());
        let server = Server {
            users,
            signer,
            issued: issued.clone(),
        };
        let router = Router::new().route("/token", any(token)).with_state(server);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let config = json!({
            "version": 0.1, "log": { "level": "info" }, "http": { "addr": address },
            "storage": { "filesystem": { "rootdirectory": dir.path().join("blobs") } },
            "auth": { "token": {
                "realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": dir.path().join("cert.pem"),
            } },
        });
        // JSON is YAML.
        std::fs::write(dir.path().join("config.yml"), config.to_string()).unwrap();
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        listens(process.stderr.take().unwrap()).await;
        Self {
            address,
            issued,
            process,
            _dir: dir,
        }
    }

    /// The tokens issued since the last call, as `user: scope scope`.
    pub(crate) fn issued(&self) -> Vec<String> {
        std::mem::take(&mut *self.issued.lock().unwrap())
    }
}

impl Drop for TokenRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Until it says so. What it says later is read too, so that it can go on saying it.
async fn listens(stderr: ChildStderr) {
    let (send, said) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        if lines.any(|line| line.contains("listening on")) {
            let _ = send.send(());
        }
        lines.for_each(drop);
    });
    said.await.expect("the registry did not start");
}

const SERVICE: &str = "registry.test";
const ISSUER: &str = "issuer.test";

#[derive(Clone)]
struct Server {
    users: &'static [User],
    signer: Arc<Signer>,
    issued: Issued,
}

async fn token(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 16).await.unwrap();
    let form = match parts.method.as_str() {
        "POST" => String::from_utf8(body.to_vec()).unwrap(),
        _ => parts.uri.query().unwrap_or_default().to_owned(),
    };
    let form = reqwest::Url::parse(&format!("http://form/?{form}")).unwrap();
    let values = |key: &str| -> Vec<String> {
        let pairs = form.query_pairs().filter(|(name, _)| name == key);
        pairs.map(|(_, value)| value.into_owned()).collect()
    };
    assert_eq!(values("service"), [SERVICE]);
    let authorization = parts
        .headers
        .get("authorization")
        .map(|v| v.to_str().unwrap().to_owned());
    let known = |user: &&User| match &authorization {
        Some(basic) => *basic == format!("Basic {}", STANDARD.encode(format!("{}:{}", user.0, user.1))),
        None => values("grant_type") == ["refresh_token"] && values("refresh_token") == [identity_token(user.0)],
    };
    let Some((name, _, below)) = server.users.iter().find(known) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let scopes = values("scope").join(" ");
    server.issued.lock().unwrap().push(format!("{name}: {scopes}"));
    let granted: Vec<Value> = scopes
        .split_whitespace()
        .filter_map(|scope| access(scope, below))
        .collect();
    let token = server.signer.sign(name, &granted);
    json!({ "token": token, "access_token": token, "expires_in": 300 })
        .to_string()
        .into_response()
}

/// What is granted of one scope.
fn access(scope: &str, below: &str) -> Option<Value> {
    let mut parts = scope.split(':');
    let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
    let rest = name.strip_prefix(below)?;
    let within = kind == "repository" && (rest.is_empty() || rest.starts_with('/') || below.is_empty());
    let actions: Vec<&str> = actions.split(',').collect();
    within.then(|| json!({ "type": kind, "name": name, "actions": actions }))
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
}

impl Signer {
    /// Leaves `cert.pem` in `dir`.
    fn new(dir: &Path) -> Self {
        let made = Command::new("openssl")
            .current_dir(dir)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ])
            .args([
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
                "-days",
                "1",
                "-subj",
                "/CN=issuer",
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let content = |name: &str| -> String {
            let pem = std::fs::read_to_string(dir.join(name)).unwrap();
            pem.lines().filter(|line| !line.starts_with("-----")).collect()
        };
        let key = STANDARD.decode(content("key.pem")).unwrap();
        let random = SystemRandom::new();
        Self {
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random).unwrap(),
            certificate: content("cert.pem"),
        }
    }

    /// A JSON web token (RFC 7519) as distribution reads it.
    fn sign(&self, user: &str, access: &[Value]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [self.certificate] });
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": user, "iat": now, "nbf": now - 60, "exp": now + 300, "jti": "1",
            "access": access,
        });
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
