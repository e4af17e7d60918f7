//! `package_repositories`: how package repositories are reached.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route};
use crate::yaml::scope::Scope;
use lowtide_model::policy::ArchivePolicy;
use std::collections::BTreeMap;

impl Check<'_> {
    pub(super) fn package_repositories(&mut self, top: &Scope, raw: &raw::PackageRepositories) -> ArchivePolicy {
        let here = Route::keys("package_repositories");
        let proxy = raw.proxy.as_ref();
        let proxy = proxy.and_then(|text| self.web(top, &here.key("proxy"), &text.0, "http://proxy.example.org:3128"));
        let mut mirrors = BTreeMap::new();
        for (from, to) in &raw.mirrors {
            let rest = here.key("mirrors").key(from);
            let example = "http://deb.debian.org/debian: https://mirror.example.org/debian";
            if let (Some(from), Some(to)) = (
                self.web(top, &rest, from, example),
                self.web(top, &rest, &to.0, example),
            ) {
                mirrors.insert(from, to);
            }
        }
        ArchivePolicy { proxy, mirrors }
    }

    fn web(&mut self, top: &Scope, rest: &Route, text: &str, example: &str) -> Option<String> {
        let after = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let host = after
            .and_then(|after| after.split('/').next())
            .filter(|host| !host.is_empty());
        let problem = match host {
            // Not shown: what stands there is a password.
            Some(host) if host.contains('@') => {
                Problem::new("literal-secret", format!("`{rest}` has a user name or password in it"))
                    .hint("give lowtide an address that needs none: what stands here is shown in many places")
            }
            Some(_) => return Some(text.to_owned()),
            None => Problem::new("bad-url", format!("`{rest}` is not an http(s) address"))
                .hint(format!("write it like `{example}`")),
        };
        self.report(top, rest, problem);
        None
    }
}
