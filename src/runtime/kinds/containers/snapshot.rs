//! A container as it was before anything was touched: what a new one is made from, and what a revert goes back to.

use super::inject::InjectedFile;
use super::tag::LocalTag;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::hide::secrets_in;
use lowtide_model::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of a file that is looked for in a log; nobody logs more of one.
const LONGEST: usize = 64 << 10;
/// Where compose and Swarm put secrets.
const SECRETS: &str = "/run/secrets/";

/// Raw bodies, as the engine wrote them. They hold the container's environment, so they are sealed wherever they are
/// stored.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Inspect body of the container.
    pub container: Value,
    /// `Config` of the image it was made from: without it nobody can tell what the user set from what the image brought.
    pub image_config: Value,
    /// What was put into it before its start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InjectedFile>,
    /// The tag compose would make it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<LocalTag>,
    /// Minor version of the engine's newest API: what the bodies mean depends on it. 0 where it was not queried.
    #[serde(default)]
    pub api: u32,
    /// The engine cannot change a restart policy later.
    #[serde(default)]
    pub fixed_restart: bool,
}

impl Snapshot {
    /// # Errors
    /// Never for a value that came from JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// # Errors
    /// Bytes that [`Snapshot::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// One that was sealed.
    ///
    /// # Errors
    /// `Invariant` for bytes that [`Snapshot::to_bytes`] did not write.
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        // Not the parser's own words: they may quote what is sealed.
        Self::from_bytes(bytes).map_err(|_| Failure::new(FailureKind::Invariant, "the snapshot cannot be read"))
    }

    /// Values given to the container that its log must not carry further: of variables whose names say so, passwords in
    /// addresses (RFC 3986 §3.2.1), and lines of files below `/run/secrets`. Longest first, so that none hides a part of
    /// another.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let entries = self.container["Config"]["Env"].as_array().into_iter().flatten();
        let pairs = entries.filter_map(|entry| entry.as_str()?.split_once('='));
        let secrets = self.files.iter().filter(|file| file.path.starts_with(SECRETS));
        let lines = secrets.filter(|file| file.bytes().len() <= LONGEST).flat_map(|file| {
            let text = String::from_utf8_lossy(&file.bytes()).into_owned();
            text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        });
        secrets_in(pairs, lines)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot(…{})", super::json::name(&self.container))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::hide::masked;
    use serde_json::json;

    #[test]
    fn a_log_is_reported_without_what_the_container_was_given() {
        let environment = [
            "DB_PASSWORD=tide-secret",
            "db_password_old=tide-secret-2",
            "DATABASE_URL=postgres://app:p%40ssw0rd@db/app?x=@y",
            "HOMEPAGE=https://example.org/@me",
            "SHORT_TOKEN=abc",
            "EMPTY_SECRET=",
            "MODE=production",
        ];
        let snapshot = Snapshot {
            container: json!({"Config": {"Env": environment}}),
            image_config: Value::Null,
            files: vec![],
            tag: None,
            api: 45,
            fixed_restart: false,
        };
        let log = "cannot log in as app:p%40ssw0rd with tide-secret-2, then tide-secret, abc, in production";
        insta::assert_snapshot!(
            masked(log, &snapshot.secrets()),
            @"cannot log in as app:[hidden] with [hidden], then [hidden], abc, in production"
        );
    }

    #[test]
    fn a_snapshot_of_an_earlier_version_is_read() {
        let read = Snapshot::from_bytes(br#"{"container": {"Name": "/web"}, "image_config": null}"#).unwrap();
        assert_eq!((read.files, read.tag, read.api), (vec![], None, 0));
    }
}
