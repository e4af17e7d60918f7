//! Requests one file of an archive: politely, conditionally, and never for longer or more than was agreed.

use super::address::{self, Mirror, Place};
use super::error::ArchiveError;
use super::receive::{self, Destination};
use crate::clients::pipe::Pipe;
use crate::clients::{clock, tls};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CACHE_CONTROL, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use reqwest::{Client, Proxy, Url, redirect};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How lowtide reaches archives.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub limits: Limits,
    /// An http proxy's address for every archive, user name and password in it if need be.
    pub proxy: Option<String>,
    pub mirrors: Vec<Mirror>,
    pub files: LocalFiles,
}

/// `file:` sources name folders of the image, so they are refused unless image and machine are known to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalFiles {
    #[default]
    Refused,
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub connect: Duration,
    /// The longest silence while a file arrives.
    pub silence: Duration,
    /// One file with all its attempts.
    pub file: Duration,
    /// Attempts at one file, when the failure is one that passes.
    pub attempts: u32,
    /// Before the second attempt; each later one waits twice as long.
    pub pause: Duration,
    /// The longest `Retry-After` that is waited for. A server that asks for more is not contacted until that time.
    pub patience: Duration,
    pub redirects: usize,
    /// Requests to one host at a time. apt itself uses one connection a host.
    pub per_host: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            file: Duration::from_mins(5),
            attempts: 3,
            pause: Duration::from_secs(1),
            patience: Duration::from_secs(20),
            redirects: 5,
            per_host: 4,
        }
    }
}

/// Validators that name the version we have (RFC 9110 §8.8).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validators {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// As the server wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// One file, wanted.
#[derive(Debug, Clone, Copy)]
pub struct FileRequest<'a> {
    /// As the image's source says; mirrors are put in its place here.
    pub url: &'a str,
    /// In bytes, as they come over the wire.
    pub limit: u64,
    /// What we have already.
    pub cached: Option<&'a Validators>,
    /// What it has to be, when a `Release` tells.
    pub expected: Option<Expected<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// 64 hex digits.
    pub sha256: &'a str,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// 304: what we have is what there is.
    Unchanged,
    Content {
        bytes: Vec<u8>,
        validators: Validators,
    },
}

/// Client for all package repositories. Cheap to clone: clones share connections and, per host, the request limit and
/// the back-off.
#[derive(Clone)]
pub struct ArchiveClient {
    /// Made with the first question: the system's certificates take a megabyte.
    http: Arc<OnceLock<Client>>,
    access: Arc<Access>,
    hosts: Arc<Mutex<BTreeMap<String, Host>>>,
}

#[derive(Clone)]
struct Host {
    turns: Arc<Semaphore>,
    /// It requested a pause until then.
    closed: Option<Timestamp>,
}

impl ArchiveClient {
    /// # Errors
    /// `Address` for an unusable proxy.
    pub fn new(access: Access) -> Result<Self, ArchiveError> {
        proxy(&access)?;
        Ok(Self {
            http: Arc::default(),
            access: Arc::new(access),
            hosts: Arc::default(),
        })
    }

    fn http(&self) -> Result<&Client, ArchiveError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let limits = self.access.limits;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls::client())
            .connect_timeout(limits.connect)
            .read_timeout(limits.silence)
            .redirect(redirect::Policy::custom(move |step| sent_on(step, limits.redirects)))
            .user_agent(concat!("lowtide/", env!("CARGO_PKG_VERSION")))
            // Only the proxy that is configured: an image's archives must not depend on how lowtide was started.
            .no_proxy();
        if let Some(proxy) = proxy(&self.access)? {
            builder = builder.proxy(proxy);
        }
        let http = builder.build().map_err(|e| receive::classify("archives", &limits, e))?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Fetches one file. Failures that pass are tried again after a pause, all within the file's time.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn get(&self, wanted: &FileRequest<'_>) -> Result<Got, ArchiveError> {
        self.fetch(wanted, Destination::Memory).await
    }

    /// As [`get`](Self::get), for a reader that works while the file arrives. Each attempt asks `begin` for a new
    /// reader; what earlier readers have read is void. When this returns [`Got::Content`], without bytes, the last
    /// reader has read the file.
    ///
    /// # Errors
    /// See [`ArchiveError`]: then no reader has read the file.
    pub async fn get_into(
        &self,
        wanted: &FileRequest<'_>,
        begin: &(dyn Fn() -> Pipe + Sync),
    ) -> Result<Got, ArchiveError> {
        self.fetch(wanted, Destination::Reader(begin)).await
    }

    async fn fetch(&self, wanted: &FileRequest<'_>, to: Destination<'_>) -> Result<Got, ArchiveError> {
        let limit = self.access.limits.file;
        let done = tokio::time::timeout(limit, self.attempts(wanted, to)).await;
        done.unwrap_or_else(|_| {
            Err(ArchiveError::Timeout {
                url: address::shown(wanted.url),
                limit,
            })
        })
    }

    async fn attempts(&self, wanted: &FileRequest<'_>, to: Destination<'_>) -> Result<Got, ArchiveError> {
        let url = match address::place(wanted.url, &self.access.mirrors)? {
            Place::Web(url) => url,
            Place::File(path) => return self.local(wanted, to, &path).await,
        };
        let limits = &self.access.limits;
        let mut pause = limits.pause;
        for _ in 1..limits.attempts {
            match self.once(wanted, to, &url).await {
                Err(error) if error.passing() => match self.wait(&error, pause) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                },
                done => return done,
            }
            pause *= 2;
        }
        self.once(wanted, to, &url).await
    }

    /// How long until the next attempt; `None`: longer than our patience.
    fn wait(&self, error: &ArchiveError, pause: Duration) -> Option<Duration> {
        let ArchiveError::Busy { until: Some(until), .. } = error else {
            return Some(pause);
        };
        let delay = Duration::try_from(until.duration_since(clock::now())).unwrap_or_default();
        (delay <= self.access.limits.patience).then_some(delay.max(pause))
    }

    async fn once(&self, wanted: &FileRequest<'_>, to: Destination<'_>, url: &Url) -> Result<Got, ArchiveError> {
        let name = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let host = self.host(&name);
        // Nobody closes it.
        let _turn = host.turns.acquire().await;
        if let Some(until) = self.host(&name).closed.filter(|until| *until > clock::now()) {
            return Err(ArchiveError::Busy {
                url: address::shown(wanted.url),
                status: 503,
                until: Some(until),
            });
        }
        // A cache on the way must check with the archive whether it still has the newest.
        let mut request = self.http()?.get(url.clone()).header(CACHE_CONTROL, "max-age=0");
        if let Some(cached) = wanted.cached {
            let headers = [(IF_NONE_MATCH, &cached.etag), (IF_MODIFIED_SINCE, &cached.modified)];
            for (name, value) in headers {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let response = request.send().await;
        let response = response.map_err(|e| receive::classify(wanted.url, &self.access.limits, e))?;
        let got = receive::response(wanted, to, &self.access.limits, response).await;
        if let Err(ArchiveError::Busy { until: Some(until), .. }) = &got {
            self.close(&name, *until);
        }
        got
    }

    fn host(&self, name: &str) -> Host {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(name.to_owned()).or_insert_with(|| Host {
            turns: Arc::new(Semaphore::new(self.access.limits.per_host.max(1))),
            closed: None,
        });
        host.clone()
    }

    /// Sends the host no request until `until`, but for at most a day, whatever the server asks for.
    fn close(&self, name: &str, until: Timestamp) {
        let latest = clock::now().saturating_add(SignedDuration::from_hours(24));
        let until = latest.map_or(until, |latest| until.min(latest));
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get_mut(name) {
            host.closed = Some(until);
        }
    }

    async fn local(&self, wanted: &FileRequest<'_>, to: Destination<'_>, path: &Path) -> Result<Got, ArchiveError> {
        match self.access.files {
            LocalFiles::Refused => Err(ArchiveError::Local {
                url: address::shown(wanted.url),
            }),
            LocalFiles::Read => receive::file(wanted, to, path).await,
        }
    }
}

fn proxy(access: &Access) -> Result<Option<Proxy>, ArchiveError> {
    let wrong = |address: &String| ArchiveError::Address {
        url: address::shown(address),
        why: "it is no proxy's address",
    };
    let all = |address: &String| Proxy::all(address).map_err(|_| wrong(address));
    access.proxy.as_ref().map(all).transpose()
}

fn sent_on(step: redirect::Attempt<'_>, limit: usize) -> redirect::Action {
    let downgraded = step.url().scheme() == "http" && step.previous().iter().any(|from| from.scheme() == "https");
    if downgraded {
        step.error(receive::SentOn::Downgrade)
    } else if step.previous().len() > limit {
        step.error(receive::SentOn::TooFar)
    } else {
        step.follow()
    }
}
