//! A real SMTP server (aiosmtpd) of one test. `LOWTIDE_TEST_PYTHON` names a Python that has it; `openssl` makes certificates.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const USER: &str = "bot";
pub(crate) const PASSWORD: &str = "tide-secret";

pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
    arrivals: Mutex<Receiver<String>>,
}

impl Server {
    /// `mode`: see `smtp_server.py`.
    pub(crate) fn start(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let python = std::env::var("LOWTIDE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smtp_server.py");
        let mut child = Command::new(python)
            .args([script, mode])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("LOWTIDE_TEST_PYTHON must be a Python with aiosmtpd");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let port = first
            .trim()
            .strip_prefix("port ")
            .unwrap_or_else(|| panic!("no mail server: {first:?}"))
            .parse()
            .unwrap();
        let (arrived, arrivals) = channel();
        std::thread::spawn(move || {
            lines
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| arrived.send(line))
        });
        Self {
            child,
            port,
            folder,
            arrivals: Mutex::new(arrivals),
        }
    }

    /// Messages the server took, in order.
    pub(crate) fn stored(&self) -> Vec<Value> {
        (0..)
            .map_while(|n| std::fs::read(self.folder.path().join(format!("{n}.json"))).ok())
            .map(|bytes| serde_json::from_slice(&bytes).unwrap())
            .collect()
    }

    /// The next message that `wanted` holds of, among those that arrive from now on or since the last call.
    pub(crate) fn arrives(&self, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let line = self
                .arrivals
                .lock()
                .unwrap()
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no such mail; there are {:#?}", self.subjects()));
            let number: usize = line.strip_prefix("stored ").unwrap().parse().unwrap();
            let message = self.stored().remove(number);
            if wanted(&message) {
                return message;
            }
        }
    }

    fn subjects(&self) -> Vec<String> {
        self.stored()
            .iter()
            .map(|mail| mail["headers"]["subject"].to_string())
            .collect()
    }

    /// The certificate authority of the modes with TLS.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
