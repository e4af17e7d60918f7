//! A real receiver of webhooks (`webhook_receiver.py`), of one test. `LOWTIDE_TEST_PYTHON` names a Python that has what it needs.

use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The bytes of a key, in Base64.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) struct Receiver {
    child: Child,
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Receiver {
    /// `statuses`: see `webhook_receiver.py`.
    pub(crate) fn start(statuses: &[&str]) -> Self {
        let python = std::env::var("LOWTIDE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let root = env!("CARGO_MANIFEST_DIR");
        let mut child = Command::new(python)
            .arg(format!("{root}/tests/fixtures/webhook_receiver.py"))
            .args([SECRET, &format!("{root}/docs/webhook.schema.json")])
            .args(statuses)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("LOWTIDE_TEST_PYTHON must be a Python with standardwebhooks and jsonschema");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let port = first.strip_prefix("port ").unwrap().parse().unwrap();
        Self { child, port, lines }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/lowtide", self.port)
    }

    /// The next request: `id`, `path`, `payload`, `problems` and `status`, or why it was `refused`. Waits for it.
    pub(crate) fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
