//! Services of Docker Swarm.

use crate::kinds::chosen::{Chosen, Claim, Within};
use crate::kinds::list::TargetKind;
use crate::kinds::raw as keys;
use crate::kinds::services::policy::{ServiceSelect, ServicesPolicy};
use crate::yaml::check::Check;
use crate::yaml::diagnostic::Route;
use crate::yaml::scope::Scope;
use lowtide_model::name::HostName;

impl Check<'_> {
    pub(in crate::kinds) fn services(&mut self, own: &Scope, raw: &keys::Target) -> Option<Chosen> {
        self.not_for_services(own, raw);
        let selected = self.select_services(own, raw);
        let order = self.order(own, raw.order);
        let (host, select) = selected?;
        let (name, claims) = match &select {
            ServiceSelect::Service { name } => (format!("service-{name}"), claims(&select)),
            ServiceSelect::Stack { stack, .. } => (format!("stack-{stack}"), claims(&select)),
        };
        Some(Chosen {
            host,
            kind: TargetKind::Services(Box::new(ServicesPolicy { select, order })),
            name: Some(name),
            claims,
        })
    }

    fn select_services(&mut self, own: &Scope, raw: &keys::Target) -> Option<(HostName, ServiceSelect)> {
        if let Some(service) = &raw.service {
            let hint = "write `service: { name: web }`";
            let name = self.target_word(own, "service", "name", service.name.as_ref(), hint);
            let host = self.host(own, &Route::keys("service.host"), service.host.as_ref());
            return Some((host, ServiceSelect::Service { name: name? }));
        }
        let stack = raw.stack.as_ref()?;
        let hint = "write `stack: { name: shop, services: [web] }`";
        let name = self.target_word(own, "stack", "name", stack.name.as_ref(), hint);
        let host = self.host(own, &Route::keys("stack.host"), stack.host.as_ref());
        let rest = Route::keys("stack.services");
        let services = match &stack.services {
            Some(services) => self.words(own, &rest, services),
            None => Vec::new(),
        };
        let noted = if services.is_empty() {
            "those that run the app's image".to_owned()
        } else {
            services.join(", ")
        };
        self.note(own, &rest, noted);
        let stack = name?;
        Some((host, ServiceSelect::Stack { stack, services }))
    }

    /// Tasks run on nodes that lowtide cannot reach: nothing is executed inside them, and Swarm decides when they count
    /// as running.
    fn not_for_services(&mut self, own: &Scope, raw: &keys::Target) {
        let inside = "commands inside containers are for targets of one host";
        let given = [
            ("before", raw.before.is_some(), inside),
            ("after", raw.after.is_some(), inside),
            (
                "stop_timeout",
                raw.stop_timeout.is_some(),
                "a service has its own: `docker service update --stop-grace-period`",
            ),
            (
                "router",
                raw.router.is_some(),
                "Swarm takes a task out of its networks before it stops it",
            ),
            (
                "preflight",
                raw.preflight.is_some(),
                "Swarm looks for a node that fits, and says so when there is none",
            ),
            (
                "ready",
                raw.ready.is_some(),
                "a task counts when Swarm says it runs: with a HEALTHCHECK in the image, when it is healthy",
            ),
        ];
        self.not_for(own, "not-for-services", "Swarm services", &given);
    }
}

fn claims(select: &ServiceSelect) -> Vec<Claim> {
    let claim = |id: String, words: String, at: Route| Claim {
        id,
        words,
        at,
        within: Within::Engine,
    };
    let service = |name: &str, at| claim(format!("w {name}"), format!("service `{name}`"), at);
    match select {
        ServiceSelect::Service { name } => vec![service(name, Route::keys("service.name"))],
        ServiceSelect::Stack { stack, services } if services.is_empty() => {
            let words = format!("stack `{stack}`");
            vec![claim(format!("k {stack}"), words, Route::keys("stack.name"))]
        }
        ServiceSelect::Stack { stack, services } => {
            let at = |n| Route::keys("stack.services").index(n);
            let of = |(n, name): (usize, &String)| service(&format!("{stack}_{name}"), at(n));
            services.iter().enumerate().map(of).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::validate;

    /// The codes of what is wrong with a target that selects `these`.
    fn codes(these: &str) -> Vec<&'static str> {
        let text = format!(
            "version: 1\napps: {{ web: {{ source: {{ repo: \"https://git.example.org/web.git\" }}, \
             rollout: [ {{ {these} }} ] }} }}\n"
        );
        match validate::fleet(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(|problem| problem.code).collect(),
        }
    }

    #[test]
    fn a_service_or_a_stack_is_nothing_else() {
        let (service, stack) = ("service: { name: s }", "stack: { name: s, services: [a] }");
        for one in [service, stack] {
            assert_eq!(codes(one), Vec::<&str>::new(), "{one}");
            for also in [
                "container: { name: c }",
                "label: { key: k, value: v }",
                "compose: { project: p, services: [s] }",
            ] {
                assert_eq!(codes(&format!("{one}, {also}")), ["one-of"], "{one}, {also}");
            }
        }
        assert_eq!(codes(&format!("{service}, {stack}")), ["one-of"]);
    }
}
