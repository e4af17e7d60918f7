//! Secrets: references in configuration, values that do not print.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a secret is found. Configuration, the journal and the database hold only this.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// An environment variable of the lowtide process.
    Env(String),
    /// A file; one trailing newline is not part of the secret.
    File(PathBuf),
    /// A file beside the configuration, encrypted with age.
    Age(AgeFile),
}

/// The ciphertext travels with the reference: it is as public as the repository that holds it, and a run that began
/// before the file changed or went away still has its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgeFile {
    /// As the configuration writes it: relative to the configuration's folder.
    pub path: String,
    /// The binary form of the file, in Base64.
    pub ciphertext: String,
    /// Files of identities on the machine that lowtide runs on.
    pub identities: Vec<PathBuf>,
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "environment variable {name}"),
            SecretRef::File(path) => write!(f, "file {}", path.display()),
            SecretRef::Age(file) => write!(f, "encrypted file {}", file.path),
        }
    }
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvValue {
    Text(String),
    /// Read where the container is made.
    Secret(SecretRef),
}

/// The variables of an environment that are secrets.
pub fn secrets_of(env: &BTreeMap<String, EnvValue>) -> impl Iterator<Item = (&String, &SecretRef)> {
    env.iter().filter_map(|(name, value)| match value {
        EnvValue::Secret(secret) => Some((name, secret)),
        EnvValue::Text(_) => None,
    })
}

impl From<&str> for EnvValue {
    fn from(text: &str) -> Self {
        EnvValue::Text(text.to_owned())
    }
}

/// A secret's value. It has no `Display`, no `Serialize`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }
    /// What a file says: one trailing newline is not part of it.
    #[must_use]
    pub fn of_file(mut text: String) -> Self {
        if text.ends_with('\n') {
            text.pop();
        }
        Self(text)
    }
    /// The value itself, for the one place that hands it to the other side.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
