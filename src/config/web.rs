//! How pages are served over HTTP.

use super::check::Check;
use super::diagnostic::{Problem, Route, shown};
use super::raw;
use super::scope::Scope;
use crate::model::fleet::WebPolicy;

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
