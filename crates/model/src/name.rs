//! Names and identifiers. Each is its own type, so that an app can never be passed where a host is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use ulid::Ulid;

/// A name that breaks the rule of its kind; carries the offending text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid name: use 1 to 63 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit")]
pub struct InvalidName {
    pub text: String,
}

fn check(text: &str) -> Result<(), InvalidName> {
    let first_ok = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest_ok = text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if first_ok && rest_ok && text.len() <= 63 {
        Ok(())
    } else {
        Err(InvalidName { text: text.to_owned() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                check(&text)?;
                Ok(Self(text))
            }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                text.to_owned().try_into()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The key of an app under `apps:`.
    AppName
);
name!(
    /// The key of a host under `hosts:`.
    HostName
);
name!(
    /// The name of a channel of one app.
    ChannelName
);
name!(
    /// The name of a target of one app: given, or made from its kind and place (`compose-archives`, `container-web`).
    TargetName
);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Ulid);

        impl $name {
            /// The last eight characters, lower case: short enough for container names, distinct enough within one engine.
            #[must_use]
            pub fn short(&self) -> String {
                let text = self.0.to_string().to_ascii_lowercase();
                text[text.len() - 8..].to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
        impl FromStr for $name {
            type Err = ulid::DecodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(&text.to_ascii_uppercase()).map(Self)
            }
        }
    };
}

id!(
    /// One attempt to make one app fresh.
    RunId
);
id!(
    /// One movement of one target to one release.
    RolloutId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_use_only_their_alphabet() {
        for good in ["a", "drupal-base", "0x.y_z"] {
            assert!(AppName::from_str(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", &"x".repeat(64)] {
            assert!(AppName::from_str(bad).is_err(), "{bad}");
        }
    }
}
