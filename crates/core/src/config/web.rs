//! How pages are served over HTTP.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use lowtide_model::policy::WebPolicy;

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
        WebPolicy { names }
    }
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
}
