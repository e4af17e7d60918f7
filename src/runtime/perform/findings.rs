//! Places that a failure names, looked up in the commit that the run builds.

use super::run::StageContext;
use lowtide_core::decide::findings;
use lowtide_model::failure::Failure;
use lowtide_model::stages::resolve::Resolved;

/// The failure with the places that its commit has. A mirror that cannot be read costs the places, not the failure.
pub(super) async fn placed(context: &StageContext<'_>, mut failure: Failure) -> Failure {
    if failure.findings.is_empty() {
        return failure;
    }
    let named = std::mem::take(&mut failure.findings);
    let commit = context.run.resolved.as_ref().and_then(Resolved::commit);
    let (Some(source), Some(commit)) = (context.run.app.source(), commit) else {
        return failure;
    };
    match context.bot.git.files(source, &commit.id).await {
        Ok(files) => failure.findings = findings::placed(named, &files),
        Err(error) => {
            tracing::warn!(%error, "the files of the commit cannot be listed: no failing test is placed in it")
        }
    }
    failure
}
