//! Secrets are read where they are used, each time: a rotated file needs no restart.

use super::age;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::local;
use lowtide_model::secret::{EnvValue, Secret, SecretRef};
use std::collections::BTreeMap;

/// Reads a secret. The error names the place, never the value.
///
/// # Errors
/// `SecretMissing` when the variable is unset, the file cannot be read, or no identity decrypts it.
pub fn read(reference: &SecretRef) -> Result<Secret, Failure> {
    match reference {
        SecretRef::Env(name) => std::env::var(name)
            .map(Secret::new)
            .map_err(|_| Failure::new(FailureKind::SecretMissing, format!("{reference} is not set"))),
        SecretRef::File(path) => std::fs::read_to_string(path).map(Secret::of_file).map_err(|e| {
            let kind = local::exhausted(&e).unwrap_or(FailureKind::SecretMissing);
            Failure::new(kind, format!("{reference}: {e}"))
        }),
        SecretRef::Age(file) => {
            age::decrypt(file).map_err(|why| Failure::new(FailureKind::SecretMissing, format!("{reference} {why}")))
        }
    }
}

/// The environment of a process or container, with the values of its secrets.
///
/// # Errors
/// As [`read`].
pub fn environment(env: &BTreeMap<String, EnvValue>) -> Result<BTreeMap<String, String>, Failure> {
    env.iter()
        .map(|(name, value)| match value {
            EnvValue::Text(text) => Ok((name.clone(), text.clone())),
            EnvValue::Secret(secret) => Ok((name.clone(), read(secret)?.expose().to_owned())),
        })
        .collect()
}
