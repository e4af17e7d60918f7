//! Hooks: signed requests to look at the configuration again, and requests by strangers.

use super::followed::git;
use super::{bot, good};
use futures_util::FutureExt;
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::runtime::config_watch::{self, Place};
use lowtide::web::hooks::serve_on;
use ring::hmac;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "It's a secret to nobody here";

/// As a configuration with a hook of GitHub has it.
fn with_hook(app: &str, secret: &Path) -> String {
    format!(
        "{}web: {{ hooks: {{ github: {{ file: {} }} }} }}\n",
        good(app),
        secret.display()
    )
}

async fn hooked(dir: &Path, text: &str) -> (Arc<Bot>, SocketAddr) {
    let bot = bot(dir).await;
    let fleet = lowtide::config::validate::fleet(text.as_bytes()).unwrap();
    bot.put_in_force(InForce::new("hooked".into(), fleet, None, &bot.state).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_on(Arc::clone(&bot), listener, CancellationToken::new()));
    lowtide::clients::tls::ready();
    (bot, address)
}

fn signature(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    tag.as_ref()
        .iter()
        .fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

async fn posted(address: SocketAddr, path: &str, signature: &str, body: &str) -> u16 {
    let request = reqwest::Client::new()
        .post(format!("http://{address}{path}"))
        .header("x-github-event", "push")
        .header("x-hub-signature-256", signature)
        .body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

/// Was another look asked for since the last call?
fn asked(bot: &Bot) -> bool {
    bot.config_look.notified().now_or_never().is_some()
}

#[tokio::test]
async fn only_a_signed_request_is_a_reason_to_look() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let (bot, address) = hooked(dir.path(), &with_hook("web", &secret)).await;
    let body = r#"{"ref":"refs/heads/main"}"#;
    let right = signature(SECRET, body);
    for (path, signature, body, status, look) in [
        ("/github", right.clone(), body, 204, true),
        // Sent again, or late: it is only a reason to look.
        ("/github", right.clone(), body, 204, true),
        ("/github", signature(SECRET, ""), "", 204, true),
        ("/github", right.clone(), "{}", 401, false),
        ("/github", signature("another", body), body, 401, false),
        ("/github", String::new(), body, 401, false),
        // Not configured, and not there.
        ("/signed", right.clone(), body, 404, false),
        ("/", right.clone(), body, 404, false),
    ] {
        assert_eq!(
            posted(address, path, &signature, body).await,
            status,
            "{path} {signature} {body}"
        );
        assert_eq!(asked(&bot), look, "{path} {signature} {body}");
    }
    // A changed secret counts at once; an empty or a missing one lets no request in.
    std::fs::write(&secret, "another").unwrap();
    assert_eq!(posted(address, "/github", &right, body).await, 401);
    assert_eq!(posted(address, "/github", &signature("another", body), body).await, 204);
    assert!(asked(&bot));
    std::fs::write(&secret, "\n").unwrap();
    assert_eq!(posted(address, "/github", &signature("", body), body).await, 503);
    std::fs::remove_file(&secret).unwrap();
    assert_eq!(posted(address, "/github", &right, body).await, 503);
    assert!(!asked(&bot));
}

#[tokio::test]
async fn thirty_megabytes_are_refused_whether_or_not_they_are_announced() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let (bot, address) = hooked(dir.path(), &with_hook("web", &secret)).await;
    let head = format!(
        "POST /github HTTP/1.1\r\nhost: hooks\r\nx-hub-signature-256: {}\r\n",
        signature(SECRET, "")
    );
    for (length, piece) in [
        (format!("content-length: {}\r\n\r\n", 30 << 20), vec![b' '; 1 << 20]),
        (
            "transfer-encoding: chunked\r\n\r\n".to_owned(),
            [&b"100000\r\n"[..], &[b' '; 1 << 20], b"\r\n"].concat(),
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (mut from, mut to) = stream.split();
        let sends = async {
            to.write_all(format!("{head}{length}").as_bytes()).await?;
            for _ in 0..30 {
                to.write_all(&piece).await?;
            }
            std::io::Result::Ok(())
        };
        let mut response = [0; 12];
        // The server answers before it has read everything, and then hangs up.
        let (_, read) = tokio::join!(sends, from.read_exact(&mut response));
        read.unwrap();
        assert_eq!(&response, b"HTTP/1.1 413");
    }
    assert!(!asked(&bot));
}

/// A remote is looked at once a minute by itself.
#[tokio::test]
async fn a_push_is_in_force_without_waiting_for_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, work) = (dir.path().join("secret"), dir.path().join("work"));
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::create_dir(&work).unwrap();
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    let push = |app: &str| {
        std::fs::write(work.join("lowtide.yml"), with_hook(app, &secret)).unwrap();
        git(&work, &["add", "."]);
        git(
            &work,
            &[
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.org",
                "commit",
                "--quiet",
                "--message=Change",
            ],
        );
    };
    push("first");
    let (bot, address) = hooked(dir.path(), &with_hook("web", &secret)).await;
    let place = Place::parse(&format!("file://{}#main:lowtide.yml", work.display()));
    let shutdown = CancellationToken::new();
    let watching = {
        let (bot, shutdown) = (Arc::clone(&bot), shutdown.clone());
        tokio::spawn(async move { config_watch::watch(&bot, &place, None, shutdown).await })
    };
    in_force(&bot, "first").await;
    push("second");
    assert_eq!(posted(address, "/github", &signature(SECRET, "{}"), "{}").await, 204);
    in_force(&bot, "second").await;
    shutdown.cancel();
    watching.await.unwrap().unwrap();
}

/// Half of what the next look by itself would take is time enough, and shorter than it.
async fn in_force(bot: &Bot, app: &str) {
    let there = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !bot.in_force().fleet.apps.keys().any(|name| name.as_str() == app) {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), there).await.unwrap();
}
