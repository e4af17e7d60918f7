//! lowtide's own container.

use crate::kinds::chosen::Chosen;
use crate::kinds::containers::config::claims;
use crate::kinds::containers::policy::ContainerSelect;
use crate::kinds::list::TargetKind;
use crate::kinds::raw as keys;
use crate::kinds::self_update::policy::SelfUpdatePolicy;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::Route;
use crate::yaml::scope::Scope;

impl Check<'_> {
    pub(in crate::kinds) fn own_container(&mut self, own: &Scope, raw: &keys::Target) -> Option<Chosen> {
        self.not_for_own(own, raw);
        let host = raw.own.as_ref().and_then(|target| target.host.as_ref());
        let host = self.host(own, &Route::keys("self.host"), host);
        let container = self.container_settings(own, raw, ContainerSelect::Own);
        Some(Chosen {
            host,
            claims: claims(&container.select),
            kind: TargetKind::SelfUpdate(Box::new(SelfUpdatePolicy { container })),
            name: Some("self".to_owned()),
        })
    }

    /// One state directory has one owner: the old and the new lowtide never work side by side, and a rollback undoes
    /// what the new one did to the database.
    fn not_for_own(&mut self, own: &Scope, raw: &keys::Target) {
        let handed = "lowtide is handed over by itself";
        let given = [
            ("before", raw.before.is_some(), handed),
            ("after", raw.after.is_some(), handed),
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
        self.not_for(own, "not-for-self", "lowtide's own container", &given);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::validate;

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
