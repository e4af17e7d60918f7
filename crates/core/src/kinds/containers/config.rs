//! Containers of a plain engine: which are meant, which of old and new runs first, and the router before them.

use super::keys::{Hook, Preflight, Router};
use crate::kinds::chosen::{Chosen, Claim, Within};
use crate::kinds::containers::policy::{ContainerSelect, ContainersPolicy, PreflightPolicy, Router as RouterPolicy};
use crate::kinds::list::TargetKind;
use crate::kinds::raw as keys;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route};
use crate::yaml::raw::Command;
use crate::yaml::scope::Scope;
use lowtide_model::defaults;
use lowtide_model::name::HostName;
use lowtide_model::policy::{Hook as HookPolicy, Order};

impl Check<'_> {
    pub(in crate::kinds) fn containers(&mut self, own: &Scope, raw: &keys::Target) -> Option<Chosen> {
        let selected = self.select_containers(own, raw);
        let policy = self.container_settings(own, raw, ContainerSelect::Own);
        let (host, select) = selected?;
        let (name, claims) = (name(&select), claims(&select));
        Some(Chosen {
            host,
            kind: TargetKind::Containers(Box::new(ContainersPolicy { select, ..policy })),
            name: Some(name),
            claims,
        })
    }

    /// What a rollout of containers does besides.
    pub(in crate::kinds) fn container_settings(
        &mut self,
        own: &Scope,
        raw: &keys::Target,
        select: ContainerSelect,
    ) -> ContainersPolicy {
        let before = self.hooks(own, "before", raw.before.as_deref());
        let after = self.hooks(own, "after", raw.after.as_deref());
        let stop_timeout = raw
            .stop_timeout
            .as_ref()
            .map(|text| self.duration(own, "stop_timeout", Some(text), jiff::SignedDuration::ZERO));
        ContainersPolicy {
            select,
            before,
            after,
            stop_timeout,
            order: self.order(own, raw.order),
            router: self.router(own, raw.router.as_ref()),
            preflight: self.preflight(own, raw.preflight),
        }
    }

    fn select_containers(&mut self, own: &Scope, raw: &keys::Target) -> Option<(HostName, ContainerSelect)> {
        if let Some(container) = &raw.container {
            let hint = "write `container: { name: web }`";
            let name = self.target_word(own, "container", "name", container.name.as_ref(), hint);
            let host = self.host(own, &Route::keys("container.host"), container.host.as_ref());
            let name = name?.trim_start_matches('/').to_owned();
            return Some((host, ContainerSelect::Name { name }));
        }
        if let Some(label) = &raw.label {
            let hint = "write `label: { key: com.example.app, value: web }`";
            let key = self.target_word(own, "label", "key", label.key.as_ref(), hint);
            let value = self.target_word(own, "label", "value", label.value.as_ref(), hint);
            let host = self.host(own, &Route::keys("label.host"), label.host.as_ref());
            let (key, value) = (key?, value?);
            return Some((host, ContainerSelect::Label { key, value }));
        }
        let compose = raw.compose.as_ref()?;
        let hint = "write `compose: { project: shop, services: [web] }`";
        let project = self.target_word(own, "compose", "project", compose.project.as_ref(), hint);
        let host = self.host(own, &Route::keys("compose.host"), compose.host.as_ref());
        let rest = Route::keys("compose.services");
        let Some(services) = &compose.services else {
            let hint = "name the services that run this image: `services: [web, cron]`";
            self.missing(own, &rest, hint);
            return None;
        };
        let services = self.words(own, &rest, services);
        self.note(own, &rest, services.join(", "));
        let project = project?;
        Some((host, ContainerSelect::Compose { project, services }))
    }

    fn hooks(&mut self, own: &Scope, key: &str, raw: Option<&[Hook]>) -> Vec<HookPolicy> {
        let mut hooks = Vec::new();
        for (n, hook) in raw.into_iter().flatten().enumerate() {
            let rest = Route::keys(key).index(n);
            let timeout = self.limit_at(own, &rest.key("timeout"), hook.timeout.as_ref(), defaults::HOOK_TIMEOUT);
            match &hook.exec {
                Some(command) => {
                    let command = self.command(own, &rest.key("exec"), command);
                    self.note(own, &rest.key("exec"), command.join(" "));
                    hooks.push(HookPolicy { command, timeout });
                }
                None => self.missing(own, &rest.key("exec"), "write `- exec: [program, argument]`"),
            }
        }
        hooks
    }

    pub(in crate::kinds) fn order(&mut self, own: &Scope, raw: Option<keys::Order>) -> Order {
        let order = match raw {
            None | Some(keys::Order::Auto) => Order::Auto,
            Some(keys::Order::StopFirst) => Order::StopFirst,
            Some(keys::Order::StartFirst) => Order::StartFirst,
        };
        let text = match order {
            Order::Auto => "auto",
            Order::StopFirst => "stop-first",
            Order::StartFirst => "start-first",
        };
        self.note(own, &Route::keys("order"), text.to_owned());
        order
    }

    fn preflight(&mut self, own: &Scope, raw: Option<Preflight>) -> PreflightPolicy {
        let (policy, text) = match raw {
            None | Some(Preflight::Full) => (PreflightPolicy::Full, "full"),
            Some(Preflight::Create) => (PreflightPolicy::Create, "create"),
        };
        self.note(own, &Route::keys("preflight"), text.to_owned());
        policy
    }

    fn router(&mut self, own: &Scope, raw: Option<&Router>) -> Option<RouterPolicy> {
        let raw = raw?;
        let base = Route::keys("router");
        let mut command = |key: &str, raw: Option<&Command>| match raw {
            Some(raw) => {
                let command = self.command(own, &base.key(key), raw);
                self.note(own, &base.key(key), command.join(" "));
                command
            }
            None => Vec::new(),
        };
        let (join, leave) = (command("join", raw.join.as_ref()), command("leave", raw.leave.as_ref()));
        let (pause, resume) = (
            command("pause", raw.pause.as_ref()),
            command("resume", raw.resume.as_ref()),
        );
        for (given, other, missing) in [("pause", &pause, &resume), ("resume", &resume, &pause)] {
            if !other.is_empty() && missing.is_empty() {
                let lacking = if given == "pause" { "resume" } else { "pause" };
                let problem = Problem::new("missing-key", format!("a router with `{given}` needs `{lacking}` too"));
                let hint = "requests that are held back have to be let go again: give both, or neither";
                self.report(own, &base.key(given), problem.hint(hint));
            }
        }
        let drain = self.duration_at(own, &base.key("drain"), raw.drain.as_ref(), defaults::DRAIN);
        let timeout = self.limit_at(
            own,
            &base.key("timeout"),
            raw.timeout.as_ref(),
            defaults::ROUTER_TIMEOUT,
        );
        let hint = "write `router: { container: edge, join: [program, argument] }`";
        let container = self.target_word(own, "router", "container", raw.container.as_ref(), hint)?;
        Some(RouterPolicy {
            container: container.trim_start_matches('/').to_owned(),
            join,
            leave,
            pause,
            resume,
            drain,
            timeout,
        })
    }
}

/// `container-web`, `label-shop`, `compose-shop`.
fn name(select: &ContainerSelect) -> String {
    match select {
        ContainerSelect::Name { name } => format!("container-{name}"),
        ContainerSelect::Label { value, .. } => format!("label-{value}"),
        ContainerSelect::Compose { project, .. } => format!("compose-{project}"),
        ContainerSelect::Own => "self".to_owned(),
    }
}

pub(in crate::kinds) fn claims(select: &ContainerSelect) -> Vec<Claim> {
    let claim = |id: String, words: String, at: Route| Claim {
        id,
        words,
        at,
        within: Within::Engine,
    };
    match select {
        ContainerSelect::Name { name } => {
            let words = format!("container `{name}`");
            vec![claim(format!("c {name}"), words, Route::keys("container.name"))]
        }
        ContainerSelect::Label { key, value } => {
            let words = format!("containers labelled `{key}={value}`");
            vec![claim(format!("l {key}={value}"), words, Route::keys("label.value"))]
        }
        ContainerSelect::Compose { project, services } => {
            let of = |(n, service): (usize, &String)| {
                let words = format!("service `{service}` of compose project `{project}`");
                let at = Route::keys("compose.services").index(n);
                claim(format!("s {project} {service}"), words, at)
            };
            services.iter().enumerate().map(of).collect()
        }
        // There is one lowtide, whatever host is named.
        ContainerSelect::Own => vec![Claim {
            id: "i".to_owned(),
            words: "lowtide itself".to_owned(),
            at: Route::keys("self"),
            within: Within::Fleet,
        }],
    }
}
