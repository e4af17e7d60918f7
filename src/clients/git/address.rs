//! What a remote's address may be.

use super::error::GitError;

/// A remote address that git may be given: never an option, never a command (`ext::`), never with a password in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    pub(super) protocol: Protocol,
    /// `user@`, host and `:port` as written; empty for files.
    authority: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Https,
    Http,
    Ssh,
    Git,
    File,
}

impl Protocol {
    /// As `GIT_ALLOW_PROTOCOL` lists them. A plain HTTP remote may send us on to HTTPS.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Protocol::Https => "https",
            Protocol::Http => "http:https",
            Protocol::Ssh => "ssh",
            Protocol::Git => "git",
            Protocol::File => "file",
        }
    }
}

impl Address {
    /// Reads `https://`, `http://`, `ssh://`, `git://`, `file://`, scp-like `[user@]host:path` and absolute paths.
    ///
    /// # Errors
    /// `Address`, with the reason.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let refuse = |why| GitError::Address { url: shown(text), why };
        if text.starts_with('-') {
            return Err(refuse("it begins with '-'"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(refuse("it contains white space or control characters"));
        }
        let (protocol, authority) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let protocol = match scheme.to_ascii_lowercase().as_str() {
                    "https" => Protocol::Https,
                    "http" => Protocol::Http,
                    "ssh" => Protocol::Ssh,
                    "git" => Protocol::Git,
                    "file" => Protocol::File,
                    _ => return Err(refuse("its protocol is none of https, http, ssh, git and file")),
                };
                (protocol, rest.split('/').next().unwrap_or_default())
            }
            None if text.starts_with('/') => (Protocol::File, ""),
            None => match text.split_once(':') {
                Some((host, path)) if !host.contains('/') && !path.starts_with(':') => (Protocol::Ssh, host),
                Some(_) | None => return Err(refuse("it is neither an address nor an absolute path")),
            },
        };
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return Err(refuse("it contains a password; use `token`"));
        }
        if user.starts_with('-') || host.starts_with('-') {
            return Err(refuse("its host begins with '-'"));
        }
        if host.is_empty() != (protocol == Protocol::File) {
            return Err(refuse("a file has no host, all others need one"));
        }
        Ok(Self {
            text: text.to_owned(),
            protocol,
            authority: authority.to_owned(),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Protocol, host and port: credentials are for this and nothing else. `None` for files.
    pub(super) fn origin(&self) -> Option<String> {
        let scheme = match self.protocol {
            Protocol::Https => "https",
            Protocol::Http => "http",
            Protocol::Ssh => "ssh",
            Protocol::Git => "git",
            Protocol::File => return None,
        };
        Some(format!("{scheme}://{}", self.host_and_port().to_ascii_lowercase()))
    }

    pub(super) fn is_loopback(&self) -> bool {
        let authority = self.host_and_port();
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        let ip = host.parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// A submodule's `url`, read beside this address when it begins with `./` or `../` (gitmodules(5)).
    ///
    /// # Errors
    /// `Address` when the result is none, or climbs above the host.
    pub(super) fn relative(&self, url: &str) -> Result<Self, GitError> {
        if !url.starts_with("./") && !url.starts_with("../") {
            return Self::parse(url);
        }
        let mut base = self.text.trim_end_matches('/');
        let mut rest = url;
        loop {
            if let Some(next) = rest.strip_prefix("./") {
                rest = next;
            } else if let Some(next) = rest.strip_prefix("../") {
                rest = next;
                base = base.rfind(['/', ':']).map_or("", |at| &base[..at]);
            } else {
                break;
            }
        }
        // What was cut at the colon of an scp-like address gets its colon back.
        let joint = if self.text[base.len()..].starts_with(':') {
            ':'
        } else {
            '/'
        };
        let joined = Self::parse(&format!("{base}{joint}{rest}"))?;
        if joined.origin() == self.origin() {
            return Ok(joined);
        }
        Err(GitError::Address {
            url: shown(url),
            why: "it climbs above its host",
        })
    }

    fn host_and_port(&self) -> &str {
        self.authority
            .rsplit_once('@')
            .map_or(&self.authority, |(_, host)| host)
    }
}

/// Fit for people and logs: without what stands before an `@`, without control characters.
pub(super) fn shown(url: &str) -> String {
    let clean: String = url.chars().filter(|c| !c.is_control()).take(300).collect();
    match clean.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => clean,
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_an_origin() {
        for (text, origin) in [
            ("https://git.example.org/a.git", Some("https://git.example.org")),
            (
                "https://bot@Git.example.org:8443/a",
                Some("https://git.example.org:8443"),
            ),
            (
                "ssh://git@git.example.org:2222/a.git",
                Some("ssh://git.example.org:2222"),
            ),
            ("git@git.example.org:group/a.git", Some("ssh://git.example.org")),
            ("git.example.org:a", Some("ssh://git.example.org")),
            ("git://git.example.org/a", Some("git://git.example.org")),
            ("file:///srv/a.git", None),
            ("/srv/a.git", None),
        ] {
            assert_eq!(Address::parse(text).unwrap().origin().as_deref(), origin, "{text}");
        }
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for text in [
            "",
            "-oProxyCommand=x:y",
            "--upload-pack=x",
            "ext::sh -c id",
            "ext::id",
            "fd::1",
            "ftp://git.example.org/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://-u@git.example.org/a",
            "https://git.example.org/a\nb",
            "https:///a",
            "file://host/a",
            "relative/path",
            "./a",
        ] {
            assert!(
                matches!(Address::parse(text), Err(GitError::Address { .. })),
                "{text:?}"
            );
        }
        let error = Address::parse("https://bot:hunter2@git.example.org/a").unwrap_err();
        insta::assert_snapshot!(error, @"https://git.example.org/a is not an address lowtide uses: it contains a password; use `token`");
    }

    #[test]
    fn relative_addresses_stay_on_their_host() {
        let relative = |base: &str, url: &str| {
            let found = Address::parse(base).unwrap().relative(url);
            found.map(|a| a.text).map_err(|e| e.to_string())
        };
        let https = "https://git.example.org/group/app.git";
        assert_eq!(
            relative(https, "../lib.git").unwrap(),
            "https://git.example.org/group/lib.git"
        );
        assert_eq!(
            relative(https, "../../other/lib").unwrap(),
            "https://git.example.org/other/lib"
        );
        assert_eq!(
            relative(https, "./sub").unwrap(),
            "https://git.example.org/group/app.git/sub"
        );
        assert_eq!(relative("git@h:app.git", "../lib.git").unwrap(), "git@h:lib.git");
        assert_eq!(relative("git@h:g/app.git", "../lib.git").unwrap(), "git@h:g/lib.git");
        assert_eq!(
            relative("file:///srv/app.git", "../lib.git").unwrap(),
            "file:///srv/lib.git"
        );
        assert!(relative(https, "../../../evil.example.org/x").is_err());
        assert!(relative(https, "../../../../evil").is_err());
        assert!(relative("git@h:app.git", "../../evil:x").is_err());
    }

    #[test]
    fn loopback_is_reported_apart() {
        for (text, loopback) in [
            ("http://127.0.0.1:80/a", true),
            ("http://[::1]:80/a", true),
            ("http://localhost/a", true),
            ("http://localhost.example.org/a", false),
            ("http://127.0.0.1@git.example.org/a", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
