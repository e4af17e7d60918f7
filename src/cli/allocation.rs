//! glibc's allocator settings for `serve`. By default glibc does not return the memory that the start frees to the system, and it reads
//! these settings only when a process starts, so `serve` executes itself again with them. The image does not set them for every command:
//! short commands run a quarter faster without.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// See mallopt(3). If the environment already sets one of them, none is changed.
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
    ("MALLOC_MMAP_THRESHOLD_", "32768"),
];

/// Executes this program again with the settings. Returns only if the environment has them already.
///
/// # Errors
/// When the program cannot be executed again. It can continue without the settings, and uses more memory.
pub(super) fn settle() -> io::Result<()> {
    if SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    Err(begin_again(&SETTINGS))
}

/// Executes this program again with these variables added to its environment. The process id stays the same, because a container
/// ends with its first process. Returns only on failure.
pub(super) fn begin_again(variables: &[(&str, &str)]) -> io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(variables.iter().copied())
            .exec(),
        Err(error) => error,
    }
}
