//! Secrets that the containers of a test were given, to be masked in everything they write.

use lowtide_core::fleet::app::App;
use lowtide_model::hide::secrets_in;
use lowtide_model::secret::Secret;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Grows with every container that is made.
#[derive(Default)]
pub struct Hidden(Mutex<Given>);

#[derive(Default)]
struct Given {
    env: BTreeSet<(String, String)>,
    secrets: Arc<[Secret]>,
}

impl Hidden {
    /// Starts with the variables and build arguments of the app's configuration.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let hidden = Self::default();
        hidden.learn(&app.env);
        hidden.learn(&app.build().args);
        for test in &app.tests {
            hidden.learn(&test.env);
        }
        hidden
    }

    /// The variables of one more environment, name and value.
    pub(super) fn learn<'a>(&self, env: impl IntoIterator<Item = (&'a String, &'a String)>) {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let env = env.into_iter().map(|(name, value)| (name.clone(), value.clone()));
        given.env.extend(env);
        let pairs = given.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        given.secrets = secrets_in(pairs, std::iter::empty()).into();
    }

    pub(super) fn secrets(&self) -> Arc<[Secret]> {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&given.secrets)
    }
}
