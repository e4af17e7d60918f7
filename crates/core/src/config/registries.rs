//! How registries are reached: by host, or by host and the beginning of a path for a credential of its own.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use crate::yaml::url::host_port;
use lowtide_model::image::is_path;
use lowtide_model::policy::RegistryAccess;
use std::collections::BTreeMap;

impl Check<'_> {
    pub(super) fn registries(
        &mut self,
        top: &Scope,
        raw: &BTreeMap<String, raw::Registry>,
    ) -> BTreeMap<String, RegistryAccess> {
        let mut out = BTreeMap::new();
        for (key, raw) in raw {
            let rest = Route::keys("registries").key(key);
            let part = self.registry_key(top, &rest, key);
            let password = self.secret(top, &rest.key("password"), raw.password.as_ref());
            self.both(top, &rest, raw.username.is_some(), raw.password.is_some());
            if let Some(host) = part {
                self.part_of_registry(top, &rest, host, raw);
            }
            let access = RegistryAccess {
                username: raw.username.as_ref().map(|text| text.0.clone()),
                password,
                plain_http: raw.plain_http.unwrap_or(false),
            };
            out.insert(key.clone(), access);
        }
        out
    }

    /// The host, if the key stands for part of its registry.
    fn registry_key<'k>(&mut self, top: &Scope, rest: &Route, key: &'k str) -> Option<&'k str> {
        let (host, path) = key
            .split_once('/')
            .map_or((key, None), |(host, path)| (host, Some(path)));
        if host_port(host).is_some() && path.is_none_or(is_path) {
            return path.map(|_| host);
        }
        let message = format!(
            "`{}` is neither a registry nor the beginning of a repository's name",
            shown(key)
        );
        let hint = "write the host, with its port if it has one, and as much of the path as the credential is for: \
                    `ghcr.io`, `localhost:5000`, `ghcr.io/acme/dev`";
        self.report(top, rest, Problem::new("bad-name", message).hint(hint));
        None
    }

    /// Part of a registry can have a credential of its own, and nothing else.
    fn part_of_registry(&mut self, top: &Scope, rest: &Route, host: &str, raw: &raw::Registry) {
        if raw.plain_http.is_some() {
            let message = "`plain_http` is for a whole registry, not for part of one";
            let hint = format!("write it at `registries.{}`", shown(host));
            self.report(
                top,
                &rest.key("plain_http"),
                Problem::new("not-supported", message).hint(hint),
            );
        }
        let given = [raw.username.is_some(), raw.password.is_some(), raw.plain_http.is_some()];
        if given.iter().all(|given| !given) {
            let problem = Problem::new("missing-key", format!("`{rest}` has no credential"));
            self.report(
                top,
                rest,
                problem.hint("give it `username` and `password`, or take it out"),
            );
        }
    }
}
