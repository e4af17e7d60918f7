//! What lifts a halt.

use super::raw;
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, shown};
use crate::yaml::raw as shared;
use crate::yaml::scope::Scope;
use lowtide_model::halt::{HaltPolicy, Require};

impl Check<'_> {
    pub(super) fn halt(&mut self, scope: &Scope, raw: &raw::Halt) -> HaltPolicy {
        let at = |key: &str| Route::keys("halt").key(key);
        let default = HaltPolicy::default();
        let (require, word) = match raw.require {
            Some(raw::RequireWord::Countermeasure) => (Require::Countermeasure, "countermeasure"),
            Some(raw::RequireWord::Reason) | None => (Require::Reason, "reason"),
        };
        self.note(scope, &at("require"), word);
        let probation = raw.probation.and_then(|n| u32::try_from(n).ok());
        let probation = probation.unwrap_or(default.probation);
        self.note(scope, &at("probation"), probation.to_string());
        let tests = match &raw.tests {
            None => default.tests,
            Some(texts) => self.test_files(scope, texts),
        };
        self.note(scope, &at("tests"), tests.join(", "));
        HaltPolicy {
            require,
            probation,
            tests,
        }
    }

    fn test_files(&mut self, scope: &Scope, texts: &[shared::Text]) -> Vec<String> {
        let here = Route::keys("halt.tests");
        let hint = "write it like `tests/**` or `**/*_test.go`: paths of the repository, from its root";
        if texts.is_empty() {
            let problem = Problem::new(
                "bad-pattern",
                "no file is a test here, so no commit could be a countermeasure",
            );
            self.report(scope, &here, problem.hint(hint));
        }
        for (place, text) in texts.iter().enumerate() {
            if globset::Glob::new(&text.0).is_err() || text.0.starts_with('/') || text.0.is_empty() {
                let message = format!("`{}` is no pattern of the repository's paths", shown(&text.0));
                let problem = Problem::new("bad-pattern", message);
                self.report(scope, &here.index(place), problem.hint(hint));
            }
        }
        texts.iter().map(|text| text.0.clone()).collect()
    }
}
