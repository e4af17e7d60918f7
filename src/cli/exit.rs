//! Exit codes. The table is part of `--help` and of the README.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Problems,
    Unusable,
    Held,
    /// Something is pending.
    Pending,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        // 2 is clap's: wrong use of the command line.
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Problems => 3,
            Exit::Unusable => 4,
            Exit::Held => 5,
            Exit::Pending => 10,
        })
    }
}
