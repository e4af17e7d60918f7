//! `notify.github` becomes a policy.

use super::keys::Github;
use super::policy::GithubPolicy;
use crate::channels::channel::Configured;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::Route;
use crate::yaml::scope::{Origin, Scope};
use lowtide_model::defaults;

impl Configured for GithubPolicy {
    fn read(check: &mut Check<'_>, keys: &Github) -> Option<Self> {
        let base = Route::keys("notify.github");
        let top = Scope::new(vec![(Origin::Fleet, Route::default())]);
        let token = check.secret(&top, &base.key("token"), keys.token.as_ref());
        if keys.token.is_none() {
            let scope = Scope::new(vec![(Origin::Fleet, base.clone())]);
            check.missing(&scope, &Route::keys("token"), "write `token: { env: GITHUB_TOKEN }`");
        }
        let api = keys.api.as_ref().map_or(defaults::GITHUB_API, |text| text.0.as_str());
        check.https(&top, &base.key("api"), api);
        Some(Self {
            token: token?,
            api: api.trim_end_matches('/').to_owned(),
        })
    }
}
