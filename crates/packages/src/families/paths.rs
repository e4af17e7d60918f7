//! Where a family of package managers stores what in an image.

/// Paths come without leading slash.
pub struct Paths {
    /// Folders of the package databases. Whatever writes there may change what is installed.
    pub databases: &'static [&'static str],
    /// How the paths of files begin that say which package sources there are, or which of their versions count.
    pub sources: &'static [&'static str],
    /// Files that decide about upgrades; one star in the last name stands for any part of it.
    pub state: &'static [&'static str],
    /// Files that an inventory needs besides, in the same form.
    pub inventory: &'static [&'static str],
    /// Folders whose content differs between two rebuilds of the same inputs without meaning anything.
    pub volatile_folders: &'static [&'static str],
    /// Files that do.
    pub volatile_files: &'static [&'static str],
}
