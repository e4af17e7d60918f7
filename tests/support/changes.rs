//! Tells when someone has written in a directory: what lowtide does shows in its state and in its log. A commit can be read
//! only a moment after it was written (the index of SQLite's log is mapped, and tells nobody), so what counts is that
//! lowtide says in its log what it has journalled, and not before.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use tokio::io::unix::AsyncFd;

pub(crate) struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    /// Of files directly in these directories, from now on: what was there before has to be looked at first.
    pub(crate) fn of(directories: &[&Path]) -> Self {
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        for directory in directories {
            // Not what only reads: the journal is read here too.
            let kinds = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
            inotify::add_watch(&queue, *directory, kinds).unwrap();
        }
        #[allow(
            deprecated,
            reason = "its successor is unsafe to call; an owned descriptor is what it asks for"
        )]
        let queue = AsyncFd::new(queue).unwrap();
        Self(queue)
    }

    /// Returns when something was written since the last time.
    pub(crate) async fn next(&mut self) {
        let mut ready = self.0.readable().await.unwrap();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.0.get_ref(), &mut buffer);
        while events.next().is_ok() {}
        ready.clear_ready();
    }
}
