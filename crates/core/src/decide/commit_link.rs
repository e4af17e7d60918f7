//! The web page of a commit, derived from the URL of its git remote where that names a known forge.

/// The page of a commit; `None`: the remote is a file, or a host that is not known to have such pages.
#[must_use]
pub fn link(repo: &str, commit: &str) -> Option<String> {
    let (scheme, authority, path) = parts(repo)?;
    // People click this link, so only characters that occur in such names are allowed.
    let host = authority.split(':').next().unwrap_or_default();
    let path = path.trim_matches('/').trim_end_matches(".git");
    let fine = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if !fine(authority, ".-:") || !fine(path, "._-/~") || !path.contains('/') || !fine(commit, "") {
        return None;
    }
    let between = commits_of(host)?;
    Some(format!("{scheme}://{authority}/{path}{between}{commit}"))
}

/// Scheme, host with port, and path of the forge's pages. An ssh port is dropped: it is not the port of the web pages.
fn parts(repo: &str) -> Option<(&'static str, &str, &str)> {
    let without_user = |authority: &'_ str| authority.rsplit_once('@').map_or(0, |(user, _)| user.len() + 1);
    let Some((scheme, rest)) = repo.split_once("://") else {
        // scp-like: `git@host:owner/name.git`
        let (authority, path) = repo.split_once(':')?;
        return Some(("https", &authority[without_user(authority)..], path));
    };
    let (authority, path) = rest.split_once('/')?;
    let authority = &authority[without_user(authority)..];
    match scheme {
        "https" => Some(("https", authority, path)),
        "http" => Some(("http", authority, path)),
        "ssh" | "git" => Some(("https", authority.split(':').next().unwrap_or_default(), path)),
        _ => None,
    }
}

/// The path between a repository and a commit id, known from the forge's public host or from a forge's name in the host
/// of a self-hosted one.
fn commits_of(host: &str) -> Option<&'static str> {
    let host = host.to_ascii_lowercase();
    let named = |word: &str| host.split(['.', '-']).any(|label| label == word);
    if named("gitlab") {
        Some("/-/commit/")
    } else if host == "bitbucket.org" {
        Some("/commits/")
    } else if ["github", "gitea", "forgejo", "codeberg"].into_iter().any(named) || host == "git.sr.ht" {
        Some("/commit/")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_a_page_where_its_forge_is_known() {
        for (repo, page) in [
            (
                "https://github.com/example/web.git",
                Some("https://github.com/example/web/commit/3f2a"),
            ),
            (
                "git@github.com:example/web.git",
                Some("https://github.com/example/web/commit/3f2a"),
            ),
            (
                "https://bot@gitlab.com/a/b/web.git",
                Some("https://gitlab.com/a/b/web/-/commit/3f2a"),
            ),
            (
                "ssh://git@gitlab.example.org:2222/a/web",
                Some("https://gitlab.example.org/a/web/-/commit/3f2a"),
            ),
            (
                "https://gitea.example.org:3000/a/web/",
                Some("https://gitea.example.org:3000/a/web/commit/3f2a"),
            ),
            (
                "https://codeberg.org/a/web",
                Some("https://codeberg.org/a/web/commit/3f2a"),
            ),
            (
                "http://forgejo.lan/a/web.git",
                Some("http://forgejo.lan/a/web/commit/3f2a"),
            ),
            ("https://git.sr.ht/~a/web", Some("https://git.sr.ht/~a/web/commit/3f2a")),
            (
                "https://bitbucket.org/a/web.git",
                Some("https://bitbucket.org/a/web/commits/3f2a"),
            ),
            ("https://notgithub.com/a/web.git", None),
            ("https://git.example.org/web.git", None),
            ("file:///srv/git/github.com/web.git", None),
            ("/srv/web.git", None),
            ("https://github.com/web.git", None),
            ("https://github.com/a/web?x=<y>", None),
            ("https://github.com/a/we b", None),
        ] {
            assert_eq!(link(repo, "3f2a").as_deref(), page, "{repo}");
        }
        assert_eq!(link("https://github.com/a/b", "3f2a/../x"), None);
    }
}
