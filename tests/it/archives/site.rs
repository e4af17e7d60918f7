//! An archive on loopback: a real HTTP server with validators, and with tricks.

use super::gnupg::Gnupg;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use lowtide::clients::archive::fetch::{Access, ArchiveClient, Limits};
use lowtide::packages::openpgp::keyring::Keyring;
use lowtide::packages::openpgp::verify::Trust;
use lowtide::runtime::archives::visit::Archives;
use lowtide::runtime::families::apt::known::{SuiteResult, Wanted};
use lowtide::runtime::families::apt::suites::{AptRepositories, Suites};
use lowtide::store::archives::ArchiveCache;
use lowtide::store::survey_cache::SurveyCache;
use lowtide_apt::sources::{self, Source};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// What the server does instead of serving the file.
#[derive(Debug, Clone)]
pub(super) enum Trick {
    Status(u16),
    /// 503 with this `Retry-After`, once; then the file.
    BusyOnce(&'static str),
    /// The connection ends after half of the file, once.
    BreakOnce,
    /// The connection ends after half of the file, always.
    Break,
    Page(&'static str),
    SentTo(String),
    /// Zeros without end and without announced length.
    Endless,
    /// Nothing comes, and nothing ends.
    Silence,
    /// Half of the file; the rest once this is notified.
    Halves(Arc<Notify>),
}

#[derive(Default)]
struct Inside {
    files: BTreeMap<String, Vec<u8>>,
    tricks: BTreeMap<String, Trick>,
    seen: Vec<String>,
}

pub(super) struct Site {
    pub(super) address: String,
    inside: Arc<Mutex<Inside>>,
}

impl Site {
    pub(super) async fn new() -> Self {
        let inside = Arc::<Mutex<Inside>>::default();
        let router = Router::new().fallback(serve).with_state(inside.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, inside }
    }

    pub(super) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let mut inside = self.inside.lock().unwrap();
        inside.files.insert(format!("/{path}"), bytes.into());
    }

    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        self.inside.lock().unwrap().files[&format!("/{path}")].clone()
    }

    pub(super) fn trick(&self, path: &str, trick: Trick) {
        let mut inside = self.inside.lock().unwrap();
        inside.tricks.insert(format!("/{path}"), trick);
    }

    pub(super) fn honest(&self) {
        self.inside.lock().unwrap().tricks.clear();
    }

    pub(super) fn remove(&self, path: &str) {
        self.inside.lock().unwrap().files.remove(&format!("/{path}")).unwrap();
    }

    /// `path -> status` of everything asked since the last call, sorted.
    pub(super) fn seen(&self) -> Vec<String> {
        let mut seen = std::mem::take(&mut self.inside.lock().unwrap().seen);
        seen.sort();
        seen
    }
}

async fn serve(State(inside): State<Arc<Mutex<Inside>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (file, trick) = {
        let mut inside = inside.lock().unwrap();
        let trick = inside.tricks.get(&path).cloned();
        if matches!(trick, Some(Trick::BusyOnce(_) | Trick::BreakOnce)) {
            inside.tricks.remove(&path);
        }
        (inside.files.get(&path).cloned(), trick)
    };
    let response = match trick {
        Some(trick) => tricked(&trick, file.unwrap_or_default()),
        None => honest(&request, file),
    };
    let line = format!("{path} -> {}", response.status().as_u16());
    inside.lock().unwrap().seen.push(line);
    response
}

fn honest(request: &Request, file: Option<Vec<u8>>) -> Response {
    let Some(file) = file else {
        return Response::builder()
            .status(404)
            .body(Body::from("<html>no</html>"))
            .unwrap();
    };
    let etag = format!("\"{}\"", &sha256(&file)[..16]);
    let known = request.headers().get("if-none-match");
    if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return Response::builder().status(304).body(Body::empty()).unwrap();
    }
    Response::builder().header("etag", etag).body(Body::from(file)).unwrap()
}

fn tricked(trick: &Trick, file: Vec<u8>) -> Response {
    let response = Response::builder();
    match trick {
        Trick::Status(status) => response.status(*status).body(Body::empty()),
        Trick::BusyOnce(after) => response.status(503).header("retry-after", *after).body(Body::empty()),
        Trick::Halves(rest) => {
            let (first, last) = file.split_at(file.len() / 2);
            let (first, last, rest) = (first.to_vec(), last.to_vec(), Arc::clone(rest));
            let last = futures_util::stream::once(async move {
                rest.notified().await;
                Ok::<_, std::io::Error>(last)
            });
            let halves = futures_util::stream::iter([Ok(first)]);
            response.body(Body::from_stream(futures_util::StreamExt::chain(halves, last)))
        }
        Trick::Break | Trick::BreakOnce => {
            let half = futures_util::stream::iter([Ok(file[..file.len() / 2].to_vec())]);
            let end = futures_util::stream::once(async {
                // So that the half is on its way before the connection ends.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("broken"))
            });
            let body = futures_util::StreamExt::chain(half, end);
            response
                .header("content-length", file.len())
                .body(Body::from_stream(body))
        }
        Trick::Page(page) => response
            .header("content-type", "text/html; charset=utf-8")
            .body(Body::from(*page)),
        Trick::SentTo(there) => response.status(302).header("location", there).body(Body::empty()),
        Trick::Endless => {
            let zeros = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 64 << 10]));
            response.body(Body::from_stream(zeros))
        }
        Trick::Silence => response.body(Body::from_stream(futures_util::stream::pending::<
            Result<Vec<u8>, std::io::Error>,
        >())),
    }
    .unwrap()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    member.write_all(bytes).unwrap();
    member.finish().unwrap()
}

/// Patient enough for a busy machine, except with pauses.
pub(super) fn limits() -> Limits {
    Limits {
        pause: Duration::from_millis(1),
        ..Limits::default()
    }
}

pub(super) fn client(limits: Limits) -> ArchiveClient {
    let access = Access {
        limits,
        ..Access::default()
    };
    ArchiveClient::new(access).unwrap()
}

/// A suite with one component for amd64, its keys, and lowtide with a state directory.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) gnupg: Gnupg,
    pub(super) key: String,
    pub(super) state: tempfile::TempDir,
    pub(super) archives: Archives,
    repositories: AptRepositories,
}

pub(super) const DISTS: &str = "debian/dists/stable";
pub(super) const INDEX: &str = "main/binary-amd64/Packages.gz";
pub(super) const NOW: &str = "2026-07-12T00:00:00Z";
const DATE: &str = "Date: Sat, 11 Jul 2026 10:00:00 UTC\n";
pub(super) const HEAD: &str =
    "Origin: Example\nLabel: Example\nSuite: stable\nCodename: tide\nArchitectures: amd64 i386\nComponents: main\n";

impl World {
    pub(super) async fn new() -> Self {
        Self::with(limits()).await
    }

    pub(super) async fn with(limits: Limits) -> Self {
        let gnupg = Gnupg::new();
        let key = old_key(&gnupg, "archive@example.org");
        let state = tempfile::tempdir().unwrap();
        let world = Self {
            site: Site::new().await,
            gnupg,
            key,
            archives: Archives::new(
                client(limits),
                ArchiveCache::new(state.path(), 1 << 30),
                SurveyCache::of(state.path()),
            ),
            repositories: AptRepositories::default(),
            state,
        };
        world.publish(&package("a", "1.0"));
        world
    }

    /// lowtide restarted with the same state directory.
    pub(super) fn restart(&mut self) {
        self.archives = Archives::new(
            client(limits()),
            ArchiveCache::new(self.state.path(), 1 << 30),
            SurveyCache::of(self.state.path()),
        );
        self.repositories = AptRepositories::default();
    }

    /// A visit that asks each archive.
    pub(super) fn suites(&self) -> Suites<'_> {
        self.repositories
            .suites(self.archives.visit(jiff::Timestamp::MAX, now()))
    }

    /// Puts the index there, packed by gzip, and a `Release` for it.
    pub(super) fn publish(&self, packages: &str) {
        self.site.put(&format!("{DISTS}/{INDEX}"), gzip(packages.as_bytes()));
        self.sign(&self.release(&format!("{HEAD}{DATE}"), &[INDEX]));
    }

    /// A `Release` that lists these files as they are.
    pub(super) fn release(&self, head: &str, files: &[&str]) -> String {
        let mut text = format!("{head}SHA256:\n");
        for file in files {
            let bytes = self.site.get(&format!("{DISTS}/{file}"));
            text += &format!(" {} {} {file}\n", sha256(&bytes), bytes.len());
        }
        text
    }

    pub(super) fn dated(&self, date: &str, files: &[&str]) -> String {
        self.release(&format!("{HEAD}{date}"), files)
    }

    pub(super) fn sign(&self, release: &str) {
        self.sign_by(&self.key, release);
    }

    pub(super) fn sign_by(&self, key: &str, release: &str) {
        let how = ["--faked-system-time", "20260711T100000!", "--clearsign"];
        let file = self.gnupg.sign(release, &[key], &how);
        self.site.put(&format!("{DISTS}/InRelease"), file);
    }

    /// Another key, old enough.
    pub(super) fn stranger(&self) -> String {
        old_key(&self.gnupg, "stranger@example.org")
    }

    pub(super) fn source(&self, options: &str, suite_and_components: &str) -> Source {
        let line = format!("deb [{options}] {}/debian {suite_and_components}", self.site.address);
        let mut all = sources::parse(line.as_bytes(), "etc/apt/sources.list", "amd64").unwrap();
        all.remove(0)
    }

    pub(super) fn trust(&self, keys: &[&str]) -> Arc<Trust> {
        let keyring = Keyring::parse("etc/apt/trusted.gpg.d/example.gpg", &self.gnupg.export(keys)).unwrap();
        Arc::new(Trust {
            keyrings: vec![Arc::new(keyring)],
            ..Trust::default()
        })
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.wanting("", "stable main")
    }

    pub(super) fn wanting(&self, options: &str, suite_and_components: &str) -> Wanted {
        Wanted {
            source: self.source(options, suite_and_components),
            architectures: vec!["amd64".to_owned()],
            trust: self.trust(&[&self.key]),
        }
    }

    pub(super) async fn query(&self, wanted: &Wanted) -> SuiteResult {
        let mut results = self.suites().results(std::slice::from_ref(wanted)).await;
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    /// In words: what is known, or why nothing.
    pub(super) async fn said(&self) -> String {
        self.words(&self.query(&self.wanted()).await)
    }

    pub(super) fn words(&self, result: &SuiteResult) -> String {
        let text = match result {
            SuiteResult::Known(suite) => {
                let packages: Vec<usize> = suite.indexes.iter().map(|part| part.index.len()).collect();
                format!("known: {packages:?} packages; skipped {:?}", suite.skipped)
            }
            SuiteResult::Unknown { source, why } => format!("unknown: {source}: {why}"),
        };
        text.replace(&self.site.address, "SITE").replace(&self.key, "KEY")
    }
}

/// Older than everything that is signed with it.
fn old_key(gnupg: &Gnupg, name: &str) -> String {
    let long_ago = ["--faked-system-time", "20200101T000000!"];
    gnupg.key_with(name, &long_ago, &["ed25519", "sign", "never"])
}

pub(super) fn now() -> jiff::Timestamp {
    NOW.parse().unwrap()
}

pub(super) fn package(name: &str, version: &str) -> String {
    format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n\n")
}
