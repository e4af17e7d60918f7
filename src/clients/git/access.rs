//! Credentials on their way to git: in the environment of that one process, offered to that one host.

use super::address::{Address, Protocol};
use super::error::GitError;
use crate::clients::secrets;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::Source;
use lowtide_model::secret::Secret;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// User name that goes with a token when none is given: GitHub's own; others accept any.
const TOKEN_USER: &str = "x-access-token";
/// A credential helper (gitcredentials(7)) that knows the secret only from its environment. `printf` is built into the
/// shell: the secret is in no argv.
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$LOWTIDE_GIT_USERNAME" "$LOWTIDE_GIT_PASSWORD"; }; f"#;

/// What one remote needs to let us in.
#[derive(Default)]
pub(super) struct Access {
    pub(super) env: Vec<(&'static str, String)>,
    /// Settings for `GIT_CONFIG_COUNT`; none of them is secret.
    pub(super) config: Vec<(String, String)>,
    secret: Option<Secret>,
    key: Option<KeyFile>,
}

impl Access {
    /// Reads the secrets the source names for `address`. `home` is lowtide's own directory for git.
    ///
    /// # Errors
    /// `Secret`; `Denied` where a token would travel in the clear.
    pub(super) fn open(source: &Source, address: &Address, home: &Path) -> Result<Self, GitError> {
        match address.protocol {
            Protocol::Https | Protocol::Http => Self::by_token(source, address),
            Protocol::Ssh => Self::by_key(source, home),
            Protocol::Git | Protocol::File => Ok(Self::default()),
        }
    }

    /// For a submodule elsewhere: none of the source's credentials, but ssh still keeps to our known hosts.
    pub(super) fn strangers(address: &Address, home: &Path) -> Self {
        let mut access = Self::default();
        if address.protocol == Protocol::Ssh {
            access.env = ssh_env(&ssh_command(home, &[]));
        }
        access
    }

    /// The text without the secret and without control characters.
    pub(super) fn redacted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if let Some(secret) = self.secret.as_ref().map(Secret::expose).filter(|s| !s.is_empty()) {
            text = text.replace(secret, "***").replace(&percent_encoded(secret), "***");
        }
        text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
    }

    fn by_token(source: &Source, address: &Address) -> Result<Self, GitError> {
        let (Some(reference), Some(origin)) = (&source.token, address.origin()) else {
            return Ok(Self::default());
        };
        if address.protocol == Protocol::Http && !address.is_loopback() {
            return Err(GitError::Denied {
                url: address.to_string(),
                said: "a token is not sent over plain http".into(),
            });
        }
        let token = secrets::read(reference).map_err(GitError::Secret)?;
        // A line break would end the credential protocol's line, and what follows would be read as another field.
        if token.expose().is_empty() || token.expose().contains(['\n', '\r', '\0']) {
            let detail = format!("{reference} is empty or has more than one line");
            return Err(GitError::Secret(Failure::new(FailureKind::SecretMissing, detail)));
        }
        let user = source.username.clone().unwrap_or_else(|| TOKEN_USER.to_owned());
        Ok(Self {
            env: vec![
                ("LOWTIDE_GIT_USERNAME", user),
                ("LOWTIDE_GIT_PASSWORD", token.expose().to_owned()),
            ],
            // Bound to the origin: a redirect or a submodule elsewhere is offered nothing.
            config: vec![(format!("credential.{origin}.helper"), HELPER.to_owned())],
            secret: Some(token),
            key: None,
        })
    }

    fn by_key(source: &Source, home: &Path) -> Result<Self, GitError> {
        let mut access = Self::default();
        if let Some(reference) = &source.ssh_key {
            let text = secrets::read(reference).map_err(GitError::Secret)?;
            let key =
                KeyFile::write(&home.join("keys"), &text).map_err(GitError::io("a key file cannot be written"))?;
            let path = quoted(&key.0.to_string_lossy());
            access.env = ssh_env(&ssh_command(
                home,
                &["-o IdentitiesOnly=yes -o IdentityAgent=none -i", &path],
            ));
            access.key = Some(key);
        } else {
            access.env = ssh_env(&ssh_command(home, &[]));
            access
                .env
                .extend(std::env::var("SSH_AUTH_SOCK").map(|agent| ("SSH_AUTH_SOCK", agent)));
        }
        Ok(access)
    }
}

fn ssh_command(home: &Path, more: &[&str]) -> String {
    // The inner quotes are for ssh, which would read a path with a space as two files.
    let known_hosts = quoted(&format!(
        "UserKnownHostsFile=\"{}\"",
        home.join("known_hosts").display()
    ));
    let command = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=20";
    format!("{command} -o {known_hosts} {}", more.join(" "))
}

fn ssh_env(command: &str) -> Vec<(&'static str, String)> {
    vec![
        ("GIT_SSH_COMMAND", command.to_owned()),
        ("GIT_SSH_VARIANT", "ssh".to_owned()),
    ]
}

/// ssh reads keys only from files, and only from private ones: mounted secrets are often readable by all. What a
/// kill -9 leaves behind goes at the next start.
struct KeyFile(PathBuf);

impl KeyFile {
    fn write(dir: &Path, key: &Secret) -> std::io::Result<Self> {
        let path = dir.join(ulid::Ulid::generate().to_string());
        let file = Self(path.clone());
        let mut out = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        // ssh refuses a key without its last line break.
        out.write_all(key.expose().trim_end().as_bytes())?;
        out.write_all(b"\n")?;
        Ok(file)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        // Already gone, or swept at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// For the shell that reads `GIT_SSH_COMMAND`.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
