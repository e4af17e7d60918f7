//! The list of families.

// `each_family!` names them from elsewhere.
pub use super::apk::family::Apk;
pub use super::apt::family::Apt;
use super::family::Family;
use lowtide_model::package_family::PackageFamily;

/// Generates what leads from a family to its rules, and `each_family!`, which runs the same code for any of them.
macro_rules! families {
    ($($family:ident: $rules:ident,)*) => {
        /// What is known of a family.
        pub fn of(family: PackageFamily) -> &'static dyn Family {
            match family { $(PackageFamily::$family => &$rules,)* }
        }

        families!(@each ($) $($family: $rules,)*);
    };
    (@each ($d:tt) $($family:ident: $rules:ident,)*) => {
        /// `each_family!(family, Rules => …)` evaluates the same expression for each, where `Rules` is its type.
        #[macro_export]
        macro_rules! each_family {
            ($d value:expr, $d type:ident => $d body:expr) => {
                match $d value {
                    $(::lowtide_model::package_family::PackageFamily::$family => {
                        type $d type = $crate::families::list::$rules;
                        $d body
                    })*
                }
            };
        }
        pub use each_family;
    };
}

families! {
    Dpkg: Apt,
    Apk: Apk,
}

/// All of them, in the order of [`PackageFamily::ALL`].
pub fn all() -> impl Iterator<Item = &'static dyn Family> {
    PackageFamily::ALL.iter().map(|family| of(*family))
}

/// What is known of package managers whose families are not read.
pub struct Others {
    /// As [`super::paths::Paths::volatile_folders`].
    pub volatile_folders: &'static [&'static str],
    /// As [`super::programs::Programs::stale_index`].
    pub stale_index: &'static [&'static str],
}

pub const OTHERS: Others = Others {
    // Package databases: they hold times of installation.
    volatile_folders: &["var/lib/rpm", "usr/lib/sysimage/rpm", "var/lib/dnf"],
    stale_index: &[
        // dnf, microdnf, yum.
        r"Failed to download metadata for repo",
        r"Errors during downloading metadata for repository",
        r"Failed to synchronize cache for repo",
        r"^Ignoring repositories: ",
        r"Cannot find a valid baseurl for repo",
        // zypper, pacman.
        r"Some of the repositories have not been refreshed because of an error",
        r"^Skipping repository '.*' because of the above error",
        r"error: failed (?:retrieving file '\S+\.db'|to synchronize (?:all|any) databases)",
    ],
};
