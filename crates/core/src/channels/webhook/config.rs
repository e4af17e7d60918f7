//! `notify.webhook` becomes a policy.

use super::keys::Webhook;
use super::policy::WebhookPolicy;
use crate::channels::channel::Configured;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::Route;
use crate::yaml::scope::{Origin, Scope};

impl Configured for WebhookPolicy {
    fn read(check: &mut Check<'_>, keys: &Webhook) -> Option<Self> {
        let base = Route::keys("notify.webhook");
        let top = Scope::new(vec![(Origin::Fleet, Route::default())]);
        let scope = Scope::new(vec![(Origin::Fleet, base.clone())]);
        match &keys.url {
            Some(url) => check.https(&top, &base.key("url"), &url.0),
            None => check.missing(
                &scope,
                &Route::keys("url"),
                "write `url: https://hooks.example.org/lowtide`",
            ),
        }
        let secret = check.secret(&top, &base.key("secret"), keys.secret.as_ref());
        if keys.secret.is_none() {
            let hint = "write `secret: { env: LOWTIDE_WEBHOOK }`; `echo whsec_$(openssl rand -base64 32)` makes one";
            check.missing(&scope, &Route::keys("secret"), hint);
        }
        Some(Self {
            url: keys.url.as_ref()?.0.clone(),
            secret: secret?,
        })
    }
}
