//! Services of Docker Swarm as targets.

use super::check::Check;
use super::diagnostic::{Problem, Route};
use super::raw;
use super::scope::Scope;
use crate::model::fleet::Select;
use crate::model::name::HostName;

impl Check<'_> {
    /// `service` or `stack`, whichever is given.
    pub(super) fn select_services(&mut self, own: &Scope, raw: &raw::Target) -> Option<(HostName, Select)> {
        let containers = raw.container.is_some() || raw.label.is_some() || raw.compose.is_some();
        match (&raw.service, &raw.stack) {
            (Some(service), None) if !containers => {
                self.not_for_services(own, raw);
                let hint = "write `service: { name: web }`";
                let name = self.target_word(own, "service", "name", service.name.as_ref(), hint);
                let host = self.host(own, &Route::keys("service.host"), service.host.as_ref());
                Some((host, Select::Service { name: name? }))
            }
            (None, Some(stack)) if !containers => {
                self.not_for_services(own, raw);
                let hint = "write `stack: { name: shop, services: [web] }`";
                let name = self.target_word(own, "stack", "name", stack.name.as_ref(), hint);
                let host = self.host(own, &Route::keys("stack.host"), stack.host.as_ref());
                let rest = Route::keys("stack.services");
                let services = match &stack.services {
                    Some(services) => self.words(own, &rest, services),
                    None => Vec::new(),
                };
                let told = if services.is_empty() {
                    "those that run the app's image".to_owned()
                } else {
                    services.join(", ")
                };
                self.note(own, &rest, told);
                let stack = name?;
                Some((host, Select::Stack { stack, services }))
            }
            (Some(_) | None, Some(_) | None) => self.not_one_target(own),
        }
    }

    /// Tasks run on nodes that lowtide cannot reach: nothing is executed inside them, and Swarm decides when they count
    /// as running.
    fn not_for_services(&mut self, own: &Scope, raw: &raw::Target) {
        let given = [
            (
                "before",
                raw.before.is_some(),
                "commands inside containers are for targets of one host",
            ),
            (
                "after",
                raw.after.is_some(),
                "commands inside containers are for targets of one host",
            ),
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
        for (key, _, hint) in given.into_iter().filter(|(_, given, _)| *given) {
            let problem = Problem::new("not-for-services", format!("`{key}` has no meaning for Swarm services"));
            self.report(own, &Route::keys(key), problem.hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate;

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
