//! Arguments, and which command they mean.

use super::exit::Exit;
use super::incident::Shape;
use super::repository::RepositoryArgs;
use super::{
    audit, backup, check, completions, diff, history, incident, inventory, operate, outdated, plan, probe,
    registry_tags, repository, run, serve, show, start, status, test, windows,
};
use crate::runtime::doors;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use lowtide_model::policy::Unhealthy;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Rebuild at night. Test what you ship. Roll out at low tide.
#[derive(Debug, Parser)]
#[command(name = "lowtide", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done, or nothing to do
  1  it ran and failed: a run, a rollout, a refused request; diff: the images differ
  2  wrong use of the command line
  3  the configuration has problems
  4  something lowtide needs cannot be used (state, engine, socket)
  5  another lowtide owns the state and does not respond
 10  outdated: something is pending";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Configuration: a file, or REPO#BRANCH:PATH in git.
    #[arg(
        long,
        env = "LOWTIDE_CONFIG",
        default_value = "/etc/lowtide/config.yml",
        global = true
    )]
    pub config: String,
    /// Directory of database, logs and mirrors. A relative path starts at the current directory.
    #[arg(
        long,
        env = "LOWTIDE_STATE",
        default_value = "/var/lib/lowtide",
        global = true,
        value_parser = PathBufValueParser::new().try_map(std::path::absolute)
    )]
    pub state: PathBuf,
    /// Both were given, not left to the default.
    #[arg(skip)]
    pub said: Said,
    /// Format of the logs on stderr.
    #[arg(long, env = "LOWTIDE_LOG_FORMAT", value_enum, default_value = "human", global = true)]
    pub log_format: LogFormat,
}

/// What the caller named in place of a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// A configuration, by argument or environment.
    pub config: bool,
    /// A state directory, by argument: what an environment names may not be there before the first start.
    pub state: bool,
}

impl Said {
    fn of(matches: &clap::ArgMatches) -> Self {
        let inner = matches.subcommand().map(|(_, inner)| inner);
        let by = |name: &str, wanted: &[ValueSource]| {
            let source = |matches: &clap::ArgMatches| matches.value_source(name).is_some_and(|it| wanted.contains(&it));
            source(matches) || inner.is_some_and(source)
        };
        Self {
            config: by("config", &[ValueSource::CommandLine, ValueSource::EnvVariable]),
            state: by("state", &[ValueSource::CommandLine]),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bot.
    Serve {
        /// Address for health, readiness, metrics and the status page.
        #[arg(long, env = "LOWTIDE_LISTEN", default_value = "127.0.0.1:7077")]
        listen: SocketAddr,
        /// Address for hooks: signed requests to look at the configuration again (`web.hooks`). Without it none are served.
        #[arg(long, env = "LOWTIDE_HOOKS")]
        hooks: Option<SocketAddr>,
    },
    /// Validate the configuration.
    Check {
        /// Also log in everywhere: engines, registries, git remotes, the mail server, GitHub.
        #[arg(long)]
        connect: bool,
        /// Do not read the secrets, for machines that do not have them.
        #[arg(long, conflicts_with = "connect")]
        no_secrets: bool,
        /// With --connect: send a test mail to this address.
        #[arg(long, value_name = "ADDRESS", requires = "connect")]
        mail: Option<String>,
        /// Text, JSON, or SARIF for code scanning.
        #[arg(long, value_enum, default_value = "human")]
        format: CheckFormat,
        /// Print the JSON Schema of the configuration instead; with --repo, of a repository's file.
        #[arg(long)]
        schema: bool,
        /// Check the file by which this repository sets its build and tests instead; a folder of the repository.
        #[arg(long, value_name = "FOLDER", conflicts_with_all = ["connect", "no_secrets"])]
        repo: Option<PathBuf>,
        /// With --repo: name of the app, to allow only what the configuration allows.
        #[arg(long, value_name = "NAME", requires = "repo")]
        app: Option<String>,
    },
    /// Build and test a commit of a repository here, as lowtide does it at night. Needs no configuration.
    ///
    /// The repository's file (.lowtide.yml) says how; with --app, the configuration does, and the file as far as it is allowed to.
    /// Nothing is pushed, rolled out or mailed. Secrets that the configuration refers to have to be on this machine.
    Test(test::TestArgs),
    /// What happens next, per app, and why not; for one app also every setting and where it came from.
    Plan {
        /// This app only, with its steps and settings.
        app: Option<String>,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// When targets may be changed: the next openings of their windows, with warnings (docs/windows.md).
    Windows(windows::WindowsArgs),
    /// One cycle of these apps now, with live progress. Rollouts wait for their window.
    ///
    /// Rollouts that were refused and promotions that failed are retried; the exit code is 1 while one of them
    /// still fails.
    Run {
        /// Names of the apps.
        #[arg(required = true, value_name = "APP")]
        apps: Vec<String>,
        /// Rollouts do not wait for their window.
        #[arg(long)]
        now: bool,
        /// With --now: also replace containers that are not healthy; the release may be the fix.
        #[arg(long, requires = "now")]
        replace_unhealthy: bool,
        /// Build even if nothing changed since the last build.
        #[arg(long)]
        rebuild: bool,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// The fleet at a glance.
    Status {
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// The last runs, newest first.
    History {
        /// This app only.
        app: Option<String>,
        /// Number of runs.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Operator actions, halts and quarantines with their reasons, oldest first.
    Audit {
        /// This app only.
        app: Option<String>,
        /// From this day on, in UTC: 2026-11-01.
        #[arg(long, value_name = "DATE")]
        since: Option<jiff::civil::Date>,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// One run or rollout in full, by its id or the end of it.
    Show {
        /// An id, or the end of one as `history` shows it.
        id: String,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// What differs between two images: packages, files, config, layers. Needs no configuration.
    ///
    /// An image is NAME (the local engine first, then its registry), engine:NAME or registry:NAME; the image `registry`
    /// itself is docker.io/library/registry. Timestamps, caches, logs and the like do not count (docs/diff.md).
    Diff {
        /// The image before.
        old: String,
        /// The image after.
        new: String,
        /// Of an image for several platforms in a registry, this one.
        #[arg(long, value_name = "OS/ARCH", default_value_t = default_platform())]
        platform: String,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// What is inside an image: system, packages and the layer each came with. IMAGE is named as for `diff`.
    Inventory {
        /// NAME, engine:NAME or registry:NAME.
        image: String,
        /// Of an image for several platforms in a registry, this one.
        #[arg(long, value_name = "OS/ARCH", default_value_t = default_platform())]
        platform: String,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// What is pending inside images: fixes that their package repositories have and they lack.
    ///
    /// Needs no configuration for images (named as for `diff`); no container is started. Exits with 10 when something is
    /// pending, and with 1 when nothing is known to be pending but a package repository could not be queried.
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Outdated(outdated::OutdatedArgs),
    /// Release tags in registries that are past `retention.registry`, and what becomes of each. Changes nothing.
    ///
    /// Exits with 1 when a registry does not say what it has.
    RegistryTags {
        /// This app only.
        app: Option<String>,
        /// Print one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Stop an app's rollouts and promotions; its builds and tests continue.
    Halt {
        /// Its name.
        app: String,
        /// The reason, shown to others and kept in the audit log.
        #[arg(long, visible_alias = "why")]
        reason: String,
    },
    /// Resume a halted app.
    Resume {
        /// Its name.
        app: String,
        /// Why it may continue, shown to others and kept in the audit log.
        #[arg(long, visible_alias = "why", required_unless_present = "form")]
        reason: Option<String>,
        /// The filled form of `lowtide incident APP --form`, for apps with `halt.require: countermeasure`; `-`: stdin.
        #[arg(long, value_name = "FILE")]
        form: Option<PathBuf>,
        /// A quarantined release that may be released again: its tag or digest, or the digest of its content. The app need
        /// not be halted.
        #[arg(long, value_name = "DIGEST", requires = "reason")]
        release_quarantine: Option<String>,
    },
    /// The rollout that halted an app in full, and what lifts the halt; by the app, or by the end of the rollout's id.
    Incident {
        /// An app, or the end of a rollout's id.
        #[arg(value_name = "APP|ROLLOUT")]
        what: String,
        /// Print one JSON object, for programs.
        #[arg(long, conflicts_with = "form")]
        json: bool,
        /// Only the form to fill in.
        #[arg(long)]
        form: bool,
    },
    /// Roll every target of an app, or one, back to its previous release, and halt the app.
    Revert {
        /// Every target of an app, or one.
        #[arg(value_name = "APP[/TARGET]")]
        what: String,
        /// The reason, shown to others and kept in the audit log.
        #[arg(long, visible_alias = "why")]
        reason: String,
    },
    /// Pause all rollouts and promotions, or resume them.
    Pause {
        /// All apps (for a single app use `halt`).
        #[arg(long)]
        all: bool,
        /// Resume them.
        #[arg(long)]
        off: bool,
    },
    /// Cancel a run that is under way.
    Cancel {
        /// An app, for its run; or a run's id, or the end of one.
        #[arg(value_name = "APP|RUN")]
        what: String,
    },
    /// Write everything that another lowtide needs to continue into one file, even while the bot runs. It contains secrets.
    Backup {
        /// The file to write; an existing one is replaced.
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// Unpack a backup into the state directory, which has to be empty.
    Restore {
        /// What `backup` wrote.
        #[arg(value_name = "FILE")]
        from: PathBuf,
    },
    /// Is the bot of this state directory alive? For container health checks.
    Health {
        /// Address of the bot; by default the one that the bot wrote into the state directory.
        #[arg(long, env = "LOWTIDE_LISTEN")]
        listen: Option<SocketAddr>,
    },
    /// Print the completions of a shell.
    ///
    /// For bash: lowtide completions bash >~/.local/share/bash-completion/completions/lowtide. The .deb has them already.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages, one per command, into a directory. For packagers.
    // A hidden command, not a second program of the build: that one would take minutes to link, and these pages are of exactly
    // this binary, however it was built.
    #[command(hide = true)]
    ManPages {
        /// An existing directory.
        directory: PathBuf,
    },
    /// One HTTP request from inside another container's network.
    #[command(hide = true)]
    ProbeHttp { port: u16, path: String },
}

/// This machine's, with the names of the OCI image-spec.
pub(super) fn default_platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("linux/{architecture}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckFormat {
    Human,
    Json,
    Sarif,
}

/// Does what the arguments say.
pub fn main() -> std::process::ExitCode {
    let matches = Arguments::command().get_matches();
    let said = Said::of(&matches);
    let Arguments { mut global, command } = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    global.said = said;
    start::tracing(global.log_format, matches!(command, Command::Serve { .. }));
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot start");
            return Exit::Unusable.into();
        }
    };
    doors::raise_open_files();
    let done = runtime.block_on(dispatch(&global, command));
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        Exit::Unusable
    })
    .into()
}

fn unhealthy(replace: bool) -> Unhealthy {
    if replace { Unhealthy::Replace } else { Unhealthy::Refuse }
}

async fn dispatch(global: &Global, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Serve { listen, hooks } => serve::serve(global, listen, hooks).await,
        Command::Check { schema: true, repo, .. } => check::schema(repo.is_some()),
        Command::Check {
            repo: Some(repo),
            app,
            format,
            ..
        } => repository::check(global, &RepositoryArgs { repo, app }, format).await,
        Command::Check {
            connect,
            no_secrets,
            mail,
            format,
            schema: false,
            repo: None,
            app: _,
        } => check::check(global, &check::Also::of(!no_secrets, connect, mail), format).await,
        Command::Test(args) => test::test(global, &args).await,
        Command::Plan { app, json } => plan::plan(global, app.as_deref(), json).await,
        Command::Windows(args) => windows::windows(global, &args).await,
        Command::Run {
            apps,
            now,
            replace_unhealthy,
            rebuild,
            json,
        } => run::run(global, &apps, now, unhealthy(replace_unhealthy), rebuild, json).await,
        Command::Status { json } => status::status(global, json).await,
        Command::History { app, limit, json } => history::history(global, app.as_deref(), limit, json).await,
        Command::Audit { app, since, json } => audit::audit(global, app.as_deref(), since, json).await,
        Command::Show { id, json } => show::show(global, &id, json).await,
        Command::Diff {
            old,
            new,
            platform,
            json,
        } => diff::diff(global, &old, &new, &platform, json).await,
        Command::Inventory { image, platform, json } => inventory::inventory(global, &image, &platform, json).await,
        Command::Outdated(args) => outdated::outdated(global, &args).await,
        Command::RegistryTags { app, json } => registry_tags::registry_tags(global, app.as_deref(), json).await,
        Command::Halt { app, reason } => operate::halt(global, &app, reason).await,
        Command::Resume {
            app,
            reason,
            form,
            release_quarantine,
        } => {
            let why = reason.unwrap_or_default();
            operate::resume(global, &app, why, form.as_deref(), release_quarantine).await
        }
        Command::Incident { what, json, form } => incident::incident(global, &what, Shape::of(json, form)).await,
        Command::Revert { what, reason } => operate::revert(global, &what, reason).await,
        Command::Pause { all, off } => operate::pause(global, all, off).await,
        Command::Cancel { what } => operate::cancel(global, &what).await,
        Command::Backup { to } => backup::backup(global, &to).await,
        Command::Restore { from } => backup::restore(global, &from),
        Command::Health { listen } => probe::health(&global.state, listen).await,
        Command::Completions { shell } => completions::print(shell),
        Command::ManPages { directory } => completions::man_pages(&directory),
        Command::ProbeHttp { port, path } => probe::http(port, &path).await,
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
