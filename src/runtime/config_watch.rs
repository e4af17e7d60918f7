//! Where the configuration comes from: a file, or a path in a git repository.

use super::bot::{Bot, InForce};
use super::config_beside;
use crate::clients::clock;
use crate::clients::git::remote::Git;
use crate::store::error::StoreError;
use jiff::SignedDuration;
use lowtide_core::config::validate;
use lowtide_core::decide::notify;
use lowtide_core::yaml::age::Beside;
use lowtide_core::yaml::diagnostic::{self, Problem};
use lowtide_model::failure::{Failure, Finding};
use lowtide_model::message::{Addressees, ConfigCommit, Message, MessageBody};
use lowtide_model::policy::{GitRef, Source};
use lowtide_model::trouble::RefusedRevision;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// The most a configuration may weigh; `config` refuses more with a problem, this only bounds the read.
const MAX_BYTES: u64 = 16 << 20;

/// Between a request to look again and the look.
const SETTLE: Duration = Duration::from_millis(500);

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
    /// The encrypted secrets that the text refers to, of the same commit.
    pub beside: Beside,
    /// Commit id, or a hash of the files.
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
                .map(|_| lowtide_model::secret::SecretRef::Env("LOWTIDE_CONFIG_TOKEN".to_owned())),
            ssh_key: std::env::var_os("LOWTIDE_CONFIG_SSH_KEY")
                .map(|path| lowtide_model::secret::SecretRef::File(PathBuf::from(path))),
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
pub async fn read(place: &Place, git: &Git) -> Result<Found, Failure> {
    read_after(place, git, None).await
}

/// As [`read`]; a commit that was found before is not read again.
async fn read_after(place: &Place, git: &Git, before: Option<&Found>) -> Result<Found, Failure> {
    match place {
        Place::File(path) => read_file(path),
        Place::Git { source, path } => {
            let commit = git.resolve(source).await.map_err(|e| e.failure())?;
            if let Some(before) = before.filter(|before| before.revision == commit.id) {
                return Ok(before.clone());
            }
            let text = git.read_file(source, &commit.id, path).await.map_err(|e| e.failure())?;
            let text = text.ok_or_else(|| missing(format!("{path} is not in commit {}", commit.short())))?;
            let shown = format!("{}@{}:{path}", source.repo, commit.short());
            Ok(Found {
                beside: config_beside::of_commit(git, source, &commit.id, path, &text).await?,
                text,
                revision: commit.id,
                shown,
            })
        }
    }
}

/// As [`read`], with git mirrors in a directory of the caller's own: those of the state belong to whoever holds it.
///
/// # Errors
/// As the file or git fails.
pub async fn read_apart(place: &Place, mirrors: PathBuf) -> Result<Found, Failure> {
    read(place, &Git::new(mirrors)).await
}

fn read_file(path: &Path) -> Result<Found, Failure> {
    let broken = |e: std::io::Error| missing(format!("{}: {e}", path.display()));
    if std::fs::metadata(path).map_err(broken)?.len() > MAX_BYTES {
        return Err(missing(format!("{} is larger than {MAX_BYTES} bytes", path.display())));
    }
    let text = std::fs::read(path).map_err(broken)?;
    let beside = config_beside::of_file(path, &text);
    Ok(Found {
        revision: config_beside::revision(&text, &beside),
        text,
        beside,
        shown: path.display().to_string(),
    })
}

fn missing(detail: String) -> Failure {
    Failure::new(lowtide_model::failure::FailureKind::ConfigMissing, detail)
}

/// Follows the place until shutdown. A good revision is put in force whole; a bad one is reported once and changes
/// nothing.
///
/// # Errors
/// When the store cannot be used.
pub async fn watch(
    bot: &Bot,
    place: &Place,
    docker_config: Option<PathBuf>,
    shutdown: CancellationToken,
) -> Result<(), StoreError> {
    let mut watch = Watch::new(place.clone(), docker_config);
    loop {
        watch.look(bot).await?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(place.poll()) => {}
            // A push is often several requests at once, and a flood of them must not become one of ours.
            () = bot.config_look.notified() => tokio::time::sleep(SETTLE).await,
        }
    }
}

/// What was seen of a place so far.
pub struct Watch {
    place: Place,
    docker_config: Option<PathBuf>,
    last: Option<Found>,
    refused: Option<String>,
    /// The store knows of no refusal: one of an earlier process is cleared once.
    cleared: bool,
    /// Why it could not be read; reported when it changes, not when it repeats.
    blind: Option<String>,
}

/// What one look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Same,
    TakenUp,
    Refused,
    /// The place cannot be read now; what is in force stays.
    Blind,
}

impl Watch {
    #[must_use]
    pub fn new(place: Place, docker_config: Option<PathBuf>) -> Self {
        Self {
            place,
            docker_config,
            last: None,
            refused: None,
            cleared: false,
            blind: None,
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn look(&mut self, bot: &Bot) -> Result<Seen, StoreError> {
        let found = match read_after(&self.place, &bot.git, self.last.as_ref()).await {
            Ok(found) => self.last.insert(found).clone(),
            Err(failure) => {
                let why = failure.to_string();
                if self.blind.as_ref() != Some(&why) {
                    warn!(why, "the configuration cannot be read; the current one stays in effect");
                    self.blind = Some(why);
                }
                bot.troubles.configuration_unread(true);
                return Ok(Seen::Blind);
            }
        };
        if self.blind.take().is_some() {
            info!("the configuration can be read again");
        }
        bot.troubles.configuration_unread(false);
        if found.revision == bot.in_force().revision {
            self.accept(bot).await?;
            return Ok(Seen::Same);
        }
        if self.refused.as_ref() == Some(&found.revision) {
            return Ok(Seen::Same);
        }
        match self.ready(&found, &bot.state) {
            Ok(in_force) => {
                // Stored before it is in force: after a kill in between, the next start finds the same revision in the
                // store and at its place.
                bot.store
                    .store_revision(found.revision.clone(), &in_force.fleet, clock::now())
                    .await?;
                info!(
                    revision = found.revision,
                    apps = in_force.fleet.apps.len(),
                    "a new configuration is in effect"
                );
                let apps = in_force.fleet.apps.len();
                bot.put_in_force(in_force);
                self.accept(bot).await?;
                self.record(bot, &found.revision, apps).await?;
                Ok(Seen::TakenUp)
            }
            Err(NotReady::Away(failure)) => {
                // Not the revision's fault: the next look tries it again.
                warn!(revision = found.revision, why = %failure, "the new configuration cannot be applied yet");
                Ok(Seen::Blind)
            }
            Err(NotReady::Refused(problems)) => {
                let words = diagnostic::terminal(&found.shown, &String::from_utf8_lossy(&found.text), &problems);
                error!(
                    revision = found.revision,
                    "the configuration is refused; the current one stays in effect\n{words}"
                );
                refuse(bot, &found.revision, words, self.place.commit(&problems)).await?;
                self.cleared = false;
                self.refused = Some(found.revision);
                Ok(Seen::Refused)
            }
        }
    }

    /// Clears the refused revision. If lowtide is killed before that is written, the next look writes it.
    async fn accept(&mut self, bot: &Bot) -> Result<(), StoreError> {
        self.refused = None;
        if !self.cleared {
            bot.store.set_refused(None).await?;
            self.cleared = true;
        }
        Ok(())
    }

    /// Tells the configuration's repository that a commit is in force. A kill before this costs the record, not the
    /// configuration.
    async fn record(&self, bot: &Bot, revision: &str, apps: usize) -> Result<(), StoreError> {
        let Place::Git { source, .. } = &self.place else {
            return Ok(());
        };
        let message = Message {
            keys: notify::config_accepted_keys(revision),
            addressees: Addressees::Nobody,
            at: clock::now(),
            body: MessageBody::ConfigAccepted {
                revision: revision.to_owned(),
                repo: source.repo.clone(),
                apps,
            },
        };
        bot.notify(&message).await
    }

    /// The whole revision with its clients.
    fn ready(&self, found: &Found, state: &Path) -> Result<InForce, NotReady> {
        let fleet = validate::fleet_beside(&found.text, &found.beside).map_err(NotReady::Refused)?;
        InForce::new(found.revision.clone(), fleet, self.docker_config.clone(), state).map_err(NotReady::Away)
    }
}

/// Why a revision is not put in force.
enum NotReady {
    /// Every problem of it.
    Refused(Vec<Problem>),
    /// A part that it names is not there.
    Away(Failure),
}

/// One message per bad revision, however often it is looked at, also over restarts.
async fn refuse(bot: &Bot, revision: &str, problems: String, commit: Option<ConfigCommit>) -> Result<(), StoreError> {
    let now = clock::now();
    let revision_refused = RefusedRevision {
        revision: revision.to_owned(),
        since: now,
    };
    bot.store.set_refused(Some(revision_refused)).await?;
    let message = Message {
        keys: notify::config_keys(revision),
        addressees: Addressees::Operators,
        at: now,
        body: MessageBody::ConfigRefused {
            revision: revision.to_owned(),
            problems,
            commit: commit.map(Box::new),
        },
    };
    bot.notify(&message).await
}

impl Place {
    /// The problems at their lines of a commit; `None`: the configuration is a file.
    fn commit(&self, problems: &[Problem]) -> Option<ConfigCommit> {
        let Place::Git { source, path } = self else { return None };
        let finding = |problem: &Problem| Finding {
            path: path.clone(),
            line: u32::try_from(problem.span.line).unwrap_or(u32::MAX).max(1),
            title: problem.code.to_owned(),
            message: [Some(&problem.message), problem.hint.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        };
        Some(ConfigCommit {
            repo: source.repo.clone(),
            findings: problems.iter().take(Failure::FINDINGS).map(finding).collect(),
        })
    }

    /// How often to poll: a file is cheap to read, a remote is someone else's server.
    fn poll(&self) -> Duration {
        match self {
            Place::File(_) => Duration::from_secs(5),
            Place::Git { .. } => Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_a_commit_are_at_their_lines() {
        let text = b"version: 1\napps:\n  web:\n    source: { repo: \"https://git.example.org/web.git\" }\n    nightly: soon\n";
        let problems = validate::fleet(text).unwrap_err();
        let place = Place::parse("https://git.example.org/fleet.git#main:ops/lowtide.yml");
        let commit = place.commit(&problems).unwrap();
        assert_eq!(commit.repo, "https://git.example.org/fleet.git");
        let line = |of: &Finding| format!("{}:{} {}: {}", of.path, of.line, of.title, of.message.join(" / "));
        let lines: Vec<String> = commit.findings.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"ops/lowtide.yml:5 wrong-type: `apps.web.nightly` must be a map of keys, not a single value / write `nightly: { between: "22:00-02:30" }`"#);
        assert_eq!(Place::parse("/etc/lowtide.yml").commit(&problems), None);
    }
}
