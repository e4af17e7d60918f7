//! lowtide's own container as a target.

use super::check::Check;
use super::diagnostic::{Problem, Route};
use super::raw;
use super::scope::Scope;
use crate::model::fleet::Select;
use crate::model::name::HostName;

impl Check<'_> {
    pub(super) fn select_own(&mut self, own: &Scope, raw: &raw::Target) -> Option<(HostName, Select)> {
        let containers = raw.container.is_some() || raw.label.is_some() || raw.compose.is_some();
        if containers || raw.service.is_some() || raw.stack.is_some() {
            return self.not_one_target(own);
        }
        self.not_for_own(own, raw);
        let host = raw.own.as_ref().and_then(|target| target.host.as_ref());
        let host = self.host(own, &Route::keys("self.host"), host);
        Some((host, Select::OwnContainer))
    }

    /// One state directory has one owner: the old and the new lowtide never work side by side, and a rollback undoes
    /// what the new one did to the database.
    fn not_for_own(&mut self, own: &Scope, raw: &raw::Target) {
        let given = [
            ("before", raw.before.is_some(), "lowtide is handed over by itself"),
            ("after", raw.after.is_some(), "lowtide is handed over by itself"),
            (
                "irreversible",
                raw.irreversible.is_some(),
                "its database is copied before the new one may change it",
            ),
            (
                "order",
                raw.order.is_some(),
                "the old one always stops before the new one starts",
            ),
            ("router", raw.router.is_some(), "nobody is sent to two of them"),
        ];
        for (key, _, hint) in given.into_iter().filter(|(_, given, _)| *given) {
            let problem = Problem::new(
                "not-for-self",
                format!("`{key}` has no meaning for lowtide's own container"),
            );
            self.report(own, &Route::keys(key), problem.hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate;

    /// The codes of what is wrong with a target that is lowtide itself and `also`.
    fn codes(also: &str) -> Vec<&'static str> {
        let text = format!(
            "version: 1\napps: {{ bot: {{ source: {{ repo: \"https://git.example.org/bot.git\" }}, \
             rollout: [ {{ self: {{}}{also} }} ] }} }}\n"
        );
        match validate::fleet(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(|problem| problem.code).collect(),
        }
    }

    #[test]
    fn what_is_lowtide_itself_is_nothing_else() {
        assert_eq!(codes(""), Vec::<&str>::new());
        for also in [
            ", container: { name: c }",
            ", label: { key: k, value: v }",
            ", compose: { project: p, services: [s] }",
            ", service: { name: s }",
            ", stack: { name: s, services: [a] }",
        ] {
            assert_eq!(codes(also), ["one-of"], "{also}");
        }
    }
}
