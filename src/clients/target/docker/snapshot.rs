//! A container as it was before anything was touched: what a new one is made from, and what a revert goes back to.

use crate::model::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// In the name of a variable: its value is a secret. What people use, as `docker inspect` shows it everywhere.
const TELLING: [&str; 8] = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "DSN", "PRIVATE"];
/// A shorter value would be found in half of all lines.
const SHORTEST: usize = 6;

/// Raw bodies, as the engine wrote them. They hold the container's environment, so they are sealed wherever they are kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Inspect body of the container.
    pub container: Value,
    /// `Config` of the image it was made from: without it nobody can tell what the user set from what the image brought.
    pub image_config: Value,
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

    /// Values in the container's environment that its log must not carry further: of variables whose names say so, and
    /// passwords in addresses (RFC 3986 §3.2.1). Longest first, so that none hides a part of another.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let entries = self.container["Config"]["Env"].as_array().into_iter().flatten();
        let pairs = entries.filter_map(|entry| entry.as_str()?.split_once('='));
        let mut values: Vec<&str> = pairs
            .flat_map(|(name, value)| [tells(name).then_some(value), password(value)])
            .flatten()
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        values.into_iter().map(|value| Secret::new(value.to_owned())).collect()
    }
}

fn tells(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    TELLING.iter().any(|telling| name.contains(telling))
}

/// Of `scheme://user:password@host`.
fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (userinfo, _) = authority.rsplit_once('@')?;
    userinfo.split_once(':').map(|(_, password)| password)
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot(…{})", super::json::name(&self.container))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::masked;
    use serde_json::json;

    #[test]
    fn a_log_is_told_without_what_the_container_was_given() {
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
        };
        let log = "cannot log in as app:p%40ssw0rd with tide-secret-2, then tide-secret, abc, in production";
        insta::assert_snapshot!(
            masked(log, &snapshot.secrets()),
            @"cannot log in as app:[hidden] with [hidden], then [hidden], abc, in production"
        );
    }
}
