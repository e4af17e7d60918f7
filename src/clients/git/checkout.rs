//! A commit becomes a directory of files: listed, judged, and only then written.

use super::address::{Address, Protocol};
use super::error::GitError;
use super::listing::{self, Entry, Followed, Kind};
use super::mirror::{Call, Mirror};
use super::process::Growth;
use super::remote::{Git, deadline};
use lowtide_model::policy::Source;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use tokio::time::Instant;

/// Bytes of a listing of all files: MAX_FILES of them with 300 bytes each.
const LISTING: usize = 64 << 20;
/// Submodules in all, at any depth.
const MAX_SUBMODULES: usize = 64;
/// PATH_MAX: no link can be longer.
const MAX_TARGET: u64 = 4096;
/// Git LFS writes files that are larger than what the commit holds; they are watched while they come.
const LFS: &[(&str, &str)] = &[
    ("filter.lfs.process", "git-lfs filter-process"),
    ("filter.lfs.smudge", "git-lfs smudge -- %f"),
    ("filter.lfs.required", "true"),
];

/// One repository of a tree: the source's own, or a submodule.
struct Part {
    /// Where it lies in the tree; empty for the root.
    within: String,
    address: Address,
    commit: String,
}

/// All that a checkout will write.
#[derive(Default)]
struct Plan {
    parts: Vec<Part>,
    entries: Vec<Entry>,
    links: BTreeMap<String, String>,
}

impl Git {
    /// Puts exactly that commit's files into `into`, without a `.git`. What is there before is removed. After an error
    /// the directory is gone.
    ///
    /// # Errors
    /// As [`Git::resolve`]; `Hostile` and `TooLarge` before anything is written.
    pub async fn checkout(&self, source: &Source, commit: &str, into: &Path) -> Result<(), GitError> {
        let deadline = deadline(source);
        let plan = self.plan(source, commit, deadline).await?;
        listing::check(&plan.entries, &plan.links, source.max_size)?;
        check_paths(source, &plan)?;
        remove(into).await?;
        let written = self.write(source, &plan.parts, into, deadline).await;
        if written.is_err() {
            remove(into).await?;
        }
        written
    }

    async fn plan(&self, source: &Source, commit: &str, deadline: Instant) -> Result<Plan, GitError> {
        let mut plan = Plan::default();
        let mut open = VecDeque::from([Part {
            within: String::new(),
            address: Address::parse(&source.repo)?,
            commit: commit.to_owned(),
        }]);
        // Only one mirror is locked at a time: otherwise two runs that use each other's repositories as submodules
        // could deadlock.
        while let Some(part) = open.pop_front() {
            let mirror = self.open(source, part.address.as_str(), deadline).await?;
            let (entries, links) = mirror.list_healed(&part.commit, &part.within).await?;
            if source.submodules {
                open.extend(submodules(&mirror, &part, &entries).await?);
            }
            plan.entries
                .extend(entries.into_iter().filter(|e| e.kind != Kind::Submodule));
            plan.links.extend(links);
            plan.parts.push(part);
            if plan.parts.len() + open.len() > MAX_SUBMODULES + 1 {
                return Err(GitError::TooLarge {
                    what: "the number of submodules".into(),
                    limit: MAX_SUBMODULES.to_string(),
                });
            }
        }
        Ok(plan)
    }

    async fn write(&self, source: &Source, parts: &[Part], into: &Path, deadline: Instant) -> Result<(), GitError> {
        let lfs = has_lfs();
        for part in parts {
            let tree = into.join(&part.within);
            let failed = GitError::io("the directory for a checkout cannot be created");
            tokio::fs::create_dir_all(&tree).await.map_err(failed)?;
            let mut mirror = self.open(source, part.address.as_str(), deadline).await?;
            // The mirror may have been made anew since it was listed.
            mirror.bring(&part.commit).await?;
            if lfs {
                let url = ("remote.origin.url".to_owned(), part.address.as_str().to_owned());
                let settings = LFS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
                mirror.access.config.extend(settings.chain([url]));
            }
            write_part(&mirror, &part.commit, &tree, lfs, into).await?;
        }
        Ok(())
    }
}

impl Mirror {
    /// All files of a commit, and where its links lead. A damaged mirror is made anew once.
    pub(super) async fn list_healed(
        &self,
        commit: &str,
        within: &str,
    ) -> Result<(Vec<Entry>, BTreeMap<String, String>), GitError> {
        match self.list(commit, within).await {
            Err(GitError::Broken { .. }) => {
                self.remake().await?;
                self.list(commit, within).await
            }
            other => other,
        }
    }

    async fn list(&self, commit: &str, within: &str) -> Result<(Vec<Entry>, BTreeMap<String, String>), GitError> {
        let id = self.bring(commit).await?;
        let args = ["ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", &id];
        let call = Call {
            max_output: LISTING,
            ..Call::local(&args)
        };
        let entries = listing::parse(&self.git(call).await?, within)?;
        let links = self.links(&entries).await?;
        Ok((entries, links))
    }

    async fn links(&self, entries: &[Entry]) -> Result<BTreeMap<String, String>, GitError> {
        let links: Vec<&Entry> = entries.iter().filter(|e| e.kind == Kind::Link).collect();
        if let Some(long) = links.iter().find(|e| e.size > MAX_TARGET) {
            let what = format!("the link {:?} is {} bytes long", long.path, long.size);
            return Err(GitError::Hostile { what });
        }
        if links.is_empty() {
            return Ok(BTreeMap::new());
        }
        let call = Call {
            input: links.iter().flat_map(|e| format!("{}\n", e.id).into_bytes()).collect(),
            max_output: LISTING,
            ..Call::local(&["cat-file", "--batch"])
        };
        let output = self.git(call).await?;
        let mut rest = output.as_slice();
        let mut found = BTreeMap::new();
        for link in links {
            // `<id> blob <size>`, line feed, contents, line feed (git-cat-file(1)).
            let size = usize::try_from(link.size).unwrap_or(0);
            let start = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
            let Some(target) = rest.get(start..start + size) else {
                let said = format!("git cat-file does not show {:?}", link.path);
                return Err(GitError::Broken {
                    url: self.address.to_string(),
                    said,
                });
            };
            rest = rest.get(start + size + 1..).unwrap_or_default();
            let target = String::from_utf8_lossy(target);
            if target.chars().any(char::is_control) {
                let what = format!("the link {:?} has control characters", link.path);
                return Err(GitError::Hostile { what });
            }
            found.insert(link.path.clone(), target.into_owned());
        }
        Ok(found)
    }
}

async fn submodules(mirror: &Mirror, part: &Part, entries: &[Entry]) -> Result<Vec<Part>, GitError> {
    let wanted: Vec<&Entry> = entries.iter().filter(|e| e.kind == Kind::Submodule).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let urls = gitmodules(mirror, part).await?;
    let mut found = Vec::new();
    for entry in wanted {
        let path = entry
            .path
            .strip_prefix(&format!("{}/", part.within))
            .unwrap_or(&entry.path);
        let Some(url) = urls.get(path) else {
            return Err(mirror.missing(format!("the address of the submodule {path:?}")));
        };
        let address = part.address.relative(url)?;
        // A repository from elsewhere must not name files of this machine.
        if address.protocol == Protocol::File && part.address.protocol != Protocol::File {
            let what = format!("the submodule {path:?} is a path on this machine");
            return Err(GitError::Hostile { what });
        }
        found.push(Part {
            within: entry.path.clone(),
            address,
            commit: entry.id.clone(),
        });
    }
    Ok(found)
}

/// Path to address, as `.gitmodules` says (gitmodules(5)).
async fn gitmodules(mirror: &Mirror, part: &Part) -> Result<BTreeMap<String, String>, GitError> {
    let blob = format!("{}:.gitmodules", part.commit);
    let args = ["config", "--blob", &blob, "--null", "--list"];
    let output = match mirror.git(Call::local(&args)).await {
        Err(GitError::Broken { said, .. }) => {
            let what = format!("its .gitmodules cannot be read: {said}");
            return Err(GitError::Hostile { what });
        }
        other => other?,
    };
    let output = String::from_utf8_lossy(&output);
    let mut modules: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for (key, value) in output.split('\0').filter_map(|setting| setting.split_once('\n')) {
        let Some((name, field)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let module = modules.entry(name).or_default();
        match field {
            "path" => module.0 = Some(value),
            "url" => module.1 = Some(value),
            _ => {}
        }
    }
    let known = modules
        .into_values()
        .filter_map(|(path, url)| Some((path?.to_owned(), url?.to_owned())));
    Ok(known.collect())
}

async fn write_part(mirror: &Mirror, commit: &str, tree: &Path, lfs: bool, into: &Path) -> Result<(), GitError> {
    let index = mirror.dir.join("lowtide-checkout.index");
    let place = Some((tree, index.as_path()));
    // Left by a killed checkout; git would trust it.
    remove(&index).await?;
    let args = ["read-tree", "--end-of-options", commit];
    let read = Call {
        tree: place,
        ..Call::local(&args)
    };
    mirror.git(read).await?;
    let write = Call {
        tree: place,
        // LFS fetches from the remote, and what it brings is counted; plain files were counted beforehand.
        remote: lfs,
        growth: lfs.then(|| Growth {
            dir: into.to_owned(),
            max: mirror.max_size,
        }),
        ..Call::local(&["checkout-index", "--all", "--force", "--quiet"])
    };
    let written = mirror.git(write).await.map(drop);
    remove(&index).await?;
    written
}

/// Context and Dockerfile are paths inside the tree, links included.
fn check_paths(source: &Source, plan: &Plan) -> Result<(), GitError> {
    let dockerfile = format!("{}/{}", source.context, source.dockerfile);
    for (what, path) in [("context", &source.context), ("Dockerfile", &dockerfile)] {
        let absolute = source.context.starts_with('/') || source.dockerfile.starts_with('/');
        if absolute || listing::follow(path, &plan.links) == Followed::Outside {
            let what = format!("the {what} {path:?} is not inside the repository");
            return Err(GitError::Hostile { what });
        }
    }
    Ok(())
}

/// Is `git-lfs` where git would find it?
fn has_lfs() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("git-lfs").is_file()))
}

async fn remove(path: &Path) -> Result<(), GitError> {
    let removed = match tokio::fs::symlink_metadata(path).await {
        Ok(meta) if meta.is_dir() => tokio::fs::remove_dir_all(path).await,
        Ok(_) => tokio::fs::remove_file(path).await,
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(GitError::io(format!("{} cannot be removed", path.display()))(e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
