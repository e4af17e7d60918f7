//! How registries are reached: by host, or by host and the beginning of a path for a credential of its own.

use super::raw;
use crate::fleet::app::App;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use crate::yaml::url::host_port;
use lowtide_model::image::is_path;
use lowtide_model::name::AppName;
use lowtide_model::policy::{PublishPolicy, RegistryAccess};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Check<'_> {
    pub(super) fn registries(
        &mut self,
        top: &Scope,
        raw: &BTreeMap<String, raw::Registry>,
    ) -> BTreeMap<String, RegistryAccess> {
        let mut out = BTreeMap::new();
        let mirrored = |name: &str| raw.get(name).is_some_and(|registry| registry.mirror.is_some());
        for (key, raw) in raw {
            let rest = Route::keys("registries").key(key);
            let part = self.registry_key(top, &rest, key);
            let password = self.secret(top, &rest.key("password"), raw.password.as_ref());
            self.both(top, &rest, raw.username.is_some(), raw.password.is_some());
            if let Some(host) = part {
                self.part_of_registry(top, &rest, host, raw);
            }
            let mirror = raw.mirror.as_ref().map(|text| text.0.trim_end_matches('/').to_owned());
            if let Some(mirror) = &mirror {
                self.mirror(top, &rest.key("mirror"), (key, mirror), &mirrored);
            }
            let access = RegistryAccess {
                username: raw.username.as_ref().map(|text| text.0.clone()),
                password,
                plain_http: raw.plain_http.unwrap_or(false),
                mirror,
            };
            out.insert(key.clone(), access);
        }
        out
    }

    /// What was pushed is read back where it was pushed, so a registry that an app pushes to has no mirror.
    pub(super) fn mirrors_are_read_only(
        &mut self,
        top: &Scope,
        registries: &BTreeMap<String, RegistryAccess>,
        apps: &BTreeMap<AppName, Arc<App>>,
    ) {
        for (key, _) in registries.iter().filter(|(_, access)| access.mirror.is_some()) {
            let pushed = apps.values().find_map(|app| {
                let mut pushed = app.publish.iter().flat_map(PublishPolicy::pushed);
                let pushed = pushed.find(|repository| repository.registry == *key)?;
                Some((&app.name, pushed))
            });
            if let Some((app, repository)) = pushed {
                let message = format!("`{}` has a mirror, and {app} pushes to {repository}", shown(key));
                let hint = "take the mirror out: lowtide has to read what it pushed where it pushed it";
                let at = Route::keys("registries").key(key).key("mirror");
                self.report(top, &at, Problem::new("not-supported", message).hint(hint));
            }
        }
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

    /// A mirror is read once: one of a mirror, or of itself, would have no end.
    fn mirror(&mut self, top: &Scope, at: &Route, (key, mirror): (&str, &str), mirrored: &dyn Fn(&str) -> bool) {
        self.note(top, at, mirror.to_owned());
        let (host, path) = mirror
            .split_once('/')
            .map_or((mirror, None), |(host, path)| (host, Some(path)));
        if host_port(host).is_none() || !path.is_none_or(is_path) {
            let message = format!(
                "`{}` is neither a registry nor the beginning of a repository's name",
                shown(mirror)
            );
            let hint = "write `mirror.example.org`, or `mirror.example.org/hub` if it has a path for this registry";
            return self.report(top, at, Problem::new("bad-name", message).hint(hint));
        }
        if host == key || mirrored(host) {
            let message = format!("`{}` has a mirror itself", shown(host));
            let hint = "name the registry that is read in the end";
            self.report(top, at, Problem::new("not-supported", message).hint(hint));
        }
    }

    /// Part of a registry can have a credential of its own, and nothing else.
    fn part_of_registry(&mut self, top: &Scope, rest: &Route, host: &str, raw: &raw::Registry) {
        let whole = [
            ("plain_http", raw.plain_http.is_some()),
            ("mirror", raw.mirror.is_some()),
        ];
        for (name, _) in whole.into_iter().filter(|(_, given)| *given) {
            let message = format!("`{name}` is for a whole registry, not for part of one");
            let hint = format!("write it at `registries.{}`", shown(host));
            self.report(top, &rest.key(name), Problem::new("not-supported", message).hint(hint));
        }
        let given = whole.into_iter().any(|(_, given)| given);
        if !given && raw.username.is_none() && raw.password.is_none() {
            let problem = Problem::new("missing-key", format!("`{rest}` has no credential"));
            self.report(
                top,
                rest,
                problem.hint("give it `username` and `password`, or take it out"),
            );
        }
    }
}
