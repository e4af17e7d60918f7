//! How glibc keeps the memory of a process that lives for months. It keeps what the start has freed (reading the fleet and the
//! journal), per thread, unless it is told not to, which only the environment of a new process can. Commands that end soon are faster
//! without (by a quarter), so that the image does not say it for all.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// See mallopt(3). Whoever sets one of them decides.
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
    ("MALLOC_MMAP_THRESHOLD_", "32768"),
];

/// Goes on as the same process, from the first line on, with these settings. Comes back if it has them, or cannot.
///
/// # Errors
/// When this program cannot be started again: it works without, and takes more memory.
pub(super) fn settle() -> io::Result<()> {
    if SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    Err(begin_again(&SETTINGS))
}

/// As the same process, which its container lives by, with these variables besides its own. Comes back only with an error.
pub(super) fn begin_again(variables: &[(&str, &str)]) -> io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(variables.iter().copied())
            .exec(),
        Err(error) => error,
    }
}
