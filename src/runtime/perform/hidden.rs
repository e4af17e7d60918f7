//! Secrets that the containers of a test were given, to be masked in everything they write.

use crate::clients::secrets;
use lowtide_core::fleet::app::App;
use lowtide_model::hide::secrets_in;
use lowtide_model::secret::{EnvValue, Secret, secrets_of};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Grows with every container that is made.
#[derive(Default)]
pub struct Hidden(Mutex<Given>);

#[derive(Default)]
struct Given {
    env: BTreeSet<(String, String)>,
    /// Variables that the configuration fills with a secret, whatever they are called.
    names: BTreeSet<String>,
    values: BTreeSet<String>,
    secrets: Arc<[Secret]>,
}

impl Given {
    fn renew(&mut self) {
        // A container may have an earlier value than the one that is read today.
        let named = self.env.iter().filter(|(name, _)| self.names.contains(name));
        let values = named.map(|(_, value)| value).chain(&self.values).cloned();
        let pairs = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.secrets = secrets_in(pairs, values).into();
    }
}

impl Hidden {
    /// Starts with the variables, build arguments and secrets of the app's configuration.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let hidden = Self::default();
        hidden.learn(app.build().into_iter().flat_map(|build| &build.args));
        for (_, env) in app.environments() {
            hidden.learn(env.iter().filter_map(|(name, value)| match value {
                EnvValue::Text(text) => Some((name, text)),
                EnvValue::Secret(_) => None,
            }));
        }
        let mut given = hidden.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, env) in app.environments() {
            given.names.extend(secrets_of(env).map(|(name, _)| name.clone()));
        }
        for (_, secret) in app.secret_refs() {
            // What cannot be read is given to no container either.
            given
                .values
                .extend(secrets::read(secret).ok().map(|value| value.expose().to_owned()));
        }
        given.renew();
        drop(given);
        hidden
    }

    /// The variables of one more environment, name and value.
    pub(super) fn learn<'a>(&self, env: impl IntoIterator<Item = (&'a String, &'a String)>) {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let env = env.into_iter().map(|(name, value)| (name.clone(), value.clone()));
        given.env.extend(env);
        given.renew();
    }

    pub(super) fn secrets(&self) -> Arc<[Secret]> {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&given.secrets)
    }
}
