//! One cached bare mirror of one remote, and git run inside it.

use super::access::Access;
use super::address::Address;
use super::error::GitError;
use super::process::{self, Bounds, End, Growth};
use lowtide_model::policy::GitRef;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// Bytes a fetch may bring beyond the tree's own limit: commits, directories, packing.
const SLACK: u64 = 16 << 20;
/// A whole history, fetched where a server gives out no single commit, may be so many times the tree's limit.
const HISTORY: u64 = 8;
/// git's own word for "no limit" of a depth (git-fetch(1)); it also completes a shallow mirror.
const ALL: &str = "2147483647";
/// A mirror that grew beyond so many times the tree's limit is made anew: old commits are never packed away.
const OLD_COMMITS: u64 = 4;
/// Bytes of the answer of an ordinary git command.
const MAX_OUTPUT: usize = 1 << 20;
/// What of our environment git may see: to find its programs, the way out, and the certificates.
const PASSED_ON: &[&str] = &[
    "PATH",
    "TMPDIR",
    "GIT_EXEC_PATH",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// An open mirror; nobody else touches it meanwhile.
pub(super) struct Mirror {
    pub(super) dir: PathBuf,
    pub(super) home: PathBuf,
    pub(super) address: Address,
    pub(super) access: Access,
    pub(super) deadline: Instant,
    /// The whole time limit, for messages.
    pub(super) timeout: Duration,
    pub(super) max_size: u64,
    pub(super) _lock: OwnedMutexGuard<()>,
}

/// One git command.
pub(super) struct Call<'a> {
    pub(super) args: &'a [&'a str],
    pub(super) input: Vec<u8>,
    /// Bytes of the answer.
    pub(super) max_output: usize,
    /// May it talk to the remote? Then it gets the credentials.
    pub(super) remote: bool,
    pub(super) growth: Option<Growth>,
    /// Work tree and index.
    pub(super) tree: Option<(&'a Path, &'a Path)>,
}

impl<'a> Call<'a> {
    pub(super) fn local(args: &'a [&'a str]) -> Self {
        Self {
            args,
            input: Vec::new(),
            max_output: MAX_OUTPUT,
            remote: false,
            growth: None,
            tree: None,
        }
    }
    fn remote(args: &'a [&'a str]) -> Self {
        Self {
            remote: true,
            ..Self::local(args)
        }
    }
}

/// Directory name of a remote's mirror.
pub(super) fn name(address: &Address) -> String {
    let hash = Sha256::digest(address.as_str());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Mirror {
    /// Creates the mirror where there is none, and clears what a killed git left in it.
    pub(super) async fn prepare(&self) -> Result<(), GitError> {
        let bound = self.max_size.saturating_mul(OLD_COMMITS).saturating_add(SLACK);
        if process::size(&self.dir).await > bound {
            self.remove().await?;
        }
        if !exists(&self.dir.join("HEAD")).await {
            self.create().await?;
        }
        // We hold the mirror: whatever lock there is, its owner is dead.
        for place in ["", "objects/pack"] {
            sweep(&self.dir.join(place)).await;
        }
        // Its age says when the mirror was last of use.
        let used = self.dir.join(super::remote::USED);
        tokio::fs::write(used, b"")
            .await
            .map_err(GitError::io("a git mirror cannot be written"))
    }

    /// Deletes the mirror and makes it anew.
    pub(super) async fn remake(&self) -> Result<(), GitError> {
        tracing::warn!(remote = %self.address, "the git mirror is damaged and made anew");
        self.remove().await?;
        self.create().await
    }

    /// The commit that the remote's ref points at, without fetching it. A commit given by its id is brought into the
    /// mirror: there is no other way to ask a remote for one.
    pub(super) async fn probe(&self, wanted: &GitRef) -> Result<String, GitError> {
        match ref_name(wanted)? {
            Some(name) => self.tip(&name).await,
            None => self.resolve(wanted).await,
        }
    }

    /// The commit a ref means now, present in the mirror.
    pub(super) async fn resolve(&self, wanted: &GitRef) -> Result<String, GitError> {
        let name = match (wanted, ref_name(wanted)?) {
            (GitRef::Commit(id), _) => return self.bring(id).await,
            (GitRef::Head | GitRef::Branch(_) | GitRef::Tag(_), name) => name.unwrap_or_else(|| "HEAD".to_owned()),
        };
        let tip = self.tip(&name).await?;
        if self.has(&tip).await? {
            return Ok(tip);
        }
        self.fetch_ref(&name).await
    }

    /// Makes sure that a commit is in the mirror, by its id; gives the full id.
    pub(super) async fn bring(&self, id: &str) -> Result<String, GitError> {
        let hex = id.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || !(7..=64).contains(&id.len()) {
            return Err(self.missing(format!("{id:?}, which is not a commit id,")));
        }
        let full = matches!(id.len(), 40 | 64);
        if full && self.has(id).await? {
            return Ok(id.to_ascii_lowercase());
        }
        let alone = if full {
            self.fetch_ref(id).await
        } else {
            Err(self.missing(id))
        };
        match alone {
            // The server may only refuse to give out single commits.
            Err(GitError::Missing { .. }) => self.bring_history(id).await,
            other => other,
        }
    }

    /// Runs git in the mirror and gives its output.
    pub(super) async fn git(&self, call: Call<'_>) -> Result<Vec<u8>, GitError> {
        let shown = call.args.first().copied().unwrap_or_default();
        tracing::debug!(remote = %self.address, command = shown, "git");
        let bounds = Bounds {
            deadline: self.deadline,
            stdout: call.max_output,
            growth: call.growth,
        };
        let command = self.command(call.args, call.remote, call.tree);
        let end = process::run(command, call.input, bounds);
        match end.await.map_err(GitError::io("the git command cannot be run"))? {
            End::Exited { status, stdout, .. } if status.success() => Ok(stdout),
            End::Exited { status, stderr, .. } => {
                let words = self.last_words(&stderr);
                let said = if words.is_empty() {
                    format!("git {shown}: {status}")
                } else {
                    words
                };
                Err(GitError::from_words(self.address.to_string(), said))
            }
            End::TimedOut => Err(GitError::Timeout {
                url: self.address.to_string(),
                limit: self.timeout,
            }),
            End::TooMuchOutput => Err(GitError::TooLarge {
                what: format!("the answer to git {shown}"),
                limit: format!("{} bytes", call.max_output),
            }),
            End::TooLarge => {
                // The half that came is of no use and takes the disk.
                self.remove().await?;
                Err(GitError::TooLarge {
                    what: format!("what {} sends", self.address),
                    limit: format!("{} bytes", self.max_size),
                })
            }
        }
    }

    pub(super) fn missing(&self, what: impl Into<String>) -> GitError {
        GitError::Missing {
            url: self.address.to_string(),
            what: what.into(),
        }
    }

    /// What the remote's ref points at, tags peeled.
    async fn tip(&self, name: &str) -> Result<String, GitError> {
        let peeled = format!("{name}^{{}}");
        let args = [
            "ls-remote",
            "--quiet",
            "--end-of-options",
            self.address.as_str(),
            name,
            &peeled,
        ];
        let output = self.git(Call::remote(&args)).await?;
        let output = String::from_utf8_lossy(&output);
        let refs = || output.lines().filter_map(|line| line.split_once('\t'));
        // Patterns match at the end of longer names too (git-ls-remote(1)).
        let exact = |wanted: &str| refs().find(|(_, found)| *found == wanted).map(|(id, _)| id.to_owned());
        match exact(&peeled).or_else(|| exact(name)) {
            Some(id) => Ok(id),
            None if self.is_empty().await? => Err(GitError::Empty {
                url: self.address.to_string(),
            }),
            None => Err(self.missing(name.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/"))),
        }
    }

    async fn is_empty(&self) -> Result<bool, GitError> {
        let args = ["ls-remote", "--quiet", "--end-of-options", self.address.as_str()];
        match self.git(Call::remote(&args)).await {
            Ok(output) => Ok(output.is_empty()),
            Err(GitError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn has(&self, id: &str) -> Result<bool, GitError> {
        let object = format!("{id}^{{tree}}");
        match self
            .git(Call::local(&[
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &object,
            ]))
            .await
        {
            Ok(_) => Ok(true),
            // git reports an absent object and a damaged mirror alike; the fetch that follows tells them apart.
            Err(GitError::Broken { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn fetch_ref(&self, name: &str) -> Result<String, GitError> {
        let local_ref = format!("refs/lowtide/{}", self::short_hash(name));
        let fetched = self.fetch("1", &[&format!("+{name}:{local_ref}")], 1).await;
        if let Err(GitError::Missing { .. }) = fetched {
            return Err(self.missing(name));
        }
        fetched?;
        self.commit(&local_ref).await
    }

    /// The commit a ref means now, with everything before it.
    pub(super) async fn history(&self, wanted: &GitRef) -> Result<String, GitError> {
        match ref_name(wanted)? {
            Some(name) => {
                let local_ref = format!("refs/lowtide/{}", self::short_hash(&name));
                self.fetch(ALL, &[&format!("+{name}:{local_ref}")], HISTORY).await?;
                self.commit(&local_ref).await
            }
            None => {
                let tip = self.resolve(wanted).await?;
                self.bring_history(&tip).await
            }
        }
    }

    async fn bring_history(&self, id: &str) -> Result<String, GitError> {
        let everything = ["+refs/heads/*:refs/lowtide/heads/*", "+refs/tags/*:refs/lowtide/tags/*"];
        self.fetch(ALL, &everything, HISTORY).await?;
        match self.commit(id).await {
            Err(GitError::Missing { .. }) if self.is_empty().await? => Err(GitError::Empty {
                url: self.address.to_string(),
            }),
            other => other,
        }
    }

    async fn fetch(&self, depth: &str, refspecs: &[&str], times: u64) -> Result<(), GitError> {
        let depth = format!("--depth={depth}");
        let mut args = vec![
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
        ];
        args.extend([
            "--no-write-fetch-head",
            "--force",
            &depth,
            "--end-of-options",
            self.address.as_str(),
        ]);
        args.extend(refspecs);
        let more = self.max_size.saturating_mul(times).saturating_add(SLACK);
        let growth = Growth {
            dir: self.dir.clone(),
            max: process::size(&self.dir).await.saturating_add(more),
        };
        let call = Call {
            growth: Some(growth),
            ..Call::remote(&args)
        };
        self.git(call).await.map(drop)
    }

    pub(super) async fn commit(&self, name: &str) -> Result<String, GitError> {
        let object = format!("{name}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &object];
        match self.git(Call::local(&args)).await {
            Ok(output) => Ok(String::from_utf8_lossy(&output).trim().to_owned()),
            Err(GitError::Broken { .. }) => Err(self.missing(format!("the commit {name}"))),
            Err(error) => Err(error),
        }
    }

    fn command(&self, args: &[&str], remote: bool, tree: Option<(&Path, &Path)>) -> Command {
        let mut command = Command::new("git");
        command.args(args).env_clear().current_dir(&self.dir);
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("GIT_DIR", &self.dir)
            .env("HOME", self.home.join("home"))
            .env("GIT_CONFIG_GLOBAL", self.home.join("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("LC_ALL", "C");
        if let Some((tree, index)) = tree {
            command
                .env("GIT_WORK_TREE", tree)
                .env("GIT_INDEX_FILE", index)
                .current_dir(tree);
        }
        // Empty: no protocol at all.
        let protocols = if remote { self.address.protocol.allowed() } else { "" };
        command.env("GIT_ALLOW_PROTOCOL", protocols);
        if remote {
            command.envs(self.access.env.iter().map(|(k, v)| (*k, v)));
            command.env("GIT_CONFIG_COUNT", self.access.config.len().to_string());
            for (n, (key, value)) in self.access.config.iter().enumerate() {
                command.env(format!("GIT_CONFIG_KEY_{n}"), key);
                command.env(format!("GIT_CONFIG_VALUE_{n}"), value);
            }
        }
        command
    }

    /// The last lines of standard error, fit for a mail.
    fn last_words(&self, stderr: &[u8]) -> String {
        let text = self.access.redacted(&String::from_utf8_lossy(stderr));
        let lines: Vec<String> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with("hint:"))
            .map(|line| without_user(line).chars().take(300).collect())
            .collect();
        lines[lines.len().saturating_sub(6)..].join("\n")
    }

    async fn create(&self) -> Result<(), GitError> {
        let failed = || GitError::io("a git mirror cannot be created");
        tokio::fs::create_dir_all(&self.dir).await.map_err(failed())?;
        self.git(Call::local(&["init", "--quiet", "--bare", "--template="]))
            .await
            .map(drop)
    }

    async fn remove(&self) -> Result<(), GitError> {
        match tokio::fs::remove_dir_all(&self.dir).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(GitError::io("a git mirror cannot be removed")(e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// A branch or tag name as git-check-ref-format(1) allows it; anything else could be a pattern or an option.
fn checked<'a>(name: &'a str, what: &str) -> Result<&'a str, GitError> {
    let bad = name.is_empty()
        || name.starts_with(['-', '/'])
        || name.ends_with(['/', '.'])
        || name.contains("..")
        || name.contains("//")
        || name.contains("@{")
        || name
            .split('/')
            .any(|part| part.starts_with('.') || part.ends_with(".lock"))
        || name.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c));
    if bad {
        return Err(GitError::Missing {
            url: "any repository".into(),
            what: format!("{name:?}, which cannot be the name of a {what},"),
        });
    }
    Ok(name)
}

/// Redacts `user:password@` in whatever address a line contains.
fn without_user(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.split_once("://") {
        Some((scheme, rest)) if rest.split('/').next().is_some_and(|authority| authority.contains('@')) => {
            let (_, host) = rest.split_once('@').unwrap_or(("", rest));
            format!("{scheme}://{host}")
        }
        Some(_) | None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The full name of a ref; a commit has none.
fn ref_name(wanted: &GitRef) -> Result<Option<String>, GitError> {
    Ok(match wanted {
        GitRef::Commit(_) => None,
        GitRef::Head => Some("HEAD".to_owned()),
        GitRef::Branch(name) => Some(format!("refs/heads/{}", checked(name, "branch")?)),
        GitRef::Tag(name) => Some(format!("refs/tags/{}", checked(name, "tag")?)),
    })
}

async fn exists(path: &Path) -> bool {
    tokio::fs::try_exists(path).await.unwrap_or(false)
}

async fn sweep(dir: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(dir).await else {
        return;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".lock") || name.starts_with("tmp_") {
            // What cannot be removed, git will complain of.
            let _ = tokio::fs::remove_file(entry.path()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ref_names_are_names() {
        for good in ["main", "feature/x-1", "v1.0", "ü"] {
            assert!(checked(good, "branch").is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a b",
            "a..b",
            "*",
            "a:b",
            "a^",
            "x.lock",
            ".x",
            "a/.b",
            "a\nb",
            "@{u}",
            "a/",
        ] {
            assert!(checked(bad, "branch").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_before_an_at_sign_is_shown() {
        insta::assert_snapshot!(
            without_user("fatal: unable to access 'https://bot:hunter2@git.example.org/a/': x@y"),
            @"fatal: unable to access 'https://git.example.org/a/': x@y"
        );
    }
}
