//! The one seam between a run's decisions and the world: effect in, outcome out.

use super::environment::Stop;
use super::{build, findings, inspect, publish, pull, resolve, testing};
use crate::runtime::bot::{Bot, InForce};
use crate::runtime::drive_run::Interrupt;
use crate::runtime::progress::Progress;
use lowtide_core::decide::run::RunState;
use lowtide_core::fleet::app::App;
use lowtide_core::report::words;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{BuildPolicy, ImageOrigin, Source};
use lowtide_model::run::{Effect, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How performing ended.
#[derive(Debug)]
#[must_use]
pub enum Performed {
    Ended(Box<Outcome>),
    /// An operator cancelled; the stage has cleaned up after itself.
    Cancelled,
    /// The process shuts down; what was begun is swept at the next start.
    Parked,
}

/// What a stage may use.
pub struct StageContext<'a> {
    pub bot: &'a Arc<Bot>,
    pub fleet: Arc<InForce>,
    pub run: &'a RunState,
    pub attempt: u32,
    pub cancel: &'a CancellationToken,
}

impl StageContext<'_> {
    /// A line for whoever watches.
    pub fn line(&self, line: &str) {
        self.bot.watchers.publish(Progress::Line {
            run: self.run.id,
            line: line.to_owned(),
        });
    }
    /// Labels of everything this run makes on an engine.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = crate::runtime::sweep::run_labels(&self.bot.instance, self.run.id);
        labels.insert("io.lowtide.app".to_owned(), self.run.app.name.to_string());
        labels.insert("io.lowtide.attempt".to_owned(), self.attempt.to_string());
        labels.insert("io.lowtide.term".to_owned(), self.bot.store.term().to_string());
        labels
    }
}

/// What the app's image is built from and how.
///
/// # Errors
/// `Invariant`: others build the image. Nothing of such an app is read from a repository.
pub(super) fn built(app: &App) -> Result<(&Source, &BuildPolicy), Failure> {
    match &app.origin {
        ImageOrigin::Built { source, build } => Ok((source, build)),
        ImageOrigin::Followed(policy) => {
            let detail = format!("{} is built by others, and has no repository", policy.image);
            Err(Failure::new(FailureKind::Invariant, detail))
        }
    }
}

/// Performs an effect while listening for cancel and shutdown. Every stage is given the token and ends its work on the
/// engine itself, so that nothing goes on behind our back.
pub async fn perform(
    bot: &Arc<Bot>,
    run: &RunState,
    effect: &Effect,
    attempt: u32,
    interrupt: &Interrupt,
) -> Performed {
    let stop = CancellationToken::new();
    let context = StageContext {
        bot,
        fleet: bot.in_force(),
        run,
        attempt,
        cancel: &stop,
    };
    let work = dispatch(&context, effect);
    tokio::pin!(work);
    let outcome = tokio::select! {
        outcome = &mut work => outcome,
        () = interrupt.cancel.cancelled() => {
            stop.cancel();
            work.await
        }
        () = interrupt.shutdown.cancelled() => {
            stop.cancel();
            let _ = work.await;
            return Performed::Parked;
        }
    };
    match outcome {
        Ok(outcome) => Performed::Ended(Box::new(outcome)),
        Err(Stop::Failed(failure)) => {
            let failure = findings::placed(&context, failure).await;
            Performed::Ended(Box::new(Outcome::Failed(failure)))
        }
        Err(Stop::Cancelled) => Performed::Cancelled,
    }
}

async fn dispatch(context: &StageContext<'_>, effect: &Effect) -> Result<Outcome, Stop> {
    match effect {
        Effect::Resolve(_) => {
            tokio::select! {
                resolved = resolve::perform(context) => Ok(Outcome::Resolved(resolved?)),
                () = context.cancel.cancelled() => Err(Stop::Cancelled),
            }
        }
        Effect::Build(effect) => {
            context.line(&format!("because {}", words::because(&effect.because)));
            build::perform(context, effect).await.map(Outcome::Built)
        }
        Effect::Pull(effect) => {
            context.line(&format!("because {}", words::because(&effect.because)));
            tokio::select! {
                pulled = pull::perform(context, effect) => Ok(Outcome::Pulled(pulled?)),
                () = context.cancel.cancelled() => Err(Stop::Cancelled),
            }
        }
        Effect::Inspect(effect) => {
            tokio::select! {
                inspected = inspect::perform(context, effect) => Ok(Outcome::Inspected(inspected?)),
                () = context.cancel.cancelled() => Err(Stop::Cancelled),
            }
        }
        Effect::Bootstrap(effect) => testing::bootstrap(context, effect).await.map(Outcome::Bootstrapped),
        Effect::Test(effect) => testing::test(context, effect).await.map(Outcome::Tested),
        // Not interrupted: half a push is repeated, but a pushed image without its journal entry is work done twice.
        Effect::Publish(effect) => Ok(Outcome::Published(publish::perform(context, effect).await?)),
    }
}
