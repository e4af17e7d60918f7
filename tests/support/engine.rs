//! What engines do by themselves that is not what a test is about.

use std::process::Output;

/// The classic builder of an engine with the containerd image store loses an intermediate image now and then when builds run side
/// by side (Docker 28.5: "unable to find image"): the same command again is what a person would do.
pub(crate) fn or_again(run: impl Fn() -> Output) -> Output {
    let lost = |output: &Output| String::from_utf8_lossy(&output.stderr).contains("unable to find image \"sha256:");
    let first = run();
    if lost(&first) { run() } else { first }
}
