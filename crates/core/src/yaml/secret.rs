//! References to secrets. What stands in the wrong place is never shown: it may be the secret itself.

use super::age;
use super::check::Check;
use super::diagnostic::{Problem, Route};
use super::raw::Secret;
use super::scope::Scope;
use lowtide_model::secret::SecretRef;

const LITERAL: &str = "literal-secret";

impl Check<'_> {
    pub(crate) fn secret(&mut self, scope: &Scope, rest: &Route, raw: Option<&Secret>) -> Option<SecretRef> {
        let raw = raw?;
        let found = match (&raw.env, &raw.file, &raw.age) {
            (Some(env), None, None) => self.variable(scope, rest, &env.0),
            (None, Some(file), None) => self.secret_file(scope, rest, &file.0),
            (None, None, Some(age)) => self.encrypted(scope, rest, &age.0),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) | (None, None, None) => {
                if !self.is_touched(scope, rest) {
                    let message = format!("`{rest}` needs exactly one of `env`, `file` and `age`");
                    let hint = "write `{ env: NAME }`, `{ file: /run/secrets/NAME }` or `{ age: secrets/NAME.age }`";
                    self.report(scope, rest, Problem::new("one-of", message).hint(hint));
                }
                None
            }
        };
        if let Some(secret) = &found {
            self.note(scope, rest, secret.to_string());
        }
        found
    }

    fn variable(&mut self, scope: &Scope, rest: &Route, name: &str) -> Option<SecretRef> {
        if is_variable(name) {
            return Some(SecretRef::Env(name.to_owned()));
        }
        let problem = Problem::new(
            LITERAL,
            format!("`{rest}.env` is not the name of an environment variable"),
        );
        let hint = "a name has letters, digits and `_`: `{ env: GHCR_TOKEN }`";
        self.report(scope, &rest.key("env"), problem.hint(hint));
        None
    }

    fn secret_file(&mut self, scope: &Scope, rest: &Route, path: &str) -> Option<SecretRef> {
        if path.starts_with('/') {
            return Some(SecretRef::File(path.into()));
        }
        let problem = Problem::new(LITERAL, format!("`{rest}.file` is not an absolute path"));
        let hint = "write it like `{ file: /run/secrets/ghcr }`";
        self.report(scope, &rest.key("file"), problem.hint(hint));
        None
    }

    fn encrypted(&mut self, scope: &Scope, rest: &Route, path: &str) -> Option<SecretRef> {
        let problem = if !age::is_path(path) {
            Problem::new(LITERAL, format!("`{rest}.age` is not the path of an encrypted file"))
            .hint("write it like `{ age: secrets/ghcr.age }`: below the folder of the configuration, with `.age` at its end")
        } else if !self.encrypted.has_identities() {
            // A list that is wrong is reported there.
            let identities = Route::keys("age.identities");
            if self.is_broken(&identities) || self.tree.place(&identities).is_some() {
                return None;
            }
            Problem::new("missing-key", format!("no identity decrypts `{rest}`"))
                .hint("name the file of one: `age: { identities: [/run/secrets/lowtide.agekey] }` at the top level")
        } else {
            match self.encrypted.find(path) {
                Ok(file) => return Some(SecretRef::Age(file)),
                Err(useless) => {
                    let message = format!("the file of `{rest}` {}", useless.why);
                    Problem::new("encrypted-secret", message).hint(useless.hint)
                }
            }
        };
        self.report(scope, &rest.key("age"), problem);
        None
    }
}

fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
