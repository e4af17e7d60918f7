//! What runs an app's releases.

use super::merge::Over;
use super::raw;
use crate::fleet::app::App;
use crate::kinds::chosen::{Chosen, Claim, Readiness, Within, readiness};
use crate::kinds::kind::TargetSettings;
use crate::kinds::list::TargetPolicy;
use crate::kinds::raw as keys;
use crate::yaml::check::{Check, unknown};
use crate::yaml::diagnostic::{Problem, Route};
use crate::yaml::raw as shared;
use crate::yaml::scope::Scope;
use lowtide_model::defaults;
use lowtide_model::name::{ChannelName, HostName, TargetName};
use lowtide_model::policy::{EngineAddress, PublishPolicy, Ready, ReadyCheck, Unhealthy};

impl Check<'_> {
    /// `raw`: the app's settings with everything inherited.
    pub(super) fn rollout(&mut self, scope: &Scope, raw: &raw::App, app: &App) -> Vec<TargetPolicy> {
        let mut targets: Vec<(usize, TargetPolicy)> = Vec::new();
        for (n, raw_target) in raw.rollout.iter().flatten().enumerate() {
            let here = Route::keys("rollout").index(n);
            let inherited = scope.under(scope.own().join(&here), here.clone());
            let Some(target) = self.target(&inherited, raw_target, raw, app) else {
                continue;
            };
            if let Some((first, _)) = targets.iter().find(|(_, t)| t.settings.name == target.settings.name) {
                let problem = Problem::new(
                    "duplicate-name",
                    format!("two targets of this app are named `{}`", target.settings.name),
                );
                let problem = problem.hint("give one of them a `name` of its own");
                self.twice(scope, problem, &Route::keys("rollout").index(*first), &here);
            }
            targets.push((n, target));
        }
        targets.into_iter().map(|(_, target)| target).collect()
    }

    fn target(&mut self, scope: &Scope, raw: &keys::Target, above: &raw::App, app: &App) -> Option<TargetPolicy> {
        // What a target does not inherit is looked for in the target alone, lest an app's key of the same name be shown.
        let own = scope.alone();
        let chosen = self.kind(&own, raw);
        let channel = self.channel(&own, raw.channel.as_ref(), app.publish.as_ref());
        let window = self.window(scope, raw.window.clone().over(above.window.clone()).as_ref());
        let ready = self.target_ready(scope, raw, above);
        let bake = raw.bake.clone().over(above.bake.clone());
        let bake = self.duration(scope, "bake", bake.as_ref(), defaults::BAKE);
        let irreversible = raw.irreversible.unwrap_or(false);
        self.note(&own, &Route::keys("irreversible"), irreversible.to_string());
        let unhealthy = self.unhealthy(&own, raw.unhealthy);
        let Chosen {
            host,
            kind,
            name,
            claims,
        } = chosen?;
        let name = match &raw.name {
            Some(text) => self.name::<TargetName>(&own, &Route::keys("name"), &text.0)?,
            None => match name.as_deref().and_then(made_name) {
                Some(name) => name,
                None => {
                    self.missing(
                        &own,
                        &Route::keys("name"),
                        "nothing else names this target: write `name: edge`",
                    );
                    return None;
                }
            },
        };
        self.claim(&own, &host, claims);
        let settings = TargetSettings {
            name,
            channel,
            host,
            window,
            ready,
            bake,
            irreversible,
            unhealthy,
        };
        Some(TargetPolicy { settings, kind })
    }

    fn unhealthy(&mut self, own: &Scope, raw: Option<keys::Unhealthy>) -> Unhealthy {
        let unhealthy = match raw {
            None | Some(keys::Unhealthy::Refuse) => Unhealthy::Refuse,
            Some(keys::Unhealthy::Replace) => Unhealthy::Replace,
        };
        self.note(own, &Route::keys("unhealthy"), unhealthy.as_str().to_owned());
        unhealthy
    }

    /// `raw` inherits the app's, unless its kind has a rule of its own.
    fn target_ready(&mut self, scope: &Scope, raw: &keys::Target, above: &raw::App) -> Ready {
        let readiness = readiness(raw);
        if readiness == Readiness::Own {
            let check = ReadyCheck::DEFAULT;
            let timeout = defaults::READY_TIMEOUT;
            return Ready { check, timeout };
        }
        let ready = raw.ready.clone().over(above.ready.clone());
        let ready = self.ready(scope, &Route::keys("ready"), ready.as_ref(), defaults::READY_TIMEOUT);
        if let (Readiness::Awaited, ReadyCheck::Exit { .. }) = (readiness, &ready.check) {
            let problem = Problem::new(
                "not-for-rollouts",
                "`ready.exit` waits for an end, and a rollout moves what keeps running",
            );
            let hint = "give the target a `ready` of its own, or leave out the rollout of an image that ends";
            self.report(scope, &Route::keys("ready.exit"), problem.hint(hint));
        }
        ready
    }

    fn channel(
        &mut self,
        own: &Scope,
        raw: Option<&shared::Text>,
        publish: Option<&PublishPolicy>,
    ) -> Option<ChannelName> {
        let rest = Route::keys("channel");
        let Some(publish) = publish else {
            // A `publish` that is itself wrong has been reported.
            if raw.is_some() && !own.partial && !self.publish_is_wrong(own) {
                let problem = Problem::new("unknown-channel", "the app has no channels: it has no `publish`");
                self.report(
                    own,
                    &rest,
                    problem.hint("take `channel` out: the release is taken from the engine's own store"),
                );
            }
            return None;
        };
        let names: Vec<&str> = publish.channels.iter().map(|c| c.name.as_str()).collect();
        match (raw, publish.channels.as_slice()) {
            (None, [only]) => {
                self.note(own, &rest, only.name.to_string());
                Some(only.name.clone())
            }
            (None, []) => None,
            (None, _) => {
                let problem = Problem::new("missing-key", "which channel's releases does this target run?");
                self.report(
                    own,
                    &rest,
                    problem.hint(format!("add `channel:`, one of {}", crate::yaml::words::list(&names))),
                );
                None
            }
            (Some(text), channels) => {
                self.note(own, &rest, text.0.clone());
                let known = channels.iter().find(|c| c.name.as_str() == text.0);
                if known.is_none() && text.0 == "latest" {
                    let problem = Problem::new(
                        "latest",
                        "`latest` is a tag, not a channel, and says nothing about what it holds",
                    );
                    self.report(
                        own,
                        &rest,
                        problem.hint(format!("the channels are {}", crate::yaml::words::list(&names))),
                    );
                } else if known.is_none() {
                    self.report(own, &rest, unknown("unknown-channel", "channel", &text.0, &names));
                }
                known.map(|c| c.name.clone())
            }
        }
    }

    fn publish_is_wrong(&self, own: &Scope) -> bool {
        let mut app = own.own();
        app.0.truncate(2);
        let publish = app.key("publish");
        self.is_broken(&publish) || self.problems.iter().any(|p| p.route.0.starts_with(&publish.0))
    }

    /// Two apps must not fight over one container.
    fn claim(&mut self, own: &Scope, host: &HostName, claims: Vec<Claim>) {
        // By address, so that two host names of one engine count as the same engine.
        let of_host = match self.hosts.get(host) {
            Some(EngineAddress::Unix(path)) if path.is_absolute() => path.display().to_string(),
            Some(EngineAddress::Ssh(ssh)) => format!("{}:{:?}", ssh.host, ssh.socket),
            Some(EngineAddress::Tls(tls)) => tls.host.clone(),
            Some(EngineAddress::Unix(_)) | None => host.to_string(),
        };
        for Claim { id, words, at, within } in claims {
            let engine = match within {
                Within::Engine => of_host.as_str(),
                Within::Fleet => "",
            };
            let rest = at;
            let Some((_, route, span)) = self.locate(own, &rest) else {
                continue;
            };
            match self.targets.get(&format!("{engine} {id}")) {
                Some((first_route, first_span)) => {
                    let problem = Problem::new(
                        "duplicate-target",
                        format!("{words} is already a target of `{}`", app_of(first_route)),
                    )
                    .hint("one container or service runs one app: take it out of one of the two")
                    .at(&route, span)
                    .also("first claimed here", first_route, *first_span);
                    self.problems.push(problem);
                }
                None => {
                    self.targets.insert(format!("{engine} {id}"), (route, span));
                }
            }
        }
    }
}

fn app_of(route: &Route) -> String {
    Route(route.0.iter().skip(1).take(1).cloned().collect()).to_string()
}

fn made_name(text: &str) -> Option<TargetName> {
    let plain = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = text.to_lowercase().chars().map(plain).take(63).collect();
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::validate;

    /// The codes of what is wrong with an app of this `publish` and a target of the channel `stable`.
    fn codes(publish: &str) -> Vec<&'static str> {
        let text = format!(
            "version: 1\napps: {{ web: {{ source: {{ repo: \"https://git.example.org/web.git\" }}, {publish} \
             rollout: [ {{ container: {{ name: web }}, channel: stable }} ] }} }}\n"
        );
        match validate::fleet(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(|problem| problem.code).collect(),
        }
    }

    /// A wrong `publish` is one problem, not one more for each target.
    #[test]
    fn a_channel_of_a_publish_that_is_wrong_is_no_further_problem() {
        let publish = |image: &str| format!("publish: {{ image: \"{image}\", channels: [ {{ name: stable }} ] }},");
        assert_eq!(codes(&publish("registry.example.org/web")), Vec::<&str>::new());
        assert_eq!(codes(""), ["unknown-channel"]);
        let wrong = codes(&publish("registry.example.org/WEB"));
        assert!(!wrong.is_empty() && !wrong.contains(&"unknown-channel"), "{wrong:?}");
    }
}
