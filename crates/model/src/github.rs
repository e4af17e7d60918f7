//! As whom lowtide is known to GitHub, and how GitHub names a repository.

use crate::secret::SecretRef;
use serde::{Deserialize, Serialize};

/// As whom lowtide writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GithubLogin {
    /// A personal access token.
    Token(SecretRef),
    App(GithubApp),
}

/// A GitHub App. Each account that installed it gets tokens of its own, and only an App may write check runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubApp {
    pub id: u64,
    /// PEM of its RSA private key.
    pub key: SecretRef,
}

/// The repository of a source that is on the host of this API. An Enterprise server's API is below its own host, or on a
/// host of its own named `api.` (GitHub Enterprise Cloud with data residency).
#[must_use]
pub fn repo_on(api: &str, source: &str) -> Option<String> {
    let (scheme, rest) = api.split_once("://")?;
    let host = rest.split('/').next()?;
    let host = host.strip_prefix("api.").unwrap_or(host);
    let tail = [
        format!("{scheme}://{host}/"),
        format!("ssh://git@{host}/"),
        format!("git@{host}:"),
    ]
    .iter()
    .find_map(|prefix| source.strip_prefix(prefix.as_str()))?;
    let tail = tail.trim_end_matches('/');
    let repo = tail.strip_suffix(".git").unwrap_or(tail);
    is_github_repo(repo).then(|| repo.to_owned())
}

/// `owner/name`?
#[must_use]
pub fn is_github_repo(text: &str) -> bool {
    let part = |p: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        // Both would be taken for a step in the path of a request.
        !p.is_empty() && p != "." && p != ".." && p.bytes().all(known)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| part(owner) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_on_the_api_s_own_host_names_its_repository() {
        let cloud = "https://api.github.com";
        let server = "https://github.example.org/api/v3";
        for (api, source, repo) in [
            (cloud, "https://github.com/example/web.git", Some("example/web")),
            (cloud, "https://github.com/example/web/", Some("example/web")),
            (cloud, "git@github.com:example/web.git", Some("example/web")),
            (cloud, "ssh://git@github.com/example/web", Some("example/web")),
            (cloud, "https://github.example.org/example/web", None),
            (cloud, "https://github.com/example", None),
            (cloud, "https://github.com/../web", None),
            (cloud, "file:///srv/web.git", None),
            (server, "https://github.example.org/example/web", Some("example/web")),
            (server, "https://github.com/example/web", None),
            (
                "https://api.octo.ghe.com",
                "https://octo.ghe.com/example/web",
                Some("example/web"),
            ),
        ] {
            assert_eq!(repo_on(api, source).as_deref(), repo, "{api} {source}");
        }
    }
}
