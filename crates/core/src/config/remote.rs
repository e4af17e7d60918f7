//! Addresses of other systems: git remotes, mail servers, API bases, registries, engines. None may carry credentials.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw as shared;
use crate::yaml::scope::Scope;
use crate::yaml::url::{host_port, url_problem};
use lowtide_model::defaults;
use lowtide_model::policy::{GitRef, Source};

impl Check<'_> {
    pub(super) fn source(&mut self, scope: &Scope, raw: &raw::Source) -> Source {
        let at = |key: &str| Route::keys("source").key(key);
        let repo = raw.repo.as_ref().map(|text| text.0.clone()).unwrap_or_default();
        match &raw.repo {
            Some(text) => self.remote(scope, &at("repo"), &text.0),
            None if raw.tags.is_some() && self.locate(&scope.alone(), &at("tags")).is_some() => self.missing(
                scope,
                &at("image"),
                "write `source: { image: docker.io/library/postgres, tags: \"16.*\" }`",
            ),
            None => self.missing(
                scope,
                &at("repo"),
                "write `source: { repo: https://… }`, or `image` and `tags` for an image that others build",
            ),
        }
        self.note(scope, &at("repo"), repo.clone());
        let path = |check: &mut Self, key: &str, raw: Option<&shared::Text>, default: &str| {
            let text = raw.map_or(default, |text| text.0.as_str());
            check.inside(scope, &at(key), text);
            check.note(scope, &at(key), if text.is_empty() { "." } else { text });
            if text == "." {
                String::new()
            } else {
                text.trim_end_matches('/').to_owned()
            }
        };
        let context = path(self, "context", raw.context.as_ref(), "");
        let dockerfile = path(self, "dockerfile", raw.dockerfile.as_ref(), defaults::DOCKERFILE);
        let token = self.secret(scope, &at("token"), raw.token.as_ref());
        if token.is_some() && !repo.is_empty() && !repo.starts_with("http") {
            let problem = Problem::new("bad-url", "`source.token` is for https remotes");
            self.report(scope, &at("token"), problem.hint("ssh remotes take `ssh_key`"));
        }
        let ssh_key = self.secret(scope, &at("ssh_key"), raw.ssh_key.as_ref());
        if ssh_key.is_some() && (repo.starts_with("http") || repo.starts_with("file:")) {
            let problem = Problem::new("bad-url", "`source.ssh_key` is for ssh remotes");
            self.report(
                scope,
                &at("ssh_key"),
                problem.hint("https remotes take `username` and `token`"),
            );
        }
        self.note(scope, &at("submodules"), raw.submodules.unwrap_or(false).to_string());
        Source {
            git_ref: self.git_ref(scope, raw),
            context,
            dockerfile,
            submodules: raw.submodules.unwrap_or(false),
            username: raw.username.as_ref().map(|text| text.0.clone()),
            token,
            ssh_key,
            timeout: self.limit(scope, "source.timeout", raw.timeout.as_ref(), defaults::SOURCE_TIMEOUT),
            max_size: self.size(
                scope,
                "source.max_size",
                raw.max_size.as_ref(),
                defaults::SOURCE_MAX_SIZE,
            ),
            repo,
        }
    }

    fn git_ref(&mut self, scope: &Scope, raw: &raw::Source) -> GitRef {
        let at = |key: &str| Route::keys("source").key(key);
        let given = [("branch", &raw.branch), ("tag", &raw.tag), ("commit", &raw.commit)];
        let mut given = given
            .into_iter()
            .filter_map(|(key, text)| text.as_ref().map(|text| (key, text.0.clone())));
        let Some((key, text)) = given.next() else {
            self.note(scope, &at("branch"), "HEAD of the remote");
            return GitRef::Head;
        };
        if let Some((other, _)) = given.next() {
            self.exclusive(scope, &at(key), &at(other));
        }
        self.note(scope, &at(key), text.clone());
        if key == "commit" {
            let good =
                matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if !good {
                let problem = Problem::new("bad-ref", format!("`{}` is not a full commit id", shown(&text)));
                self.report(
                    scope,
                    &at(key),
                    problem.hint("write all 40 lower-case hex digits: `git rev-parse HEAD`"),
                );
            }
            return GitRef::Commit(text);
        }
        if !is_ref(&text) {
            let problem = Problem::new("bad-ref", format!("`{}` cannot be the name of a {key}", shown(&text)));
            let hint = if text.starts_with("refs/") {
                "leave `refs/heads/` or `refs/tags/` out"
            } else {
                "see `git check-ref-format`"
            };
            self.report(scope, &at(key), problem.hint(hint));
        }
        if key == "tag" {
            GitRef::Tag(text)
        } else {
            GitRef::Branch(text)
        }
    }

    fn remote(&mut self, scope: &Scope, rest: &Route, text: &str) {
        let problem = match text.split_once("://") {
            Some((scheme, tail)) => {
                url_problem(scheme, tail, &["https", "ssh", "file"]).or_else(|| match (scheme, tail) {
                    ("file", tail) if !tail.starts_with('/') => Some(
                        Problem::new("bad-url", "a file remote has an absolute path")
                            .hint("write `file:///srv/git/app.git`"),
                    ),
                    _ if tail.trim_matches('/').is_empty()
                        || (scheme != "file" && !tail.trim_end_matches('/').contains('/')) =>
                    {
                        Some(Problem::new(
                            "bad-url",
                            format!("`{}` names no repository", shown(text)),
                        ))
                    }
                    _ => None,
                })
            }
            // `ext::` and the like make git run programs; a leading dash would be an option.
            None if text.contains("::") || text.starts_with('-') => Some(
                Problem::new("bad-url", format!("`{}` is not a git remote", shown(text)))
                    .hint("use https, ssh or file"),
            ),
            None if is_scp_like(text) => None,
            None if text.starts_with('/') => Some(
                Problem::new("bad-url", "a path alone is not a remote").hint(format!("write `file://{}`", shown(text))),
            ),
            None => Some(
                Problem::new("bad-url", format!("`{}` is not a git remote", shown(text)))
                    .hint("write `https://host/path.git`, `git@host:path.git` or `file:///path`"),
            ),
        };
        let spaced = || Problem::new("bad-url", "a remote holds no white space");
        let problem = problem.or_else(|| text.contains(char::is_whitespace).then(spaced));
        if let Some(problem) = problem {
            self.report(scope, rest, problem);
        }
    }

    /// A path inside the repository.
    pub(super) fn inside(&mut self, scope: &Scope, rest: &Route, text: &str) {
        if text.starts_with('/') || text.split('/').any(|part| part == "..") || text.contains(['\\', '\0', '\n']) {
            let problem = Problem::new("bad-path", format!("`{}` leaves the repository", shown(text)));
            self.report(
                scope,
                rest,
                problem.hint("write a path below the repository's root, without `..`"),
            );
        }
    }
}

/// `git@host:path`, as git reads it: a colon before the first slash.
fn is_scp_like(text: &str) -> bool {
    let Some((front, path)) = text.split_once(':') else {
        return false;
    };
    let host = front.rsplit('@').next().unwrap_or_default();
    !front.contains('/') && front.matches('@').count() <= 1 && host_port(host).is_some() && !path.is_empty()
}

/// The part of git-check-ref-format(1) that people trip over.
fn is_ref(text: &str) -> bool {
    let component = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !text.starts_with(['-', '/'])
        && !text.starts_with("refs/")
        && !text.ends_with(['.', '/'])
        && text != "@"
        && !text.contains("..")
        && !text.contains("@{")
        && !text.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
        && text.split('/').all(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_as_git_and_scp_write_it() {
        for place in [
            "git@host:path",
            "host:path",
            "host:/path",
            "git@host.example.org:group/web.git",
        ] {
            assert!(is_scp_like(place), "{place}");
        }
        for other in [
            "git@host:",
            "git@host",
            "host/a:b",
            "a@b@host:path",
            ":path",
            "git@:path",
            "",
        ] {
            assert!(!is_scp_like(other), "{other}");
        }
    }
}
