//! An engine whose power can be cut (`scripts/lib/machine`).

use crate::world::Ground;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

pub(crate) struct Machine {
    directory: PathBuf,
    pub(crate) ground: Ground,
}

impl Machine {
    /// Those of `LOWTIDE_TEST_MACHINES`, switched on, with the images of all trials. There are none where a process may not
    /// have a network of its own.
    pub(crate) fn all() -> Vec<Self> {
        let named = std::env::var_os("LOWTIDE_TEST_MACHINES").unwrap_or_default();
        let named = std::env::split_paths(&named).filter(|directory| !directory.as_os_str().is_empty());
        named
            .map(|directory| {
                cycle(&directory);
                let ground = Ground::of(directory.join("docker.sock"));
                Self { directory, ground }
            })
            .collect()
    }

    /// All its processes are killed at once; returns when its engine answers again. What has to restart by itself does.
    pub(crate) async fn reboot(&self) {
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || cycle(&directory)).await.unwrap();
    }
}

fn cycle(directory: &Path) {
    let mut power = std::fs::OpenOptions::new()
        .write(true)
        .open(directory.join("power"))
        .unwrap();
    power.write_all(b"cycle\n").unwrap();
    // Opening waits for the line.
    let mut booted = std::fs::File::open(directory.join("booted")).unwrap();
    let mut line = String::new();
    booted.read_to_string(&mut line).unwrap();
    assert_eq!(line, "on\n");
}
