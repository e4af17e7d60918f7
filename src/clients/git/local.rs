//! A repository on this machine that its user works in.

use super::error::GitError;
use super::process::{self, Bounds, End};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// `git rev-parse` reads a few files.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_OUTPUT: usize = 16 << 10;

/// The top folder of the repository that `folder` is in.
///
/// # Errors
/// `Missing` where there is none.
pub async fn top(folder: &Path) -> Result<PathBuf, GitError> {
    Ok(PathBuf::from(
        rev_parse(folder, &["--show-toplevel"], "a repository").await?,
    ))
}

/// The full id of the commit that `name` means there, as git understands it: `HEAD`, a branch, a tag, the start of an id.
///
/// # Errors
/// `Missing` where it means none.
pub async fn commit(folder: &Path, name: &str) -> Result<String, GitError> {
    let object = format!("{name}^{{commit}}");
    let args = ["--verify", "--quiet", "--end-of-options", &object];
    rev_parse(folder, &args, &format!("the commit {name}")).await
}

async fn rev_parse(folder: &Path, args: &[&str], what: &str) -> Result<String, GitError> {
    let url = folder.display().to_string();
    // The user's own environment: it is the user's own repository.
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).arg("rev-parse").args(args);
    let bounds = Bounds {
        deadline: Instant::now() + PATIENCE,
        stdout: MAX_OUTPUT,
        growth: None,
    };
    let end = process::run(command, Vec::new(), bounds);
    match end.await.map_err(GitError::io("the git command cannot be run"))? {
        End::Exited { status, stdout, .. } if status.success() => {
            Ok(String::from_utf8_lossy(&stdout).trim_end_matches('\n').to_owned())
        }
        End::Exited { stderr, .. } => Err(missing(url, what, &stderr)),
        End::TimedOut => Err(GitError::Timeout { url, limit: PATIENCE }),
        End::TooMuchOutput | End::TooLarge => Err(GitError::TooLarge {
            what: "the answer to git rev-parse".to_owned(),
            limit: format!("{MAX_OUTPUT} bytes"),
        }),
    }
}

fn missing(url: String, what: &str, stderr: &[u8]) -> GitError {
    let said = String::from_utf8_lossy(stderr).trim().to_owned();
    if said.is_empty() {
        let what = what.to_owned();
        return GitError::Missing { url, what };
    }
    GitError::Gone { url, said }
}
