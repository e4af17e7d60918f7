//! Credential helpers: the programs and the protocol of docker-credential-helpers.

use super::{Credential, CredentialError, Credentials, HelperProblem};
use lowtide_model::secret::Secret;
use serde::Deserialize;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A helper's output holds at most a long token.
const OUTPUT_LIMIT: u64 = 64 << 10;

impl Credentials {
    /// `None`: the helper knows no credential for it.
    pub(super) async fn query_helper(&self, helper: &str, key: &str) -> Result<Option<Credential>, CredentialError> {
        let program = format!("docker-credential-{helper}");
        let failed = |problem| CredentialError::Helper {
            helper: program.clone(),
            problem,
        };
        if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(failed(HelperProblem::Name));
        }
        match tokio::time::timeout(self.helper_limit, self.run(&program, key)).await {
            Err(_) => Err(failed(HelperProblem::Timeout(self.helper_limit))),
            Ok(Err(e)) => Err(failed(HelperProblem::Start(e))),
            Ok(Ok((status, output))) if status.success() => parse_output(&output)
                .map(Some)
                .ok_or_else(|| failed(HelperProblem::Malformed)),
            // The protocol's only way to say "not found" is this text (docker-credential-helpers, `errCredentialsNotFound`).
            Ok(Ok((_, output))) if output.starts_with(b"credentials not found") => Ok(None),
            Ok(Ok((status, _))) => Err(failed(HelperProblem::Exit(status))),
        }
    }

    async fn run(&self, program: &str, key: &str) -> std::io::Result<(std::process::ExitStatus, Vec<u8>)> {
        let mut command = tokio::process::Command::new(program);
        if let Some(path) = &self.helper_path {
            command.env("PATH", path);
        }
        let mut child = command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that responds without reading closes its end; its output counts.
            let _ = stdin.write_all(key.as_bytes()).await;
        }
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_LIMIT).read_to_end(&mut output).await?;
        }
        Ok((child.wait().await?, output))
    }
}

fn parse_output(output: &[u8]) -> Option<Credential> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct HelperOutput {
        username: String,
        secret: String,
    }
    let HelperOutput { username, secret } = serde_json::from_slice(output).ok()?;
    let secret = Secret::new(secret);
    Some(match username.as_str() {
        "<token>" => Credential::IdentityToken(secret),
        _ => Credential::Basic {
            username,
            password: secret,
        },
    })
}
