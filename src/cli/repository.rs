//! What maintainers do in their own repository: `lowtide check --repo`, and what `lowtide test` begins with.

use super::args::{CheckFormat, Global};
use super::exit::Exit;
use super::{live, open, screen};
use crate::runtime::repository as in_repository;
use anyhow::Context;
use lowtide_core::config::{repository_file, validate};
use lowtide_core::fleet::app::Fleet;
use lowtide_core::report::words;
use lowtide_core::yaml::diagnostic;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The repository, and what the fleet says of it, if that is at hand.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RepositoryArgs {
    /// A folder of the repository.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(super) repo: PathBuf,
    /// Name of the app, to read what the configuration says of it. Without it, the repository's file says everything.
    #[arg(long, value_name = "NAME")]
    pub(super) app: Option<String>,
}

/// Checks the file in the work tree, committed or not.
pub(super) async fn check(global: &Global, args: &RepositoryArgs, format: CheckFormat) -> anyhow::Result<Exit> {
    let top = match in_repository::top(&args.repo).await {
        Ok(top) => top,
        Err(failure) => {
            screen::log(&failure.detail);
            return Ok(Exit::Failed);
        }
    };
    let Some(fleet) = fleet(global, args, &top).await? else {
        return Ok(Exit::Problems);
    };
    let Some((app, file)) = fleet
        .apps
        .values()
        .find_map(|app| Some((app, app.repository_file.as_deref()?)))
    else {
        live::print_line(
            "the configuration names no `repository_file` for this app, so no file of the repository is read",
        );
        return Ok(Exit::Failed);
    };
    let path = top.join(&file.path);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            live::print_line(&format!("{} is not there", path.display()));
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let problems = match repository_file::own_settings(app, file, &text) {
        Ok(own) => {
            if format == CheckFormat::Human {
                let rounds = words::counted(own.tests.len(), "round of tests", "rounds of tests");
                live::print_line(&format!("{}: no problems; {rounds}", file.path));
            }
            Vec::new()
        }
        Err(problems) => problems,
    };
    match format {
        CheckFormat::Human if problems.is_empty() => {}
        CheckFormat::Human => live::print(&diagnostic::errors(
            &file.path,
            &String::from_utf8_lossy(&text),
            &problems,
        )),
        CheckFormat::Json => {
            live::print_line(&serde_json::to_string_pretty(&diagnostic::json(&file.path, &problems))?);
        }
        CheckFormat::Sarif => {
            live::print_line(&serde_json::to_string_pretty(&diagnostic::sarif(
                &file.path,
                &problems,
                &[],
            ))?);
        }
    }
    Ok(if problems.is_empty() {
        Exit::Done
    } else {
        Exit::Problems
    })
}

/// A fleet of this one app: as the configuration says, or as a repository's file may say all that can be allowed. `None`: problems of the
/// configuration were printed.
pub(super) async fn fleet(global: &Global, args: &RepositoryArgs, top: &Path) -> anyhow::Result<Option<Fleet>> {
    let Some(name) = &args.app else {
        return alone(top).map(Some);
    };
    let Some(mut loaded) = open::configuration(global).await? else {
        return Ok(None);
    };
    loaded.fleet.apps.retain(|app, _| app.as_str() == name);
    anyhow::ensure!(
        !loaded.fleet.apps.is_empty(),
        "there is no app {name} in the configuration"
    );
    let followed = loaded.fleet.apps.values().any(|app| app.source().is_none());
    anyhow::ensure!(
        !followed,
        "{name} follows an image that others build: it has no repository to test"
    );
    Ok(Some(loaded.fleet))
}

/// What a configuration of this app alone would say.
fn alone(top: &Path) -> anyhow::Result<Fleet> {
    let allow: Vec<&str> = repository_file::everything().collect();
    let text = json!({
        "version": 1,
        "hosts": { "here": { "docker": "unix:///var/run/docker.sock" } },
        "apps": { name(top): {
            "source": { "repo": "file:///repository" },
            "repository_file": { "allow": allow },
        }},
    });
    validate::fleet(text.to_string().as_bytes())
        .map_err(|problems| anyhow::anyhow!("{}", diagnostic::errors("the app", "", &problems)))
}

/// A name for the app: that of its folder, in the letters that names have.
fn name(top: &Path) -> String {
    let folder = top.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = folder.chars().map(letter).take(63).collect();
    let name = name.trim_start_matches(['-', '_', '.']);
    if name.is_empty() {
        "app".to_owned()
    } else {
        name.to_owned()
    }
}
