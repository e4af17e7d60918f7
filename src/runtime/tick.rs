//! The process's periodic tick, in UTC: it only rings. When things are due is decided elsewhere, in civil time: the
//! scheduler's own zones keep one fixed offset and would drift with daylight saving.

use super::bot::Bot;
use std::sync::Arc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Four times a minute: a schedule has minutes.
const EVERY: &str = "*/15 * * * * *";

/// Starts ringing; dropping the scheduler ends it.
///
/// # Errors
/// When the scheduler cannot start.
pub async fn start(bot: &Arc<Bot>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let ringing = Arc::clone(bot);
    scheduler
        .add(Job::new(EVERY, move |_, _| ringing.look.notify_one())?)
        .await?;
    scheduler.start().await?;
    Ok(scheduler)
}
