//! Files of the commit that a step puts into a running container.

use super::files::{self, MAX_FILE};
use super::tree::{self, Found};
use crate::clients::engine::context::{Context, Limits, Verdict};
use crate::clients::engine::error::EngineError;
use crate::runtime::perform::build::aside;
use crate::runtime::perform::environment::{Stop, TestEnvironment};
use crate::runtime::perform::run::built;
use lowtide_model::failure::{Failure, FailureKind};
use std::path::Path;

/// Is there what a step copies? Blocks.
///
/// # Errors
/// `TestFailed`, or a link that leads out.
pub(super) fn check(tree: &Path, from: &str) -> Result<(), Failure> {
    match tree::find(tree, from)? {
        Found::Nothing => Err(gone(from)),
        Found::File(real) if real.metadata().is_ok_and(|file| file.len() > MAX_FILE) => {
            let detail = format!("{from} has more than {} MiB; copy its folder", MAX_FILE >> 20);
            Err(Failure::new(FailureKind::TestFailed, detail))
        }
        Found::File(_) | Found::Folder(_) => Ok(()),
    }
}

/// Puts a file of the commit at a path of the container, or what is in a folder into one, which is made where it is not there. As with
/// `docker cp`, a path that ends with a slash is the folder of a file.
///
/// # Errors
/// As [`check`], or as the engine fails.
pub(in crate::runtime::perform) async fn copy_in(
    environment: &TestEnvironment<'_>,
    container: &str,
    tree: &Path,
    (from, to): (&str, &str),
) -> Result<(), Stop> {
    let (root, path) = (tree.to_owned(), from.to_owned());
    let found = aside(move || check(&root, &path).and_then(|()| tree::find(&root, &path))).await?;
    let refused = |error: EngineError| not_taken(to, &error);
    match found {
        Found::Nothing => Err(gone(from).into()),
        Found::File(_) => {
            let name = from.rsplit('/').next().unwrap_or(from);
            let target = if to.ends_with('/') {
                format!("{to}{name}")
            } else {
                to.to_owned()
            };
            let (root, path) = (tree.to_owned(), from.to_owned());
            let file = aside(move || files::as_committed(&root, &path, &target)).await?;
            let files = [file];
            let sent = environment.engine.upload_files(container, &files);
            Ok(environment.unless_cancelled(sent).await?.map_err(refused)?)
        }
        Found::Folder(real) => {
            let limits = Limits {
                bytes: built(environment.app)?.0.max_size,
                ..Limits::default()
            };
            let scan = move || {
                let scanned = Context::scan(&real, &|_, _| Verdict::Include, &[], &[], 0, limits);
                scanned.map_err(|e| e.failure())
            };
            let content = aside(scan).await?;
            let made = environment.engine.ensure_folder(container, to);
            environment.unless_cancelled(made).await?.map_err(refused)?;
            let sent = environment.engine.upload_folder(container, to, content);
            Ok(environment.unless_cancelled(sent).await?.map_err(refused)?)
        }
    }
}

fn gone(from: &str) -> Failure {
    Failure::new(
        FailureKind::TestFailed,
        format!("a step copies {from}, which is not in the commit"),
    )
}

/// A root that is read-only is the container's own doing.
fn not_taken(to: &str, error: &EngineError) -> Failure {
    if error.to_string().contains("read-only") {
        let detail = format!("{to} cannot be copied to: the container's root is read-only");
        return Failure::new(FailureKind::TestFailed, detail);
    }
    error.failure()
}
