//! How pages are served over HTTP.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use crate::yaml::url::url_problem;
use lowtide_model::policy::{Hooks, PublicUrl, WebPolicy};

impl Check<'_> {
    pub(super) fn pages(&mut self, top: &Scope, raw: &raw::Web) -> WebPolicy {
        let mut names = Vec::new();
        for (index, text) in raw.names.iter().flatten().enumerate() {
            if is_host_name(&text.0) {
                names.push(text.0.to_ascii_lowercase());
            } else {
                let problem = Problem::new("bad-name", format!("{} is not a host name", shown(&text.0)));
                let hint = "write it as a browser sends it, without scheme and port: `lowtide.example.org`";
                self.report(top, &Route::keys("web.names").index(index), problem.hint(hint));
            }
        }
        let here = Route::keys("web.public_url");
        let public_url = raw.public_url.as_ref().and_then(|text| match public_url(&text.0) {
            Ok(url) => {
                names.push(host(&url));
                Some(url)
            }
            Err(problem) => {
                self.report(top, &here, problem);
                None
            }
        });
        let hooks = raw.hooks.as_ref().map_or_else(Hooks::default, |raw| {
            let here = Route::keys("web.hooks");
            Hooks {
                github: self.secret(top, &here.key("github"), raw.github.as_ref()),
                signed: self.secret(top, &here.key("signed"), raw.signed.as_ref()),
            }
        });
        WebPolicy {
            names,
            public_url,
            hooks,
        }
    }
}

/// Plain HTTP is allowed: lowtide only writes this address into messages, and a private network may have no certificate.
fn public_url(text: &str) -> Result<PublicUrl, Problem> {
    let hint = "write where a browser finds the pages, without a query: `https://lowtide.example.org`";
    let not_one = || Problem::new("bad-url", format!("`{}` is not the URL of a page", shown(text))).hint(hint);
    let (scheme, tail) = text.split_once("://").ok_or_else(not_one)?;
    if let Some(problem) = url_problem(scheme, tail, &["https", "http"]) {
        return Err(problem);
    }
    if !tail
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b":/.-_~".contains(&b))
    {
        return Err(not_one());
    }
    Ok(PublicUrl(text.trim_end_matches('/').to_owned()))
}

/// A browser that follows the link asks by this name.
fn host(PublicUrl(url): &PublicUrl) -> String {
    let tail = url.split_once("://").map_or(url.as_str(), |(_, tail)| tail);
    let host = tail.split([':', '/']).next().unwrap_or_default();
    host.to_ascii_lowercase()
}

/// Labels of letters, digits, hyphens and the underscores of Docker's names (RFC 1123, 2.1).
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_what_a_browser_sends() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for name in [
            "lowtide",
            "lowtide.example.org",
            "my_bot-1",
            label.as_str(),
            longest.as_str(),
        ] {
            assert!(is_host_name(name), "{name}");
        }
        let (long, too_long) = (format!("{label}a"), format!("{longest}a"));
        for other in [
            "",
            "a..b",
            ".a",
            "a.",
            "https://a",
            "a:80",
            "a/b",
            "a b",
            "ä",
            long.as_str(),
            too_long.as_str(),
        ] {
            assert!(!is_host_name(other), "{other}");
        }
    }

    #[test]
    fn a_public_url_is_what_a_message_can_hold() {
        for (written, meant) in [
            ("https://lowtide.example.org", Some("https://lowtide.example.org")),
            (
                "https://ops.example.org/lowtide/",
                Some("https://ops.example.org/lowtide"),
            ),
            ("http://lowtide.lan:8080", Some("http://lowtide.lan:8080")),
            ("lowtide.example.org", None),
            ("ftp://lowtide.example.org", None),
            ("https://", None),
            ("https://me:secret@lowtide.example.org", None),
            ("https://lowtide.example.org/?a=b", None),
            ("https://lowtide.example.org/<b>", None),
            ("https://lowtide.example.org/a b", None),
        ] {
            let url = public_url(written).ok();
            assert_eq!(url.as_ref().map(|url| url.0.as_str()), meant, "{written}");
        }
        assert_eq!(host(&PublicUrl("http://Lowtide.lan:8080/a".to_owned())), "lowtide.lan");
    }
}
