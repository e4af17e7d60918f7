//! A call of a package manager's program, as the family that the program is of gets it.

use super::record::{Record, Sure};
use super::values::{Field, Variables};

pub struct Call<'c> {
    /// Without its folder.
    pub(crate) program: &'c str,
    pub(crate) arguments: &'c [Field],
    pub(crate) sure: Sure,
    pub(crate) variables: &'c Variables,
    /// What comes in at the standard input from a pipe, if it is known.
    pub(crate) piped: Option<&'c str>,
}

/// Records what a call does to packages.
pub(crate) type Program = fn(&Call<'_>, &mut Record);
