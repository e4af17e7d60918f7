//! What runs an app's releases.

use super::check::{Check, unknown};
use super::defaults;
use super::diagnostic::{Problem, Route, shown};
use super::merge::Over;
use super::raw;
use super::scope::Scope;
use crate::model::fleet::{
    App, EngineAddress, Hook, Order, PreflightPolicy, PublishPolicy, Ready, ReadyCheck, Select, TargetPolicy, Unhealthy,
};
use crate::model::name::{ChannelName, HostName, TargetName};

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
            if let Some((first, _)) = targets.iter().find(|(_, t)| t.name == target.name) {
                let problem = Problem::new(
                    "duplicate-name",
                    format!("two targets of this app are named `{}`", target.name),
                );
                let problem = problem.hint("give one of them a `name` of its own");
                self.twice(scope, problem, &Route::keys("rollout").index(*first), &here);
            }
            targets.push((n, target));
        }
        targets.into_iter().map(|(_, target)| target).collect()
    }

    fn target(&mut self, scope: &Scope, raw: &raw::Target, above: &raw::App, app: &App) -> Option<TargetPolicy> {
        // What a target does not inherit is looked for in the target alone, lest an app's key of the same name be shown.
        let own = scope.alone();
        let selected = self.select(&own, raw);
        let channel = self.channel(&own, raw.channel.as_ref(), app.publish.as_ref());
        let window = self.window(scope, raw.window.clone().over(above.window.clone()).as_ref());
        let ready = self.target_ready(scope, raw, above);
        let bake = raw.bake.clone().over(above.bake.clone());
        let bake = self.duration(scope, "bake", bake.as_ref(), defaults::BAKE);
        let before = self.hooks(&own, "before", raw.before.as_deref());
        let after = self.hooks(&own, "after", raw.after.as_deref());
        let stop_timeout = raw
            .stop_timeout
            .as_ref()
            .map(|text| self.duration(&own, "stop_timeout", Some(text), jiff::SignedDuration::ZERO));
        let irreversible = raw.irreversible.unwrap_or(false);
        self.note(&own, &Route::keys("irreversible"), irreversible.to_string());
        let unhealthy = self.unhealthy(&own, raw.unhealthy);
        let order = match raw.command {
            None => self.order(&own, raw.order),
            Some(_) => Order::Auto,
        };
        let router = self.router(&own, raw.router.as_ref());
        let has_containers = raw.command.is_none() && raw.service.is_none() && raw.stack.is_none();
        let preflight = if has_containers {
            self.preflight(&own, raw.preflight)
        } else {
            PreflightPolicy::default()
        };
        let (host, select) = selected?;
        let name = match &raw.name {
            Some(text) => self.name::<TargetName>(&own, &Route::keys("name"), &text.0)?,
            None => match made_name(&select) {
                Some(name) => name,
                None => {
                    self.missing(
                        &own,
                        &Route::keys("name"),
                        "nothing else names a command: write `name: edge`",
                    );
                    return None;
                }
            },
        };
        self.claim(&own, &host, &select);
        Some(TargetPolicy {
            name,
            channel,
            host,
            select,
            window,
            ready,
            before,
            after,
            bake,
            stop_timeout,
            irreversible,
            unhealthy,
            order,
            router,
            preflight,
        })
    }

    fn unhealthy(&mut self, own: &Scope, raw: Option<raw::Unhealthy>) -> Unhealthy {
        let unhealthy = match raw {
            None | Some(raw::Unhealthy::Refuse) => Unhealthy::Refuse,
            Some(raw::Unhealthy::Replace) => Unhealthy::Replace,
        };
        self.note(own, &Route::keys("unhealthy"), unhealthy.as_str().to_owned());
        unhealthy
    }

    /// The readiness check is inherited, except for a command, which has a probe of its own.
    fn target_ready(&mut self, scope: &Scope, raw: &raw::Target, above: &raw::App) -> Ready {
        if raw.command.is_some() {
            return Ready {
                check: ReadyCheck::Steady {
                    stay_up: defaults::STAY_UP,
                },
                timeout: defaults::READY_TIMEOUT,
            };
        }
        let ready = raw.ready.clone().over(above.ready.clone());
        let ready = self.ready(scope, &Route::keys("ready"), ready.as_ref(), defaults::READY_TIMEOUT);
        // Swarm services and lowtide's own container do not use it.
        let asked = raw.service.is_none() && raw.stack.is_none() && raw.own.is_none();
        if let (true, ReadyCheck::Exit { .. }) = (asked, &ready.check) {
            let problem = Problem::new(
                "not-for-rollouts",
                "`ready.exit` waits for an end, and a rollout moves what keeps running",
            );
            let hint = "give the target a `ready` of its own, or leave out the rollout of an image that ends";
            self.report(scope, &Route::keys("ready.exit"), problem.hint(hint));
        }
        ready
    }

    fn select(&mut self, own: &Scope, raw: &raw::Target) -> Option<(HostName, Select)> {
        if raw.own.is_some() {
            return self.select_own(own, raw);
        }
        if raw.command.is_some() {
            return self.select_command(own, raw);
        }
        if raw.service.is_some() || raw.stack.is_some() {
            return self.select_services(own, raw);
        }
        match (&raw.container, &raw.label, &raw.compose) {
            (Some(container), None, None) => {
                let name = self.target_word(
                    own,
                    "container",
                    "name",
                    container.name.as_ref(),
                    "write `container: { name: web }`",
                );
                let host = self.host(own, &Route::keys("container.host"), container.host.as_ref());
                Some((
                    host,
                    Select::Container {
                        name: name?.trim_start_matches('/').to_owned(),
                    },
                ))
            }
            (None, Some(label), None) => {
                let hint = "write `label: { key: com.example.app, value: web }`";
                let key = self.target_word(own, "label", "key", label.key.as_ref(), hint);
                let value = self.target_word(own, "label", "value", label.value.as_ref(), hint);
                let host = self.host(own, &Route::keys("label.host"), label.host.as_ref());
                Some((
                    host,
                    Select::Label {
                        key: key?,
                        value: value?,
                    },
                ))
            }
            (None, None, Some(compose)) => {
                let hint = "write `compose: { project: shop, services: [web] }`";
                let project = self.target_word(own, "compose", "project", compose.project.as_ref(), hint);
                let host = self.host(own, &Route::keys("compose.host"), compose.host.as_ref());
                let rest = Route::keys("compose.services");
                let Some(services) = &compose.services else {
                    self.missing(
                        own,
                        &rest,
                        "name the services that run this image: `services: [web, cron]`",
                    );
                    return None;
                };
                let services = self.words(own, &rest, services);
                self.note(own, &rest, services.join(", "));
                Some((
                    host,
                    Select::Compose {
                        project: project?,
                        services,
                    },
                ))
            }
            _ => self.not_one_target(own),
        }
    }

    pub(super) fn not_one_target<T>(&mut self, own: &Scope) -> Option<T> {
        if !["container", "label", "compose", "service", "stack", "command", "self"]
            .iter()
            .any(|key| self.is_touched(own, &Route::keys(key)))
        {
            let problem = Problem::new(
                "one-of",
                "a target is exactly one of `container`, `label`, `compose`, `service`, `stack`, `command` and `self`",
            );
            let hint = "begin each target with a `- ` of its own: `- container: { name: web }`";
            self.report(own, &Route::default(), problem.hint(hint));
        }
        None
    }

    pub(super) fn target_word(
        &mut self,
        own: &Scope,
        kind: &str,
        key: &str,
        raw: Option<&raw::Text>,
        hint: &str,
    ) -> Option<String> {
        let rest = Route::keys(kind).key(key);
        let Some(text) = raw else {
            self.missing(own, &rest, hint);
            return None;
        };
        if text.0.is_empty() || text.0.contains(char::is_whitespace) {
            let problem = Problem::new("bad-name", format!("`{}` is not a {kind} {key}", shown(&text.0)));
            self.report(own, &rest, problem.hint(hint));
            return None;
        }
        self.note(own, &rest, text.0.clone());
        Some(text.0.clone())
    }

    fn channel(
        &mut self,
        own: &Scope,
        raw: Option<&raw::Text>,
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
                    problem.hint(format!("add `channel:`, one of {}", super::shape::list(&names))),
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
                        problem.hint(format!("the channels are {}", super::shape::list(&names))),
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

    fn hooks(&mut self, own: &Scope, key: &str, raw: Option<&[raw::Hook]>) -> Vec<Hook> {
        let mut hooks = Vec::new();
        for (n, hook) in raw.into_iter().flatten().enumerate() {
            let rest = Route::keys(key).index(n);
            let timeout = self.limit_at(own, &rest.key("timeout"), hook.timeout.as_ref(), defaults::HOOK_TIMEOUT);
            match &hook.exec {
                Some(command) => {
                    let command = self.command(own, &rest.key("exec"), command);
                    self.note(own, &rest.key("exec"), command.join(" "));
                    hooks.push(Hook { command, timeout });
                }
                None => self.missing(own, &rest.key("exec"), "write `- exec: [program, argument]`"),
            }
        }
        hooks
    }

    /// Two apps must not fight over one container.
    fn claim(&mut self, own: &Scope, host: &HostName, select: &Select) {
        // By address, so that two host names of one engine count as the same engine.
        let engine = match self.hosts.get(host).filter(|_| *select != Select::OwnContainer) {
            Some(EngineAddress::Unix(path)) if path.is_absolute() => path.display().to_string(),
            Some(EngineAddress::Ssh(ssh)) => format!("{}:{:?}", ssh.host, ssh.socket),
            Some(EngineAddress::Tls(tls)) => tls.host.clone(),
            // There is one lowtide, whatever host is named.
            None if *select == Select::OwnContainer => String::new(),
            Some(EngineAddress::Unix(_)) | None => host.to_string(),
        };
        let kind = |key: &str| Route::keys(key);
        let claims: Vec<(String, String, Route)> = match select {
            Select::Container { name } => vec![(
                format!("c {name}"),
                format!("container `{name}`"),
                kind("container.name"),
            )],
            Select::Label { key, value } => {
                vec![(
                    format!("l {key}={value}"),
                    format!("containers labelled `{key}={value}`"),
                    kind("label.value"),
                )]
            }
            Select::Compose { project, services } => {
                let claim = |(n, s): (usize, &String)| {
                    (
                        format!("s {project} {s}"),
                        format!("service `{s}` of compose project `{project}`"),
                        kind("compose.services").index(n),
                    )
                };
                services.iter().enumerate().map(claim).collect()
            }
            Select::Service { name, .. } => {
                vec![(format!("w {name}"), format!("service `{name}`"), kind("service.name"))]
            }
            Select::Stack { stack, services, .. } if services.is_empty() => {
                vec![(format!("k {stack}"), format!("stack `{stack}`"), kind("stack.name"))]
            }
            Select::Stack { stack, services, .. } => {
                let claim = |(n, s): (usize, &String)| {
                    (
                        format!("w {stack}_{s}"),
                        format!("service `{stack}_{s}`"),
                        kind("stack.services").index(n),
                    )
                };
                services.iter().enumerate().map(claim).collect()
            }
            Select::OwnContainer => vec![("i".to_owned(), "lowtide itself".to_owned(), kind("self"))],
            // One program may move many things: its environment says which.
            Select::Command(_) => Vec::new(),
        };
        for (id, words, rest) in claims {
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

/// `container-web`, `label-shop`, `compose-archives`, `service-web`, `stack-shop`, `self`; `None`: nothing names it.
fn made_name(select: &Select) -> Option<TargetName> {
    let (kind, place) = match select {
        Select::Container { name } => ("container", name),
        Select::Label { value, .. } => ("label", value),
        Select::Compose { project, .. } => ("compose", project),
        Select::Service { name, .. } => ("service", name),
        Select::Stack { stack, .. } => ("stack", stack),
        Select::OwnContainer => return "self".parse().ok(),
        Select::Command(_) => return None,
    };
    let plain = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = format!("{kind}-{}", place.to_lowercase())
        .chars()
        .map(plain)
        .take(63)
        .collect();
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
