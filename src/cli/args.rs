//! Arguments, and which command they mean.

use super::exit::Exit;
use super::incident::Shape;
use super::{
    backup, check, diff, history, incident, inventory, operate, outdated, plan, probe, run, serve, show, start, status,
    windows,
};
use clap::{Args, Parser, Subcommand};
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
  5  another lowtide holds the state and does not answer
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
    /// Directory of database, logs and mirrors.
    #[arg(long, env = "LOWTIDE_STATE", default_value = "/var/lib/lowtide", global = true)]
    pub state: PathBuf,
    /// How the story on stderr is written.
    #[arg(long, env = "LOWTIDE_LOG_FORMAT", value_enum, default_value = "human", global = true)]
    pub log_format: LogFormat,
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
        /// Health, readiness and metrics are served here.
        #[arg(long, env = "LOWTIDE_LISTEN", default_value = "127.0.0.1:7077")]
        listen: SocketAddr,
    },
    /// Validate the configuration.
    Check {
        /// Also log in everywhere: engines, registries, git remotes, the mail server, GitHub.
        #[arg(long)]
        connect: bool,
        /// Do not read the secrets: they are not on this machine.
        #[arg(long, conflicts_with = "connect")]
        no_secrets: bool,
        /// With --connect: send a test mail there.
        #[arg(long, value_name = "ADDRESS", requires = "connect")]
        mail: Option<String>,
        #[arg(long, value_enum, default_value = "human")]
        format: CheckFormat,
        /// Print the JSON Schema of the configuration instead.
        #[arg(long)]
        schema: bool,
    },
    /// What happens next, per app, and why not; for one app also every setting and where it came from.
    Plan {
        app: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// When targets may be changed: the next openings of their windows, and what is odd about them (docs/windows.md).
    Windows(windows::Asked),
    /// One cycle of these apps now, with live progress. Rollouts wait for their window.
    Run {
        #[arg(required = true)]
        apps: Vec<String>,
        /// Rollouts do not wait for their window.
        #[arg(long)]
        now: bool,
        /// Build also when nothing has moved that a rebuild could pick up.
        #[arg(long)]
        rebuild: bool,
        #[arg(long)]
        json: bool,
    },
    /// The fleet at a glance.
    Status {
        #[arg(long)]
        json: bool,
    },
    /// The last runs, newest first.
    History {
        app: Option<String>,
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[arg(long)]
        json: bool,
    },
    /// One run or rollout in full, by its id or the end of it.
    Show {
        id: String,
        #[arg(long)]
        json: bool,
    },
    /// What differs between two images: packages, files, config, layers. Needs no configuration.
    ///
    /// An image is NAME (the local engine first, then its registry), engine:NAME or registry:NAME; the image `registry`
    /// itself is docker.io/library/registry. Timestamps, caches, logs and the like do not count (docs/diff.md).
    Diff {
        old: String,
        new: String,
        /// Of an image for several platforms in a registry, this one.
        #[arg(long, value_name = "OS/ARCH", default_value_t = default_platform())]
        platform: String,
        #[arg(long)]
        json: bool,
    },
    /// What is inside an image: system, packages and the layer each came with. IMAGE is named as for `diff`.
    Inventory {
        image: String,
        /// Of an image for several platforms in a registry, this one.
        #[arg(long, value_name = "OS/ARCH", default_value_t = default_platform())]
        platform: String,
        #[arg(long)]
        json: bool,
    },
    /// What is pending inside images: fixes that their package archives have and they have not.
    ///
    /// Needs no configuration for images (named as for `diff`); no container is started. Exits with 10 when something is
    /// pending, and with 1 when nothing is known to be pending but an archive could not be asked.
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Outdated {
        #[arg(group = "what")]
        images: Vec<String>,
        /// The last release of every app.
        #[arg(long, group = "what")]
        all: bool,
        /// The last release of this app.
        #[arg(long, value_name = "APP", group = "what")]
        app: Vec<String>,
        /// Of an image for several platforms in a registry, this one.
        #[arg(long, value_name = "OS/ARCH", default_value_t = default_platform())]
        platform: String,
        #[arg(long)]
        json: bool,
    },
    /// Stop an app's rollouts and promotions; its builds and tests go on.
    Halt {
        app: String,
        #[arg(long, visible_alias = "why")]
        reason: String,
    },
    /// Let a halted app go on.
    Resume {
        app: String,
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
        #[arg(value_name = "APP|ROLLOUT")]
        what: String,
        #[arg(long, conflicts_with = "form")]
        json: bool,
        /// Only the form to fill in.
        #[arg(long)]
        form: bool,
    },
    /// Take every target of an app, or one, back to the release before, and halt the app.
    Revert {
        #[arg(value_name = "APP[/TARGET]")]
        what: String,
        #[arg(long, visible_alias = "why")]
        reason: String,
    },
    /// Pause all rollouts and promotions, or let them go on.
    Pause {
        #[arg(long)]
        all: bool,
        #[arg(long)]
        off: bool,
    },
    /// Cancel a run that is under way.
    Cancel { run: String },
    /// Write a consistent copy of the database.
    Backup { to: PathBuf },
    /// Is the bot of this state directory alive? For container health checks.
    Health {
        #[arg(long, env = "LOWTIDE_LISTEN", default_value = "127.0.0.1:7077")]
        listen: SocketAddr,
    },
    /// One HTTP question, asked from inside another container's network.
    #[command(hide = true)]
    ProbeHttp { port: u16, path: String },
}

/// This machine's, with the names of the OCI image-spec.
fn default_platform() -> String {
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
    let Arguments { global, command } = Arguments::parse();
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
    let done = runtime.block_on(dispatch(&global, command));
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        Exit::Unusable
    })
    .into()
}

async fn dispatch(global: &Global, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Serve { listen } => serve::serve(global, listen).await,
        Command::Check { schema: true, .. } => check::schema(),
        Command::Check {
            connect,
            no_secrets,
            mail,
            format,
            schema: false,
        } => {
            let also = check::Also {
                secrets: !no_secrets,
                connect,
                mail,
            };
            check::check(global, &also, format).await
        }
        Command::Plan { app, json } => plan::plan(global, app.as_deref(), json).await,
        Command::Windows(asked) => windows::windows(global, &asked).await,
        Command::Run {
            apps,
            now,
            rebuild,
            json,
        } => run::run(global, &apps, now, rebuild, json).await,
        Command::Status { json } => status::status(global, json).await,
        Command::History { app, limit, json } => history::history(global, app.as_deref(), limit, json).await,
        Command::Show { id, json } => show::show(global, &id, json).await,
        Command::Diff {
            old,
            new,
            platform,
            json,
        } => diff::diff(global, &old, &new, &platform, json).await,
        Command::Inventory { image, platform, json } => inventory::inventory(global, &image, &platform, json).await,
        Command::Outdated {
            images,
            all,
            app,
            platform,
            json,
        } => {
            let asked = outdated::Asked {
                images,
                all,
                apps: app,
                platform,
            };
            outdated::outdated(global, &asked, json).await
        }
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
        Command::Cancel { run } => operate::cancel(global, &run).await,
        Command::Backup { to } => backup::backup(global, to).await,
        Command::Health { listen } => probe::health(listen).await,
        Command::ProbeHttp { port, path } => probe::http(port, &path).await,
    }
}
