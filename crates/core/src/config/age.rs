//! The identities that decrypt what stands encrypted beside the configuration.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::scope::Scope;
use std::path::PathBuf;

/// Those that can be files at all.
pub(super) fn identities(raw: Option<&raw::Age>) -> Vec<PathBuf> {
    let given = raw.and_then(|age| age.identities.as_ref()).into_iter().flatten();
    let absolute = given.filter(|path| path.0.starts_with('/'));
    absolute.map(|path| PathBuf::from(&path.0)).collect()
}

impl Check<'_> {
    pub(super) fn age(&mut self, top: &Scope, raw: Option<&raw::Age>) {
        let Some(raw) = raw else { return };
        let rest = Route::keys("age.identities");
        let hint = "name a file that age-keygen wrote: `identities: [/run/secrets/lowtide.agekey]`";
        let Some(given) = &raw.identities else {
            self.missing(top, &rest, hint);
            return;
        };
        if given.is_empty() {
            let problem = Problem::new("empty-list", "`age.identities` is empty, so nothing can be decrypted");
            self.report(top, &rest, problem.hint(hint));
        }
        for (n, path) in given.iter().enumerate().filter(|(_, path)| !path.0.starts_with('/')) {
            let problem = if path.0.to_ascii_uppercase().starts_with("AGE-") {
                Problem::new("literal-secret", "an identity stands here, in the place of its file")
            } else {
                Problem::new("bad-path", format!("`{}` is not an absolute path", shown(&path.0)))
            };
            self.report(top, &rest.index(n), problem.hint(hint));
        }
    }
}
