//! How the containers of a target change places: which runs first, and the router before them.

use super::check::Check;
use super::defaults;
use super::diagnostic::{Problem, Route};
use super::raw;
use super::scope::Scope;
use crate::model::fleet::{Order, PreflightPolicy, Router};

impl Check<'_> {
    pub(super) fn order(&mut self, own: &Scope, raw: Option<raw::Order>) -> Order {
        let order = match raw {
            None | Some(raw::Order::Auto) => Order::Auto,
            Some(raw::Order::StopFirst) => Order::StopFirst,
            Some(raw::Order::StartFirst) => Order::StartFirst,
        };
        let text = match order {
            Order::Auto => "auto",
            Order::StopFirst => "stop-first",
            Order::StartFirst => "start-first",
        };
        self.note(own, &Route::keys("order"), text.to_owned());
        order
    }

    pub(super) fn preflight(&mut self, own: &Scope, raw: Option<raw::Preflight>) -> PreflightPolicy {
        let (policy, text) = match raw {
            None | Some(raw::Preflight::Full) => (PreflightPolicy::Full, "full"),
            Some(raw::Preflight::Create) => (PreflightPolicy::Create, "create"),
        };
        self.note(own, &Route::keys("preflight"), text.to_owned());
        policy
    }

    pub(super) fn router(&mut self, own: &Scope, raw: Option<&raw::Router>) -> Option<Router> {
        let raw = raw?;
        let base = Route::keys("router");
        let mut command = |key: &str, raw: Option<&raw::Command>| match raw {
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
        Some(Router {
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
