//! Secrets are read where they are used, each time: a rotated file needs no restart.

use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::local;
use lowtide_model::secret::{Secret, SecretRef};

/// Reads a secret. The error names the place, never the value.
///
/// # Errors
/// `SecretMissing` when the variable is unset or the file cannot be read.
pub fn read(reference: &SecretRef) -> Result<Secret, Failure> {
    match reference {
        SecretRef::Env(name) => std::env::var(name)
            .map(Secret::new)
            .map_err(|_| Failure::new(FailureKind::SecretMissing, format!("{reference} is not set"))),
        SecretRef::File(path) => std::fs::read_to_string(path)
            .map(|text| Secret::new(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
            .map_err(|e| {
                let kind = local::exhausted(&e).unwrap_or(FailureKind::SecretMissing);
                Failure::new(kind, format!("{reference}: {e}"))
            }),
    }
}
