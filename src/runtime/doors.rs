//! What both servers (HTTP, control socket) share: the limit of connections, which connection is dropped at the limit,
//! and an accept loop that survives errors.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a client may take to send its request, which is one short head or line.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections of one server at once. A quarter of our descriptors at most: runs and rollouts need the others.
const MOST: u64 = 256;
const LEAST: u64 = 8;

/// Pause after a failed accept: long enough not to spin, short enough for a health check to succeed.
const PAUSE: Duration = Duration::from_millis(200);

/// Raises the soft limit of open files to the hard one, once, at start: distributions keep the soft one low for programs
/// that use `select`.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    // Some systems set the hard limit to a thousand million; a child process that closes every possible descriptor
    // would never finish.
    let wanted = now.maximum.unwrap_or(WIDEST).min(WIDEST);
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: now.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Linux's own default for the hard limit's ceiling (`fs.nr_open`).
const WIDEST: u64 = 1 << 20;

/// The connections of one server.
#[derive(Clone, Debug)]
pub struct Guests {
    most: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    count: usize,
    /// Connections that have not sent their request yet, the oldest first.
    silent: BTreeMap<u64, CancellationToken>,
}

impl Guests {
    /// As many as our limit of open files allows.
    #[must_use]
    pub fn new() -> Self {
        let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let most = open_files.map_or(MOST, |files| (files / 4).clamp(LEAST, MOST));
        Self::at_most(usize::try_from(most).unwrap_or(LEAST as usize))
    }

    fn at_most(most: usize) -> Self {
        Self {
            most,
            inside: Arc::default(),
        }
    }

    /// Admits a connection. At the limit, the connection that has waited longest without a request is dropped for it;
    /// `None`: all connections are being served.
    #[must_use]
    pub fn admit(&self) -> Option<Guest> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.count >= self.most {
            let (_, silent) = inside.silent.pop_first()?;
            silent.cancel();
            inside.count -= 1;
        }
        let id = inside.next;
        let leave = CancellationToken::new();
        inside.next += 1;
        inside.count += 1;
        inside.silent.insert(id, leave.clone());
        Some(Guest {
            id,
            leave,
            inside: Arc::clone(&self.inside),
        })
    }
}

impl Default for Guests {
    fn default() -> Self {
        Self::new()
    }
}

/// One connection. Its place is free again when this is dropped.
#[derive(Debug)]
pub struct Guest {
    id: u64,
    leave: CancellationToken,
    inside: Arc<Mutex<Inside>>,
}

impl Guest {
    /// The request has arrived: from here on the connection is served to the end.
    pub fn request_received(&self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.silent.remove(&self.id);
    }

    /// Resolves when this connection is dropped in favour of another.
    pub async fn shown_out(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.silent.remove(&self.id);
        // `admit` has already subtracted a connection that it dropped.
        if !self.leave.is_cancelled() {
            inside.count -= 1;
        }
    }
}

/// Accepts that failed one after another.
#[derive(Debug, Default)]
pub struct Refused(u32);

impl Refused {
    pub fn accepted(&mut self, door: &str) {
        if self.0 > 0 {
            info!(door, failed = self.0, "connections are accepted again");
        }
        self.0 = 0;
    }

    /// No error of accept(2) ends the server. Errors of a connection that went away are skipped at once; without
    /// descriptors or memory, the next try waits until a connection may have closed.
    pub async fn wait(&mut self, door: &str, error: &io::Error) {
        tokio::time::sleep(self.pause(door, error)).await;
    }

    fn pause(&mut self, door: &str, error: &io::Error) -> Duration {
        let gone = [
            ErrorKind::ConnectionAborted,
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionRefused,
        ];
        if gone.contains(&error.kind()) {
            return Duration::ZERO;
        }
        if self.0 == 0 {
            warn!(door, %error, "a connection cannot be accepted; tried again");
        }
        self.0 = self.0.saturating_add(1);
        PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_house_drops_the_longest_silent_guest_and_serves_one_that_sent_a_request() {
        let house = Guests::at_most(2);
        let (active, silent) = (house.admit().unwrap(), house.admit().unwrap());
        active.request_received();
        let late = house.admit().unwrap();
        assert!(silent.leave.is_cancelled() && !active.leave.is_cancelled());
        late.request_received();
        assert!(house.admit().is_none(), "everybody inside is being served");
        drop(silent);
        assert!(house.admit().is_none(), "its place was given away already");
        drop(active);
        assert!(house.admit().is_some());
    }

    #[test]
    fn failed_accepts_are_slept_over() {
        let mut refused = Refused::default();
        assert_eq!(refused.pause("x", &ErrorKind::ConnectionAborted.into()), Duration::ZERO);
        // EMFILE, ENFILE, ENOMEM, ENOBUFS.
        for number in [24, 23, 12, 105] {
            assert_eq!(refused.pause("x", &io::Error::from_raw_os_error(number)), PAUSE);
        }
        assert_eq!(refused.0, 4);
        refused.accepted("x");
        assert_eq!(refused.0, 0);
    }
}
