//! `notify.github` becomes a policy.

use super::keys::{self, Github};
use super::policy::GithubPolicy;
use crate::channels::channel::Configured;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::Route;
use crate::yaml::scope::{Origin, Scope};
use lowtide_model::defaults;
use lowtide_model::github::{GithubApp, GithubLogin};

impl Configured for GithubPolicy {
    fn read(check: &mut Check<'_>, keys: &Github) -> Option<Self> {
        let base = Route::keys("notify.github");
        let top = Scope::new(vec![(Origin::Fleet, Route::default())]);
        let login = login(check, keys);
        let api = keys.api.as_ref().map_or(defaults::GITHUB_API, |text| text.0.as_str());
        check.https(&top, &base.key("api"), api);
        Some(Self {
            login: login?,
            api: api.trim_end_matches('/').to_owned(),
            deployments: keys.deployments.unwrap_or(true),
        })
    }
}

fn login(check: &mut Check<'_>, keys: &Github) -> Option<GithubLogin> {
    let base = Route::keys("notify.github");
    let top = Scope::new(vec![(Origin::Fleet, Route::default())]);
    match (&keys.token, &keys.app) {
        (Some(_), Some(_)) => {
            check.exclusive(
                &Scope::new(vec![(Origin::Fleet, base)]),
                &Route::keys("token"),
                &Route::keys("app"),
            );
            None
        }
        (None, Some(app)) => app_login(check, app),
        (token, None) => {
            let read = check.secret(&top, &base.key("token"), token.as_ref());
            if token.is_none() {
                let scope = Scope::new(vec![(Origin::Fleet, base.clone())]);
                let hint = "write `token: { env: GITHUB_TOKEN }`, or `app: { id: 123456, key: { file: /run/secrets/github.pem } }`";
                check.missing(&scope, &Route::keys("token"), hint);
            }
            read.map(GithubLogin::Token)
        }
    }
}

fn app_login(check: &mut Check<'_>, app: &keys::GithubApp) -> Option<GithubLogin> {
    let base = Route::keys("notify.github.app");
    let top = Scope::new(vec![(Origin::Fleet, Route::default())]);
    let scope = Scope::new(vec![(Origin::Fleet, base.clone())]);
    if app.id.is_none() {
        let hint = "write the App ID, a number on the App's settings page: `id: 123456`";
        check.missing(&scope, &Route::keys("id"), hint);
    }
    let key = check.secret(&top, &base.key("key"), app.key.as_ref());
    if app.key.is_none() {
        let hint = "write `key: { file: /run/secrets/github.pem }`: GitHub makes that file on the App's settings page";
        check.missing(&scope, &Route::keys("key"), hint);
    }
    Some(GithubLogin::App(GithubApp { id: app.id?, key: key? }))
}
