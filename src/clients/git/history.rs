//! What the history of the tracked branch says of one commit. Needs all of it, where a build needs one commit only.

use super::error::GitError;
use super::mirror::{Call, Mirror};
use super::remote::{Git, deadline};
use crate::model::fleet::Source;
use crate::model::stages::resolve::Commit;
use jiff::Timestamp;

/// Bytes of a commit's list of files.
const PATHS: usize = 16 << 20;

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
    /// Files that it adds or changes, from the root of the repository; of a merge, what it brought to the branch.
    pub paths: Vec<String>,
}

impl Git {
    /// Looks for a commit (hex, at least seven digits) in the history of what the source tracks; `None`: it is not there.
    ///
    /// # Errors
    /// As [`Git::resolve`].
    pub async fn find(&self, source: &Source, id: &str, earlier: &[Earlier]) -> Result<Option<Found>, GitError> {
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
        let paths = mirror.paths(&id).await?;
        Ok(Some(Found { commit, newer, paths }))
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
            // The branch was rewritten, or the release is forgotten: only the clock is left.
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

    async fn paths(&self, id: &str) -> Result<Vec<String>, GitError> {
        let parent = format!("{id}^1");
        let answer = match self.known(&parent).await? {
            Some(parent) => {
                // What is only deleted proves nothing.
                let options = [
                    "diff-tree",
                    "-r",
                    "-z",
                    "--name-only",
                    "--no-renames",
                    "--diff-filter=d",
                ];
                let args = [&options[..], &["--end-of-options", &parent, id, "--"]].concat();
                self.listed(&args).await?
            }
            None => {
                let args = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", id];
                self.listed(&args).await?
            }
        };
        let names = answer.split(|b| *b == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    async fn listed(&self, args: &[&str]) -> Result<Vec<u8>, GitError> {
        let call = Call {
            answer: PATHS,
            ..Call::local(args)
        };
        self.git(call).await
    }
}
