//! The list of families.

pub(crate) use super::apk::family::Apk;
pub(crate) use super::apt::family::Apt;
use super::family::Family;
use crate::model::package_family::PackageFamily;

/// Generates what leads from a family to its rules, and `each_family!`, which runs the same code for any of them.
macro_rules! families {
    ($($family:ident: $rules:ident,)*) => {
        /// What is known of a family.
        pub(crate) fn of(family: PackageFamily) -> &'static dyn Family {
            match family { $(PackageFamily::$family => &$rules,)* }
        }

        families!(@each ($) $($family: $rules,)*);
    };
    (@each ($d:tt) $($family:ident: $rules:ident,)*) => {
        /// `each_family!(family, Rules => …)` evaluates the same expression for each, where `Rules` is its type.
        macro_rules! each_family {
            ($d value:expr, $d type:ident => $d body:expr) => {
                match $d value {
                    $($crate::model::package_family::PackageFamily::$family => {
                        type $d type = $crate::packages::families::list::$rules;
                        $d body
                    })*
                }
            };
        }
        pub(crate) use each_family;
    };
}

families! {
    Dpkg: Apt,
    Apk: Apk,
}

/// All of them, in the order of [`PackageFamily::ALL`].
pub(crate) fn all() -> impl Iterator<Item = &'static dyn Family> {
    PackageFamily::ALL.iter().map(|family| of(*family))
}
