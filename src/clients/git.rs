//! git, through its command.
