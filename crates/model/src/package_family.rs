//! The families of package managers. What is known of each is in `packages/families` and `runtime/families`.

use serde::{Deserialize, Serialize};

/// Generates the enum, and what can be listed of it.
macro_rules! families {
    ($($(#[$meta:meta])* $family:ident: $name:literal,)*) => {
        /// Whose packages they are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub enum PackageFamily { $($(#[$meta])* #[serde(rename = $name)] $family,)* }

        impl PackageFamily {
            /// Where an image has databases of several families, the first one says what is pending.
            pub const ALL: &'static [Self] = &[$(PackageFamily::$family,)*];

            /// For people and for what is stored.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(PackageFamily::$family => $name,)* }
            }
        }
    };
}

families! {
    /// Debian, Ubuntu and their kin.
    #[default]
    Dpkg: "dpkg",
    /// Alpine.
    Apk: "apk",
}
