//! Work on the processor, off the threads that drive runs and rollouts.

/// Runs work that takes milliseconds or more. A panic in it is the caller's panic: a response that is missing must
/// never look like "nothing is pending".
pub async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
