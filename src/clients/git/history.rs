//! What the history of the tracked branch says of one commit. Needs all of it, where a build needs one commit only.

use super::error::GitError;
use super::mirror::{Call, Mirror};
use super::remote::{Git, deadline};
use jiff::Timestamp;
use lowtide_model::policy::Source;
use lowtide_model::stages::resolve::Commit;

/// Bytes of a commit's list of files.
const PATHS: usize = 16 << 20;
/// Bytes of a file that is read.
const TEXT: usize = 1 << 20;
/// Files read per commit. Files beyond that are not read, and count as more than a blank line.
const READ: usize = 200;
/// Mode of a submodule (gitformat-index(5)).
const SUBMODULE: &str = "160000";

/// A commit that another one is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Full hex id; `None`: it is not known.
    pub commit: Option<String>,
    /// When it was at work: what counts where the branch has it no more.
    pub at: Timestamp,
}

/// A commit of the tracked branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub commit: Commit,
    /// For each of the earlier ones: is it newer, neither that commit nor part of its history?
    pub newer: Vec<bool>,
    /// Files that it adds or changes; of a merge, what it brought to the branch.
    pub files: Vec<TouchedFile>,
}

/// A file that a commit adds or changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedFile {
    /// From the root of the repository.
    pub path: String,
    /// Before (`None`: it is new) and after; `None`: it was not requested, is larger than [`TEXT`], or is a submodule.
    pub text: Option<(Option<Vec<u8>>, Vec<u8>)>,
}

impl Git {
    /// Looks for a commit (hex, at least seven digits) in the history of what the source tracks; `None`: it is not there.
    /// The files whose paths are `wanted` are read.
    ///
    /// # Errors
    /// As [`Git::resolve`].
    pub async fn find(
        &self,
        source: &Source,
        id: &str,
        earlier: &[Earlier],
        wanted: &(impl Fn(&str) -> bool + Sync),
    ) -> Result<Option<Found>, GitError> {
        let mirror = self.open(source, &source.repo, deadline(source)).await?;
        let tip = mirror.history(&source.git_ref).await?;
        let Some(id) = mirror.known(id).await? else {
            return Ok(None);
        };
        if !mirror.reaches(&tip, &id).await? {
            return Ok(None);
        }
        let commit = super::remote::describe(&mirror, &id).await?;
        let mut newer = Vec::new();
        for earlier in earlier {
            newer.push(mirror.is_newer(&commit, earlier, &tip).await?);
        }
        let mut files = Vec::new();
        let mut read = 0;
        for (path, ids) in mirror.touched(&id).await? {
            let text = match ids.filter(|_| wanted(&path) && read < READ) {
                Some((old, new)) => {
                    read += 1;
                    mirror.text(old.as_deref(), &new).await?
                }
                None => None,
            };
            files.push(TouchedFile { path, text });
        }
        Ok(Some(Found { commit, newer, files }))
    }
}

impl Mirror {
    async fn is_newer(&self, commit: &Commit, earlier: &Earlier, tip: &str) -> Result<bool, GitError> {
        let known = match &earlier.commit {
            Some(id) => self.known(id).await?,
            None => None,
        };
        match known {
            Some(id) if self.reaches(tip, &id).await? => Ok(!self.reaches(&id, &commit.id).await?),
            // The branch was rewritten, or the release's commit is unknown: only the times can be compared.
            Some(_) | None => Ok(commit.time > earlier.at),
        }
    }

    /// The full id of a commit, if the mirror has it.
    async fn known(&self, id: &str) -> Result<Option<String>, GitError> {
        match self.commit(id).await {
            Ok(id) => Ok(Some(id)),
            Err(GitError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Is `id` the commit `from`, or part of its history?
    async fn reaches(&self, from: &str, id: &str) -> Result<bool, GitError> {
        let without = format!("^{from}");
        let args = ["rev-list", "--max-count=1", "--end-of-options", id, &without, "--"];
        Ok(self.git(Call::local(&args)).await?.is_empty())
    }

    /// Each path with the ids of its contents before and after; none for a submodule.
    async fn touched(&self, id: &str) -> Result<Vec<(String, Option<Ids>)>, GitError> {
        let parent = format!("{id}^1");
        match self.known(&parent).await? {
            Some(parent) => {
                // What is only deleted proves nothing.
                let options = [
                    "diff-tree",
                    "-r",
                    "-z",
                    "--raw",
                    "--no-abbrev",
                    "--no-renames",
                    "--diff-filter=d",
                ];
                let args = [&options[..], &["--end-of-options", &parent, id, "--"]].concat();
                Ok(differing(&self.listed(&args).await?))
            }
            None => {
                let args = ["ls-tree", "-r", "-z", "--full-tree", id];
                Ok(all(&self.listed(&args).await?))
            }
        }
    }

    /// Both texts; `None`: one of them is too large.
    async fn text(&self, old: Option<&str>, new: &str) -> Result<Option<(Option<Vec<u8>>, Vec<u8>)>, GitError> {
        let old = match old {
            None => None,
            Some(id) => match self.blob(id).await? {
                None => return Ok(None),
                read => read,
            },
        };
        Ok(self.blob(new).await?.map(|new| (old, new)))
    }

    async fn blob(&self, id: &str) -> Result<Option<Vec<u8>>, GitError> {
        let args = ["cat-file", "-s", id];
        let size = self.git(Call::local(&args)).await?;
        let size = String::from_utf8_lossy(&size)
            .trim()
            .parse::<usize>()
            .unwrap_or(usize::MAX);
        if size > TEXT {
            return Ok(None);
        }
        let args = ["cat-file", "blob", id];
        let call = Call {
            max_output: TEXT,
            ..Call::local(&args)
        };
        self.git(call).await.map(Some)
    }

    async fn listed(&self, args: &[&str]) -> Result<Vec<u8>, GitError> {
        let call = Call {
            max_output: PATHS,
            ..Call::local(args)
        };
        self.git(call).await
    }
}

/// Of what was there before (`None`: nothing), and of what is.
type Ids = (Option<String>, String);

/// `:MODE MODE ID ID STATUS`, NUL, path, NUL (git-diff-tree(1), raw output).
fn differing(output: &[u8]) -> Vec<(String, Option<Ids>)> {
    let mut fields = fields(output);
    let mut files = Vec::new();
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        let parts: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let ids = match parts.as_slice() {
            [SUBMODULE, ..] | [_, SUBMODULE, ..] => None,
            [_, _, old, new, _] => {
                let old = Some(*old).filter(|old| old.bytes().any(|b| b != b'0'));
                Some((old.map(ToOwned::to_owned), (*new).to_owned()))
            }
            _ => None,
        };
        files.push((path, ids));
    }
    files
}

/// `MODE TYPE ID`, tab, path, NUL (git-ls-tree(1)): the first commit adds all there is.
fn all(output: &[u8]) -> Vec<(String, Option<Ids>)> {
    let of = |line: String| {
        let (head, path) = line.split_once('\t')?;
        let id = head.rsplit(' ').next()?;
        let ids = (!head.starts_with(SUBMODULE)).then(|| (None, id.to_owned()));
        Some((path.to_owned(), ids))
    };
    fields(output).filter_map(of).collect()
}

fn fields(output: &[u8]) -> impl Iterator<Item = String> {
    let fields = output.split(|b| *b == 0).filter(|field| !field.is_empty());
    fields.map(|field| String::from_utf8_lossy(field).into_owned())
}
